// The executable: sections in the order of the core specification (5.5.16), then the custom ones.
#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <unordered_set>

#include "base/bytes.h"
#include "link/common/digest.h"
#include "link/wasm/output.h"

namespace lode::link::wasm {

namespace {

void put_address(Buffer& out, bool memory64, uint64_t value) {
  out.push_back(memory64 ? 0x42 : 0x41);
  append_sleb(out, memory64 ? int64_t(value) : int32_t(uint32_t(value)));
  out.push_back(0x0b);
}

// The initial value of a global that an object defines.
void put_init(const Link& l, const Global& g, Buffer& out) {
  if (g.synthetic) return put_address(out, l.options.memory64, g.value);
  if (g.init.kind == fw::ConstExpr::Kind::global_get) {
    // By the symbol that names the imported global.
    const InputFile& f = l.files[g.file];
    for (size_t i = 0; i < f.object->symbols.size(); i++)
      if (f.object->symbols[i].kind == SymbolKind::global && f.object->symbols[i].element == g.init.value) {
        out.push_back(0x23);
        append_uleb(out, l.global_index(f.symbols[i]));
        out.push_back(0x0b);
        return;
      }
  }
  out.insert(out.end(), g.init.bytes.begin(), g.init.bytes.end());
}

// What the source says counts, also an empty name.
std::string_view import_module(const Symbol& s) { return s.explicit_import ? s.import_module : "env"; }
std::string_view import_name(const Symbol& s) { return s.explicit_import ? s.import_name : s.name; }

uint8_t memory_flags(const Link& l) {
  return uint8_t((l.memory_has_max ? fw::limits_flags::has_max : 0) |
                 (l.options.shared_memory ? fw::limits_flags::shared : 0) |
                 (l.options.memory64 ? fw::limits_flags::is_64 : 0));
}

// Limits of the indirect function table: what the slots need.
void put_table_type(const Link& l, Buffer& out, const fw::TableType& t, bool indirect) {
  out.push_back(t.element ? t.element : 0x70);
  if (!indirect) return put_limits(out, t.limits.flags, t.limits.min, t.limits.max);
  uint64_t n = (l.options.table_base ? l.options.table_base : 1) + l.table_functions.size();
  bool growable = l.options.growable_table || l.options.import_table;
  put_limits(out, uint8_t((growable ? 0 : fw::limits_flags::has_max) | (l.table64 ? fw::limits_flags::is_64 : 0)), n,
             n);
}

}  // namespace

static Buffer name_section(const Link& l) {
  auto show = [&](std::string_view name) { return l.options.demangle ? demangle(name) : std::string(name); };
  Buffer out, p;
  std::string_view file = l.options.output, module = l.options.module_name;
  if (module.empty()) module = file.substr(file.find_last_of('/') + 1);
  if (!module.empty()) {
    put_name(p, module);
    put_subsection(out, uint8_t(fw::NameSubsection::module), p);
  }
  auto names = [&](fw::NameSubsection kind, std::vector<std::pair<uint32_t, std::string>>& all) {
    if (all.empty()) return;
    std::sort(all.begin(), all.end());
    p.clear();
    append_uleb(p, all.size());
    for (auto& [index, name] : all) {
      append_uleb(p, index);
      put_name(p, name);
    }
    put_subsection(out, uint8_t(kind), p);
    all.clear();
  };
  std::vector<std::pair<uint32_t, std::string>> all;
  for (SymbolId id : l.imports)
    if (l.at(id).kind == SymbolKind::function) all.emplace_back(l.at(id).index, show(l.at(id).name));
  for (uint32_t i : l.output_functions) all.emplace_back(l.functions[i].index, show(l.functions[i].name));
  names(fw::NameSubsection::function, all);
  for (SymbolId id : l.imports)
    if (l.at(id).kind == SymbolKind::global) all.emplace_back(l.at(id).index, show(l.at(id).name));
  for (uint32_t i : l.output_globals)
    if (!l.globals[i].name.empty()) all.emplace_back(l.globals[i].index, show(l.globals[i].name));
  names(fw::NameSubsection::global, all);
  for (const OutputSegment& o : l.output_segments)
    if (o.index != none) all.emplace_back(o.index, std::string(o.name));
  names(fw::NameSubsection::data, all);
  return out;
}

// The section build_id: the length and the bytes of an identifier, of all that stands before it or as the command line
// says.
static void put_build_id(const Link& l, Buffer& out) {
  std::vector<uint8_t> id;
  switch (l.options.build_id) {
    case BuildId::none: return;
    case BuildId::hex: id = l.options.build_id_bytes; break;
    case BuildId::sha1: id = sha1(out); break;
    case BuildId::fast:
      id.resize(8);
      store_le<uint64_t>(id.data(), XXH3_64bits(out.data(), out.size()));
      break;
    case BuildId::uuid: {
      const auto uuid = random_uuid();
      id.assign(uuid.begin(), uuid.end());
      break;
    }
    case BuildId::md5: case BuildId::sha256: return;  // refused when options are read
  }
  Buffer p;
  append_uleb(p, id.size());
  p.insert(p.end(), id.begin(), id.end());
  put_custom(out, "build_id", p);
}

// Types come first, by put_types().
static void put_imports(const Link& l, Buffer& out) {
  const uint32_t import_count = uint32_t(l.imports.size()) + (l.options.import_memory ? 1 : 0);
  if (!import_count) return;
  Buffer p;
  append_uleb(p, import_count);
  auto put = [&](SymbolKind kind) {
    for (SymbolId id : l.imports) {
      const Symbol& s = l.at(id);
      if (s.kind != kind) continue;
      put_name(p, import_module(s));
      put_name(p, import_name(s));
      switch (kind) {
        case SymbolKind::function:
          p.push_back(0);
          append_uleb(p, l.type_index[s.type]);
          break;
        case SymbolKind::table:
          p.push_back(1);
          put_table_type(l, p, s.table, id == l.indirect_table);
          break;
        case SymbolKind::global:
          p.push_back(3);
          p.push_back(s.global.type);
          p.push_back(s.global.is_mutable);
          break;
        default:
          p.push_back(4);
          p.push_back(0);
          append_uleb(p, l.type_index[s.type]);
      }
    }
  };
  put(SymbolKind::function);
  put(SymbolKind::table);
  if (l.options.import_memory) {
    put_name(p, l.options.import_memory_module);
    put_name(p, l.options.import_memory_name);
    p.push_back(2);
    put_limits(p, memory_flags(l), l.memory_pages, l.memory_max_pages);
  }
  put(SymbolKind::global);
  put(SymbolKind::tag);
  put_section(out, fw::SectionId::import, p);
}

// Functions, tables, memory and tags: what there is, without what is in it.
static void put_declarations(const Link& l, Buffer& out) {
  if (!l.output_functions.empty()) {
    Buffer p;
    append_uleb(p, l.output_functions.size());
    for (uint32_t i : l.output_functions) append_uleb(p, l.type_index[l.functions[i].type]);
    put_section(out, fw::SectionId::function, p);
  }
  if (!l.output_tables.empty()) {
    Buffer p;
    append_uleb(p, l.output_tables.size());
    const Symbol& indirect = l.at(l.indirect_table);
    for (uint32_t i : l.output_tables)
      put_table_type(l, p, l.tables[i].type, indirect.state == State::defined && indirect.item == i);
    put_section(out, fw::SectionId::table, p);
  }
  if (!l.options.import_memory) {
    Buffer p;
    p.push_back(1);
    put_limits(p, memory_flags(l), l.memory_pages, l.memory_max_pages);
    put_section(out, fw::SectionId::memory, p);
  }
  if (!l.output_tags.empty()) {
    Buffer p;
    append_uleb(p, l.output_tags.size());
    for (uint32_t i : l.output_tags) {
      p.push_back(0);
      append_uleb(p, l.type_index[l.tags[i].type]);
    }
    put_section(out, fw::SectionId::tag, p);
  }
}

// By name.
static std::vector<SymbolId> exported_symbols(const Link& l) {
  std::vector<SymbolId> exported;
  for (uint32_t i = 0; i < l.symbols.size(); i++) {
    const Symbol& s = l.symbols[i];
    bool is_entry = !l.options.no_entry && s.name == l.options.entry && s.kind == SymbolKind::function &&
                    s.state == State::defined && !s.local;
    if (!is_entry && !l.is_exported(s)) continue;
    if (s.kind == SymbolKind::function && !l.functions[s.item].live) continue;
    if (s.kind == SymbolKind::global && !l.globals[s.item].live) continue;
    if (s.kind == SymbolKind::table && !l.tables[s.item].live) continue;
    if (s.kind == SymbolKind::tag && !l.tags[s.item].live) continue;
    if (s.kind == SymbolKind::data && (s.tls || (s.item != none && !l.segments[s.item].live))) continue;
    exported.push_back(SymbolId(i));
  }
  std::sort(exported.begin(), exported.end(), [&](SymbolId a, SymbolId b) { return l.at(a).name < l.at(b).name; });
  return exported;
}

// A data symbol is exported as an immutable global with its address, behind the globals that objects have.
struct Exports {
  Buffer bytes;
  uint32_t count = 0;
  std::vector<uint64_t> addresses;
};

static Exports make_exports(Link& l) {
  Exports x;
  std::unordered_set<std::string_view> export_names;  // a module that has one twice is invalid
  auto put_export = [&](std::string_view name, fw::ExternalKind kind, uint32_t index) {
    if (!export_names.insert(name).second) l.diagnostics.error("duplicate export: " + std::string(name));
    put_name(x.bytes, name);
    x.bytes.push_back(uint8_t(kind));
    append_uleb(x.bytes, index);
    x.count++;
  };
  if (!l.options.import_memory || l.options.export_memory)
    put_export(l.options.export_memory_name, fw::ExternalKind::memory, 0);
  if (l.options.export_table) {
    const Symbol& t = l.at(l.indirect_table);
    put_export("__indirect_function_table", fw::ExternalKind::table,
               t.state == State::defined ? l.tables[t.item].index : t.index);
  }
  for (SymbolId id : exported_symbols(l)) {
    const Symbol& s = l.at(id);
    std::string_view name = s.export_name.empty() ? s.name : s.export_name;
    switch (s.kind) {
      case SymbolKind::function: {
        auto wrapper = l.export_wrappers.find(id.value);
        put_export(name, fw::ExternalKind::function,
                   wrapper == l.export_wrappers.end() ? l.functions[s.item].index : l.functions[wrapper->second].index);
        break;
      }
      case SymbolKind::data:
        put_export(name, fw::ExternalKind::global,
                   l.imported_globals + uint32_t(l.output_globals.size() + x.addresses.size()));
        x.addresses.push_back(l.address_of(id));
        break;
      case SymbolKind::global: put_export(name, fw::ExternalKind::global, l.globals[s.item].index); break;
      case SymbolKind::table:
        if (id != l.indirect_table || !l.options.export_table)
          put_export(name, fw::ExternalKind::table, l.tables[s.item].index);
        break;
      case SymbolKind::tag: put_export(name, fw::ExternalKind::tag, l.tags[s.item].index); break;
      default: break;
    }
  }
  return x;
}

static void put_globals(const Link& l, const std::vector<uint64_t>& addresses, Buffer& out) {
  if (l.output_globals.empty() && addresses.empty()) return;
  Buffer p;
  append_uleb(p, l.output_globals.size() + addresses.size());
  for (uint32_t i : l.output_globals) {
    p.push_back(l.globals[i].type.type);
    p.push_back(l.globals[i].type.is_mutable);
    put_init(l, l.globals[i], p);
  }
  for (uint64_t a : addresses) {
    p.push_back(l.options.memory64 ? 0x7e : 0x7f);
    p.push_back(0);
    put_address(p, l.options.memory64, a);
  }
  put_section(out, fw::SectionId::global, p);
}

static void put_elements(const Link& l, Buffer& out) {
  if (l.table_functions.empty()) return;
  Buffer p;
  p.push_back(1);
  const Symbol& t = l.at(l.indirect_table);
  uint32_t table = t.state == State::defined ? l.tables[t.item].index : t.index;
  p.push_back(table ? 2 : 0);
  if (table) append_uleb(p, table);
  p.push_back(l.table64 ? 0x42 : 0x41);
  append_sleb(p, int64_t(l.options.table_base ? l.options.table_base : 1));
  p.push_back(0x0b);
  if (table) p.push_back(0);  // element kind: function references
  append_uleb(p, l.table_functions.size());
  for (uint32_t f : l.table_functions) append_uleb(p, f);
  put_section(out, fw::SectionId::element, p);
}

static void put_code(Link& l, Buffer& out) {
  if (l.output_functions.empty()) return;
  std::vector<CodeChunk> chunks = write_code(l, uleb_size(l.output_functions.size()));
  uint64_t size = uleb_size(l.output_functions.size());
  for (const CodeChunk& c : chunks) size += c.bytes.size();
  out.reserve(out.size() + size + 16);
  out.push_back(uint8_t(fw::SectionId::code));
  append_uleb(out, size);
  append_uleb(out, l.output_functions.size());
  for (const CodeChunk& c : chunks) out.insert(out.end(), c.bytes.begin(), c.bytes.end());
}

static void put_data(const Link& l, uint32_t segment_count, Buffer& out) {
  if (!segment_count) return;
  Buffer p;
  append_uleb(p, segment_count);
  for (const OutputSegment& o : l.output_segments) {
    if (o.index == none) continue;
    p.push_back(o.passive);
    if (!o.passive) put_address(p, l.options.memory64, o.address);
    append_uleb(p, o.file_size);
    put_segment(l, o, p, nullptr);
  }
  put_section(out, fw::SectionId::data, p);
}

std::vector<uint8_t> Link::write_executable() {
  Buffer out(fw::magic, fw::magic + 8);
  const Link& l = *this;
  if (!output_types.empty()) put_types(l, out);
  put_imports(l, out);
  put_declarations(l, out);
  const Exports exports = make_exports(*this);
  put_globals(l, exports.addresses, out);
  if (exports.count) {
    Buffer p;
    append_uleb(p, exports.count);
    p.insert(p.end(), exports.bytes.begin(), exports.bytes.end());
    put_section(out, fw::SectionId::export_, p);
  }
  if (needs_init_memory) {
    Buffer p;
    append_uleb(p, function_index(init_memory));
    put_section(out, fw::SectionId::start, p);
  }
  put_elements(l, out);
  uint32_t segment_count = 0;
  for (const OutputSegment& o : output_segments) segment_count += o.index != none;
  if (segment_count && options.shared_memory) {
    Buffer p;
    append_uleb(p, segment_count);
    put_section(out, fw::SectionId::data_count, p);
  }
  put_code(*this, out);
  put_data(l, segment_count, out);

  for (const CustomSection& c : custom_sections(*this)) put_custom(out, c.name, c.payload);
  auto kept = [&](std::string_view name) {
    return !options.strip_all ||
           std::find(options.keep_sections.begin(), options.keep_sections.end(), name) != options.keep_sections.end();
  };
  if (kept("name")) put_custom(out, "name", name_section(l));
  if (kept("producers")) put_custom(out, "producers", producers_payload(l));
  if (kept("target_features") && !output_features.empty()) put_custom(out, "target_features", features_payload(l));
  put_build_id(l, out);
  return out;
}

}  // namespace lode::link::wasm
