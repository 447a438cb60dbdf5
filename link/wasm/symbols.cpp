// One symbol table. A name is resolved as inputs arrive, in the order of the command line, as wasm-ld does it: a strong
// definition wins over a weak one, the first weak one stays, two strong ones are an error; an undefined name takes the
// archive member that defines it, whichever of the two comes first; a weak reference takes none.
#include <algorithm>
#include <charconv>
#include <sstream>

#include "link/wasm/link.h"

namespace lode::link::wasm {

namespace {

const char* kind_name(SymbolKind k) {
  switch (k) {
    case SymbolKind::function: return "function";
    case SymbolKind::data: return "data";
    case SymbolKind::global: return "global";
    case SymbolKind::section: return "section";
    case SymbolKind::tag: return "tag";
    case SymbolKind::table: return "table";
  }
  return "?";
}

}  // namespace

uint32_t TypeList::intern(std::span<const uint8_t> signature) {
  std::string_view key(reinterpret_cast<const char*>(signature.data()), signature.size());
  if (auto it = index_.find(key); it != index_.end()) return it->second;
  bytes_.emplace_back(signature.begin(), signature.end());
  uint32_t t = uint32_t(bytes_.size() - 1);
  index_.emplace(std::string_view(reinterpret_cast<const char*>(bytes_.back().data()), bytes_.back().size()), t);
  return t;
}

uint32_t TypeList::find(std::span<const uint8_t> signature) const {
  auto it = index_.find(std::string_view(reinterpret_cast<const char*>(signature.data()), signature.size()));
  return it == index_.end() ? none : it->second;
}

std::string TypeList::text(uint32_t t) const {
  if (t >= bytes_.size()) return "(?)";
  cg::SignatureShape shape = cg::signature_shape(bytes_[t]);
  auto list = [&](Bytes types) {
    std::string s;
    for (uint8_t v : types) s += (s.empty() ? "" : ", ") + std::string(cg::value_type_name(v));
    return s;
  };
  if (shape.results.size() > 1) return "(" + list(shape.params) + ") -> (" + list(shape.results) + ")";
  return "(" + list(shape.params) + ") -> " + (shape.results.empty() ? "void" : list(shape.results));
}

std::string Link::describe(SymbolId s) const {
  std::string name(at(s).name);
  return options.demangle ? demangle(name) : name;
}
std::string Link::file_name(uint32_t file) const { return file < files.size() ? files[file].name : "<internal>"; }

SymbolId Link::intern(std::string_view name) {
  if (auto it = by_name.find(name); it != by_name.end()) return it->second;
  SymbolId s(uint32_t(symbols.size()));
  symbols.emplace_back().name = name;
  by_name.emplace(name, s);
  return s;
}

void Link::mention(SymbolId id) {
  Symbol& s = at(id);
  s.referenced_strongly = true;
  if (s.state == State::lazy) pending.push_back(id);
}

SymbolId Link::define(const Symbol& wanted) {
  if (wanted.local) {
    SymbolId s(uint32_t(symbols.size()));
    symbols.push_back(wanted);
    symbols.back().state = State::defined;
    symbols.back().kind_known = true;
    return s;
  }
  SymbolId id = intern(wanted.name);
  if (!removed.empty() && removed.contains(wanted.name) && wanted.file != none && files[wanted.file].eager) return id;
  Symbol& s = at(id);
  if (s.traced)
    diagnostics.print("%s: definition of %s\n", file_name(wanted.file).c_str(), std::string(s.name).c_str());
  auto both = [&] {
    return "\n>>> defined in " + file_name(s.file) + "\n>>> defined in " + file_name(wanted.file);
  };
  if (s.kind_known && s.kind != wanted.kind && !s.synthetic) {
    diagnostics.error("symbol type mismatch: " + describe(id) + "\n>>> defined as " + kind_name(s.kind) + " in " +
                      file_name(s.file) + "\n>>> defined as " + kind_name(wanted.kind) + " in " +
                      file_name(wanted.file));
    return id;
  }
  bool replace = s.state != State::defined || s.synthetic;
  if (!replace && !replaced.contains(s.name)) {
    if (s.weak && !wanted.weak)
      replace = true;
    else if (!s.weak && !wanted.weak)
      diagnostics.error("duplicate symbol: " + describe(id) + both());
  }
  if (s.kind == SymbolKind::tag && s.kind_known && s.type != none && wanted.type != s.type)
    diagnostics.error("tag signature mismatch: " + describe(id) + both());
  if (s.kind == SymbolKind::global && s.kind_known && s.state == State::undefined && s.referenced &&
      (s.global.type != wanted.global.type || s.global.is_mutable != wanted.global.is_mutable))
    diagnostics.error("global type mismatch: " + describe(id) + both());
  // A reference's visibility narrows the definition's, and no-strip stays.
  bool hidden = wanted.hidden;
  if (!replace) {
    s.no_strip |= wanted.no_strip;
    s.exported |= wanted.exported;
    return id;
  }
  s.kind = wanted.kind;
  s.kind_known = true;
  s.state = State::defined;
  s.synthetic = wanted.synthetic;
  s.weak = wanted.weak;
  s.hidden = hidden;
  s.exported |= wanted.exported;
  s.no_strip |= wanted.no_strip;
  s.tls = wanted.tls;
  s.absolute = wanted.absolute;
  s.file = wanted.file;
  s.item = wanted.item;
  s.offset = wanted.offset;
  s.size = wanted.size;
  s.type = wanted.type;
  s.global = wanted.global;
  s.table = wanted.table;
  if (!wanted.export_name.empty()) s.export_name = wanted.export_name;
  return id;
}

SymbolId Link::refer(const Symbol& wanted) {
  std::string_view name = wanted.name;
  for (auto& [from, to] : wraps)
    if (at(from).name == name) {
      name = at(to).name;
      break;
    }
  SymbolId id = intern(name);
  Symbol& s = at(id);
  if (s.traced)
    diagnostics.print("%s: reference to %s\n", file_name(wanted.file).c_str(), std::string(s.name).c_str());
  if (s.kind_known && s.kind != wanted.kind) {
    diagnostics.error("symbol type mismatch: " + describe(id) + "\n>>> " +
                      (s.state == State::defined ? "defined" : "used") + " as " + kind_name(s.kind) + " in " +
                      file_name(s.file) + "\n>>> used as " + kind_name(wanted.kind) + " in " + file_name(wanted.file));
    return id;
  }
  bool first = !s.referenced;
  s.referenced = true;
  s.no_strip |= wanted.no_strip;
  if (!wanted.weak) s.referenced_strongly = true;
  if (s.state == State::defined) {
    if (s.kind == SymbolKind::global && !s.synthetic &&
        (s.global.type != wanted.global.type || s.global.is_mutable != wanted.global.is_mutable))
      diagnostics.error("global type mismatch: " + describe(id) + "\n>>> defined in " + file_name(s.file) +
                        "\n>>> used in " + file_name(wanted.file));
    if (s.kind == SymbolKind::tag && s.type != none && wanted.type != none && s.type != wanted.type)
      diagnostics.error("tag signature mismatch: " + describe(id) + "\n>>> defined in " + file_name(s.file) +
                        "\n>>> used in " + file_name(wanted.file));
    return id;
  }
  if (s.state == State::lazy) {
    if (!wanted.weak) pending.push_back(id);
  }
  if (!s.kind_known) {
    s.kind = wanted.kind;
    s.kind_known = s.state == State::undefined;
  }
  if (first) {
    s.weak = wanted.weak;
    if (s.file == none) s.file = wanted.file;
    s.hidden = wanted.hidden;
    s.tls = wanted.tls;
    s.global = wanted.global;
    s.table = wanted.table;
    s.exported |= wanted.exported;
  } else {
    s.weak &= wanted.weak;
    s.hidden |= wanted.hidden;
  }
  if (s.type == none) s.type = wanted.type;
  if (wanted.explicit_import) {
    if (s.explicit_import && (s.import_module != wanted.import_module || s.import_name != wanted.import_name))
      diagnostics.error("import name mismatch for symbol: " + describe(id) + "\n>>> imported as " +
                        std::string(s.import_module) + "." + std::string(s.import_name) + " in " + file_name(s.file) +
                        "\n>>> imported as " + std::string(wanted.import_module) + "." +
                        std::string(wanted.import_name) + " in " + file_name(wanted.file));
    s.explicit_import = true;
    s.import_module = wanted.import_module;
    s.import_name = wanted.import_name;
  }
  return id;
}

void Link::add_lazy(std::string_view name, uint32_t archive, uint32_t member) {
  SymbolId id = intern(name);
  Symbol& s = at(id);
  if (s.state == State::defined || s.state == State::lazy) return;
  s.state = State::lazy;
  s.lazy_archive = archive;
  s.lazy_member = member;
  if (s.referenced_strongly) pending.push_back(id);
}

void Link::extract(SymbolId id) {
  pending.push_back(id);
  extract_pending();
}

void Link::extract_pending() {
  for (size_t i = 0; i < pending.size(); i++) {
    SymbolId id = pending[i];
    Symbol& s = at(id);
    if (s.state != State::lazy) continue;
    uint32_t a = s.lazy_archive, m = s.lazy_member;
    s.state =
        State::undefined;  // the member's definition replaces it; a second archive may offer it again if there is none
    s.kind_known = s.kind_known && s.referenced;
    if (archives[a].taken[m]) continue;
    archives[a].taken[m] = true;
    std::string member(archives[a].member_names[m]);
    std::string name = archives[a].name.empty() ? member : archives[a].name + "(" + member + ")";
    if (!options.why_extract_file.empty())
      extractions.push_back(file_name(s.file) + "\t" + name + "\t" + describe(id) + "\n");
    Bytes bytes = member_bytes(a, m);
    if (archives[a].thin && bytes.empty()) continue;  // reported
    add_bytes(bytes, name, false, false);
  }
  pending.clear();
}

void Link::start_symbols() {
  for (const std::string& name : options.trace_symbols) at(intern(keep(name))).traced = true;
  for (const std::string& name : options.wraps) {
    SymbolId plain = intern(keep(name)), wrap = intern(keep("__wrap_" + name)), real = intern(keep("__real_" + name));
    wraps.emplace_back(plain, wrap);
    wraps.emplace_back(real, plain);
    mention(wrap);
  }
  make_synthetic_symbols();
  for (const std::string& name : options.undefined) mention(intern(keep(name)));
  for (const std::string& name : options.exports) at(intern(keep(name))).forced_export = true;
  for (const std::string& name : options.required_exports) {
    SymbolId s = intern(keep(name));
    at(s).forced_export = true;
    mention(s);
  }
  if (!options.relocatable && !options.no_entry && !options.entry.empty()) mention(intern(keep(options.entry)));
  for (const std::string& path : options.allow_undefined_files) {
    auto file = input_files.open(path);
    if (!file.ok()) {
      diagnostics.error("cannot open " + path);
      continue;
    }
    std::istringstream in(std::string(reinterpret_cast<const char*>(file->data.data()), file->data.size()));
    for (std::string line; std::getline(in, line);) {
      while (!line.empty() && std::string_view(" \t\r").find(line.back()) != std::string_view::npos) line.pop_back();
      size_t begin = line.find_first_not_of(" \t");
      if (begin == std::string::npos || line[begin] == '#') continue;
      at(intern(keep(line.substr(begin)))).allowed_undefined = true;
    }
  }
}

void Link::report_unresolved() {
  if (options.relocatable) return;
  // Who refers to what, for the message: the first live file in input order that has the symbol.
  auto user = [&](SymbolId id) -> std::string {
    for (const InputFile& f : files)
      if (f.live || f.eager)
        if (std::find(f.symbols.begin(), f.symbols.end(), id) != f.symbols.end())
          return "\n>>> referenced by " + f.name;
    return "";
  };
  if (!options.no_entry && !options.entry.empty() && at(intern(options.entry)).state != State::defined) {
    if (options.unresolved == Unresolved::report || options.entry_given)
      diagnostics.error("entry symbol not defined (pass --no-entry to suppress): " + options.entry, 1);
  }
  for (uint32_t i = 0; i < symbols.size(); i++) {
    SymbolId id(i);
    Symbol& s = at(id);
    if (s.forced_export && s.state != State::defined && !s.live)
      for (const std::string& name : options.required_exports)
        if (name == s.name && options.unresolved == Unresolved::report)
          diagnostics.error("symbol exported via --export not found: " + describe(id), 1);
    if (!s.live || s.state == State::defined || s.weak || !s.kind_known) continue;
    if (s.explicit_import || s.allowed_undefined) continue;
    if (s.kind == SymbolKind::table && id == indirect_table) continue;
    if (s.kind == SymbolKind::data && (s.name.starts_with("__start_") || s.name.starts_with("__stop_"))) {
      std::string_view wanted = s.name.substr(s.name.starts_with("__start_") ? 8 : 7);
      if (std::any_of(segments.begin(), segments.end(), [&](const Segment& g) { return g.live && g.name == wanted; }))
        continue;
    }
    bool function = s.kind == SymbolKind::function;
    if (function && options.import_undefined) continue;
    switch (options.unresolved) {
      case Unresolved::ignore: break;
      case Unresolved::warn: diagnostics.warning("undefined symbol: " + describe(id) + user(id), 1); break;
      case Unresolved::import_dynamic:
        if (!function && s.kind == SymbolKind::data)
          diagnostics.error("undefined data symbol (its address is needed now): " + describe(id) + user(id), 1);
        break;
      case Unresolved::report: diagnostics.error("undefined symbol: " + describe(id) + user(id), 1); break;
    }
  }
}

}  // namespace lode::link::wasm
