// Source files of debug locations. Module::files has to be complete before bodies are read, and a file may be named in
// one function's metadata only; so a module with debug information has the metadata at the head of each body walked
// here once.
#include "codegen/import/state.h"

namespace lode::codegen {

namespace {

std::string path_of(const bc::DebugScopes::SourceFile& f) {
  if (f.name.starts_with('/') || f.directory.empty()) return std::string(f.name);
  return std::string(f.directory) + "/" + std::string(f.name);
}

}  // namespace

// Indices into Module::files by node; 0 for nodes that are no files.
void number_files(const ImportState& s, const bc::DebugScopes& scopes, std::vector<uint32_t>& out) {
  out.assign(scopes.nodes.size(), 0);
  for (uint32_t i = 0; i < scopes.nodes.size(); i++) {
    if (scopes.nodes[i].kind != bc::DebugScopes::Node::File) continue;
    auto it = s.file_numbers.find(path_of(scopes.file(scopes.first + i)));
    if (it != s.file_numbers.end()) out[i] = it->second;
  }
}

Result<void> import_scopes(ImportState& s) {
  LODE_ASSIGN(s.scopes, bc::read_scopes(s.bitcode));
  if (!s.scopes.has_units) return {};
  auto add = [&](const bc::DebugScopes& scopes) {
    for (uint32_t i = 0; i < scopes.nodes.size(); i++) {
      if (scopes.nodes[i].kind != bc::DebugScopes::Node::File) continue;
      auto [it, fresh] =
          s.file_numbers.try_emplace(path_of(scopes.file(scopes.first + i)), uint32_t(s.air.files.size()));
      if (fresh) s.air.files.push_back(it->first);
    }
  };
  add(s.scopes);
  bc::DebugScopes local;
  for (uint32_t b = 0; b < s.bitcode.bodies.size(); b++) {
    LODE_TRY(bc::read_body_scopes(s.bitcode, s.scopes, b, local));
    add(local);
  }
  number_files(s, s.scopes, s.scope_files);
  return {};
}

}  // namespace lode::codegen
