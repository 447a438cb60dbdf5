// Source files of debug locations. Module::files has to be complete before bodies are read, and a file may be named in
// one function's metadata only; so a module with debug information has the metadata at the head of each body walked
// here once.
//
// What records and intrinsics say of variables becomes air::DebugPlace. It never makes an instruction or a constant:
// code is the same with and without debug information. A value that the translation has not made is unknown.
#include "codegen/import/function_import.h"

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

// `value` is one of the bitcode's, or none.
void FunctionImporter::debug_place(air::DebugPlace place, uint32_t value) {
  using Place = air::DebugPlace;
  place.inst = uint32_t(f_.insts.size());
  using Node = bc::DebugScopes::Node;
  if (const Node* e = w_.scopes.node(place.expression - 1); e && e->kind == Node::Expression) {
    place.part_offset = e->a;
    place.part_size = e->b;
  }
  const bool declared = place.kind == Place::address;
  place.kind = Place::undefined;
  const bc::Constant* k = nullptr;
  if (value != bc::none && value < b_.value_count) {
    if (folder_.pool(value, k)) {
      const bool number = k->kind == bc::ConstKind::Int || k->kind == bc::ConstKind::Float;
      if (!declared && (number || k->kind == bc::ConstKind::Null) && m_.types[k->type].kind != bc::TypeKind::Struct &&
          m_.types[k->type].kind != bc::TypeKind::Array && m_.types[k->type].kind != bc::TypeKind::Vector) {
        place.kind = Place::constant;
        place.bits = number ? k->bits : 0;
      }
    } else if (value >= b_.first_local) {
      const V v = w_.locals[value - b_.first_local];
      const uint32_t home = w_.homes[value - b_.first_local];
      if (v.valid() && (home == current_air_ || dominates(home, current_air_))) {
        const air::Value& x = f_.values[v.value];
        const bool slot = x.kind() == air::ValueKind::Inst && f_.insts[x.index()].op == O::slot_addr;
        place.kind = !declared ? Place::value : slot ? Place::slot : Place::address;
        place.operand = place.kind == Place::slot ? f_.insts[x.index()].a : v.value;
      }
    }
  }
  if (declared && place.kind == Place::undefined) return;
  f_.debug_places.push_back(place);
}

void FunctionImporter::debug_record(const bc::DebugRecord& r) {
  using Node = bc::DebugScopes::Node;
  if (r.kind == bc::DebugRecord::label) return;
  const Node* location = w_.scopes.node(r.location);
  air::DebugPlace place;
  place.variable = r.variable + 1;
  place.expression = r.expression + 1;
  place.inlined_at = location && location->kind == Node::Location ? location->a : 0;
  if (r.kind == bc::DebugRecord::declare) place.kind = air::DebugPlace::address;
  const Node* operand = r.is_value ? nullptr : w_.scopes.node(r.operand);
  debug_place(place, r.is_value ? r.operand : operand && operand->kind == Node::Value ? operand->a : bc::none);
}

// llvm.dbg.declare and .value: metadata numbers of value, variable, expression; .assign says more, which is not read.
void FunctionImporter::debug_intrinsic(const bc::Inst& i, std::string_view name, std::span<const uint32_t> args) {
  using Node = bc::DebugScopes::Node;
  const bool declare = name == "llvm.dbg.declare";
  if (args.size() < 3 || (!declare && name != "llvm.dbg.value" && name != "llvm.dbg.assign")) return;
  air::DebugPlace place;
  place.variable = args[1] + 1;
  place.expression = args[2] + 1;
  place.inlined_at = i.loc == bc::none ? 0 : b_.locs[i.loc].inlined_at;
  if (declare) place.kind = air::DebugPlace::address;
  const Node* operand = w_.scopes.node(args[0]);
  debug_place(place, operand && operand->kind == Node::Value ? operand->a : bc::none);
}

}  // namespace lode::codegen
