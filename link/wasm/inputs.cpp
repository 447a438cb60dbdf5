// Files, archives and objects. An object's tables are mapped into the link's: each function, segment, global, table and
// tag that it defines becomes an item, whether used or not; what is used is decided by live.cpp.
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "codegen/air/air.h"
#include "formats/archive.h"
#include "link/common/lookups.h"
#include "link/wasm/link.h"

namespace lode::link::wasm {

namespace {

bool is_stub_library(Bytes bytes) {
  return std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()).starts_with("#STUB");
}

}  // namespace

Link::Link(Options o) : options(std::move(o)), store(1, cg::store_target) {
  diagnostics.program = options.program;
  diagnostics.fatal_warnings = options.fatal_warnings;
  diagnostics.no_warnings = options.no_warnings;
  diagnostics.error_limit = options.error_limit;
  diagnostics.color = options.color;
  if (options.incremental) input_files.observe();
  set_default_features();
  for (const MemoryInput& m : options.memory)
    if (!m.replaces.empty()) replaced.insert(m.replaces);
  removed.insert(options.removed.begin(), options.removed.end());
  start_symbols();
}

Link::~Link() = default;

void Link::add_inputs() {
  bool in_lib = false;
  for (const InputArg& in : options.inputs) {
    switch (in.kind) {
      case InputArg::lib_start:
        in_lib = true;
        archives.emplace_back();
        break;
      case InputArg::lib_end: in_lib = false; break;
      case InputArg::library: {
        bool exact = in.name.starts_with(":");
        std::string found;
        for (const std::string& dir : options.library_paths) {
          std::string path = dir + "/" + (exact ? in.name.substr(1) : "lib" + in.name + ".a");
          if (file_exists(path)) {
            found = path;
            break;
          }
          input_files.note_missing(path);
          // Of shared libraries only what is none: a stub library.
          std::string shared = dir + "/lib" + in.name + ".so";
          if (exact) continue;
          if (file_exists(shared) && is_stub_library(map_file(shared))) {
            found = shared;
            break;
          }
          input_files.note_missing(shared);
        }
        if (found.empty())
          diagnostics.error("unable to find library -l" + in.name);
        else
          add_file(found, in.whole_archive);
        break;
      }
      case InputArg::file:
        if (const MemoryInput* given = memory_input(in.name)) {
          if (given->module) add_air(std::make_unique<air::Module>(*given->module), given->name);
          else add_bytes(given->data, given->name, true, false);
          extract_pending();
        } else if (in_lib) {
          // Its names are offered like an archive member's.
          Bytes bytes = map_file(in.name);
          if (bytes.empty()) break;
          std::vector<std::string_view> names;
          if (!offered_names(bytes, in.name, names)) {  // archives are taken as they are
            add_bytes(bytes, in.name, true, false);
            break;
          }
          Archive& a = archives.back();
          uint32_t member = uint32_t(a.members.size());
          a.member_names.push_back(keep(in.name));
          a.members.push_back(bytes);
          a.taken.push_back(false);
          for (std::string_view name : names) add_lazy(name, uint32_t(archives.size() - 1), member);
          extract_pending();
        } else {
          add_file(in.name, in.whole_archive);
        }
        break;
    }
  }
}

const MemoryInput* Link::memory_input(const std::string& key) const {
  for (const MemoryInput& m : options.memory)
    if (m.key == key) return &m;
  return nullptr;
}

// The bytes of a file, which stay for the link; empty after an error was reported.
Bytes Link::map_file(const std::string& path) {
  auto file = input_files.open(path);
  if (!file.ok()) diagnostics.error(file.error());
  else if (file->data.empty()) diagnostics.error(path + ": the file is empty");
  else return file->data;
  return {};
}

void Link::add_file(const std::string& path, bool whole_archive) {
  Bytes bytes = map_file(path);
  if (bytes.empty()) return;
  add_bytes(bytes, path, true, whole_archive);
  extract_pending();
}

// A member's bytes. Those of a thin archive are files, named relative to it, which are mapped when they are first asked
// for.
Bytes Link::member_bytes(uint32_t archive, uint32_t member) {
  Archive& a = archives[archive];
  if (!a.thin || !a.members[member].empty()) return a.members[member];
  std::string path(a.member_names[member]);
  size_t slash = a.name.rfind('/');
  if (!path.starts_with("/") && slash != std::string::npos) path = a.name.substr(0, slash + 1) + path;
  return a.members[member] = map_file(path);
}

// The names that an input defines for others; false for what is no object and no module.
bool Link::offered_names(Bytes bytes, const std::string& name, std::vector<std::string_view>& out) {
  if (!fw::is_wasm(bytes)) return offered_names_of_module(bytes, name, out);
  auto object = fw::read(bytes);
  if (!object.ok() || !object->relocatable) return false;
  for (const fw::Symbol& s : object->symbols)
    if (!s.undefined() && (s.flags & fw::symbol_flags::binding_mask) != fw::symbol_flags::local) out.push_back(s.name);
  return true;
}

void Link::add_bytes(Bytes bytes, const std::string& name, bool eager, bool whole_archive) {
  if (options.trace && !formats::Archive::is_archive(bytes)) diagnostics.print("%s\n", name.c_str());
  if (formats::Archive::is_archive(bytes)) {
    auto opened = formats::Archive::open(bytes);
    if (!opened.ok()) return diagnostics.error(std::move(opened.error()).at(name));
    uint32_t index = uint32_t(archives.size());
    Archive& a = archives.emplace_back();
    a.name = name;
    a.thin = opened->thin;
    for (const formats::ArchiveMember& m : opened->members) {
      a.member_names.push_back(m.name);
      a.members.push_back(m.data);
    }
    a.taken.assign(a.members.size(), whole_archive);
    if (whole_archive) {
      for (uint32_t i = 0; i < opened->members.size(); i++)
        if (Bytes member = member_bytes(index, i); !member.empty() || !opened->thin)
          add_bytes(member, name + "(" + std::string(opened->members[i].name) + ")", true, false);
    } else {
      // An index that was made without knowing of bitcode lacks those members.
      std::vector<bool> indexed(opened->members.size());
      if (opened->has_index)
        for (const formats::ArchiveSymbol& s : opened->index) {
          indexed[s.member] = true;
          add_lazy(s.name, index, s.member);
        }
      std::vector<std::string_view> names;
      for (uint32_t i = 0; i < opened->members.size(); i++) {
        if (indexed[i]) continue;
        Bytes member = member_bytes(index, i);
        if ((opened->has_index && fw::is_wasm(member)) || (opened->thin && member.empty())) continue;
        names.clear();
        if (!offered_names(member, name + "(" + std::string(opened->members[i].name) + ")", names)) {
          if (!opened->has_index)
            diagnostics.error(name + ": the archive has no index, and member " + std::string(opened->members[i].name) +
                              " is no wasm object or bitcode");
          continue;
        }
        for (std::string_view s : names) add_lazy(s, index, i);
      }
    }
    return;
  }
  if (is_stub_library(bytes)) return add_stub_library(bytes, name);
  if (fw::is_wasm(bytes)) return add_object(bytes, name, eager);
  if (add_module(bytes, name, eager)) return;
  diagnostics.error(name + ": not a wasm object, an archive, bitcode or AIR");
}

static bool is_dropped(uint32_t comdat, const std::vector<bool>& dropped) { return comdat != none && dropped[comdat]; }

// The functions of an object as items. False: an error was reported.
bool Link::add_object_functions(InputFile& f, uint32_t number, const std::vector<bool>& dropped) {
  const fw::Module& m = *f.object;
  f.first_function = uint32_t(functions.size());
  if (m.code_section != none) {
    const std::vector<fw::Reloc>& relocs = m.sections[m.code_section].relocs;
    size_t r = 0;
    for (uint32_t i = 0; i < m.bodies.size(); i++) {
      if (r < relocs.size() && relocs[r].offset < m.bodies[i].begin)
        return diagnostics.error(f.name + ": a relocation of the code section lies between functions"), false;
      f.body_relocs.push_back(uint32_t(r));
      // A relocation's field lies in one body.
      for (size_t k = r; k < relocs.size() && relocs[k].offset < m.bodies[i].end; k++)
        if (uint64_t(relocs[k].offset) + fw::field_size(fw::info(relocs[k].type).field) > m.bodies[i].end)
          return diagnostics.error(f.name + ": a relocation of the code section crosses the end of a function"), false;
      Function fn;
      fn.source = Function::object;
      fn.file = number;
      fn.local = i;
      fn.type = f.types[m.functions[i]];
      fn.discarded = is_dropped(m.function_comdat[i], dropped);
      if (m.function_comdat[i] != none) fn.comdat = m.comdats[m.function_comdat[i]].name;
      functions.push_back(fn);
      while (r < relocs.size() && relocs[r].offset < m.bodies[i].end) r++;
    }
    f.body_relocs.push_back(uint32_t(r));
    if (r < relocs.size())
      return diagnostics.error(f.name + ": a relocation of the code section lies behind its functions"), false;
  }
  return true;
}

// The same of data segments.
bool Link::add_object_segments(InputFile& f, uint32_t number, const std::vector<bool>& dropped) {
  const fw::Module& m = *f.object;
  f.first_segment = uint32_t(segments.size());
  if (m.data_section != none) {
    const fw::Section& section = m.sections[m.data_section];
    Bytes payload = m.payload(section);
    uint32_t r = 0;
    for (uint32_t i = 0; i < m.segments.size(); i++) {
      const fw::DataSegment& d = m.segments[i];
      Segment s;
      s.name = d.name;
      s.file = number;
      s.local = i;
      s.bytes = payload.subspan(d.begin, d.end - d.begin);
      s.size = s.bytes.size();
      s.align_log2 = d.align_log2;
      s.flags = d.info_flags;
      s.discarded = is_dropped(d.comdat, dropped);
      if (d.comdat != none) s.comdat = m.comdats[d.comdat].name;
      if (d.name.starts_with(".tdata") || d.name.starts_with(".tbss")) s.flags |= fw::segment_flags::tls;
      while (r < section.relocs.size() && section.relocs[r].offset < d.begin) r++;
      s.first_reloc = r;
      while (r < section.relocs.size() && section.relocs[r].offset < d.end) {
        if (section.relocs[r].offset + fw::field_size(fw::info(section.relocs[r].type).field) > d.end)
          return diagnostics.error(f.name + ": a relocation of the data section crosses the end of a segment"), false;
        r++;
      }
      s.reloc_count = r - s.first_reloc;
      s.mergeable = (s.flags & fw::segment_flags::strings) &&
                    !(s.flags & (fw::segment_flags::tls | fw::segment_flags::retain)) && !s.reloc_count;
      segments.push_back(s);
    }
  }
  return true;
}

// Globals, tables and tags.
void Link::add_object_items(InputFile& f, uint32_t number) {
  const fw::Module& m = *f.object;
  f.first_global = uint32_t(globals.size());
  for (const fw::Global& g : m.globals) {
    Global item;
    item.type = g.type;
    item.init = g.init;
    item.file = number;
    globals.push_back(item);
  }
  f.first_table = uint32_t(tables.size());
  for (const fw::TableType& t : m.tables) {
    Table item;
    item.type = t;
    item.file = number;
    tables.push_back(item);
  }
  f.first_tag = uint32_t(tags.size());
  for (uint32_t t : m.tags) {
    Tag item;
    item.type = f.types[t];
    item.file = number;
    tags.push_back(item);
  }
}

// What an object says about a symbol. True: its definition lies in a comdat whose other copy was taken.
bool Link::describe_object_symbol(const InputFile& f, const fw::Symbol& y, Symbol& s) {
  const fw::Module& m = *f.object;
  namespace sf = fw::symbol_flags;
  s.name = y.name;
  s.kind = y.kind;
  s.weak = (y.flags & sf::binding_mask) == sf::weak;
  s.local = (y.flags & sf::binding_mask) == sf::local;
  s.hidden = y.flags & sf::hidden;
  s.exported = y.flags & sf::exported;
  s.no_strip = y.flags & sf::no_strip;
  s.tls = y.flags & sf::tls;
  s.absolute = y.flags & sf::absolute;
  bool defined = !y.undefined();
  bool discarded = false;
  switch (y.kind) {
    case SymbolKind::function:
      if (defined) {
        s.item = f.first_function + (y.element - m.imported_functions);
        s.type = functions[s.item].type;
        discarded = functions[s.item].discarded;
      } else {
        s.type = f.types[m.function_type(y.element)];
      }
      break;
    case SymbolKind::data:
      if (defined) {
        s.offset = y.offset;
        s.size = y.size;
        if (!s.absolute) {
          s.item = f.first_segment + y.element;
          discarded = segments[s.item].discarded;
          s.tls |= bool(segments[s.item].flags & fw::segment_flags::tls);
        }
      }
      break;
    case SymbolKind::global:
      if (defined) {
        s.item = f.first_global + (y.element - m.imported_globals);
        s.global = globals[s.item].type;
        if (globals[s.item].name.empty()) globals[s.item].name = y.name;
      } else {
        s.global = m.import_of(fw::ExternalKind::global, y.element).global;
      }
      break;
    case SymbolKind::table:
      if (defined) {
        s.item = f.first_table + (y.element - m.imported_tables);
        s.table = tables[s.item].type;
        if (tables[s.item].name.empty()) tables[s.item].name = y.name;
      } else {
        s.table = m.import_of(fw::ExternalKind::table, y.element).table;
        if (y.name == "__indirect_function_table" && (s.table.limits.flags & fw::limits_flags::is_64)) table64 = true;
      }
      break;
    case SymbolKind::tag:
      if (defined) {
        s.item = f.first_tag + (y.element - m.imported_tags);
        s.type = tags[s.item].type;
        if (tags[s.item].name.empty()) tags[s.item].name = y.name;
      } else {
        s.type = f.types[m.import_of(fw::ExternalKind::tag, y.element).type];
      }
      break;
    case SymbolKind::section:
      s.item = y.element;
      s.local = true;
      break;
  }
  if (!defined && y.kind != SymbolKind::data && y.kind != SymbolKind::section) {
    static constexpr fw::ExternalKind kinds[] = {
        fw::ExternalKind::function, {}, fw::ExternalKind::global, {}, fw::ExternalKind::tag, fw::ExternalKind::table};
    const fw::Import& im = m.import_of(kinds[unsigned(y.kind)], y.element);
    if ((y.flags & sf::explicit_name) || im.module != "env") {
      s.explicit_import = true;
      s.import_module = im.module;
      s.import_name = im.name;
    }
  }
  return discarded;
}

void Link::add_object_symbol(InputFile& f, const fw::Symbol& y, Symbol s, bool discarded) {
  SymbolId id;
  if (!y.undefined() && discarded && !s.local) {
    Symbol reference = s;  // its comdat's other copy defines it
    reference.item = none;
    id = refer(reference);
  } else if (!y.undefined()) {
    id = define(s);
    // The name of a function is that of the first symbol that defines it.
    if (s.kind == SymbolKind::function && functions[s.item].name.empty()) {
      functions[s.item].name = s.name;
      functions[s.item].symbol = id;
    }
    if (s.kind == SymbolKind::data && s.item != none && !segments[s.item].symbol.valid())
      segments[s.item].symbol = id;
  } else if (s.local) {
    diagnostics.error(f.name + ": symbol \"" + std::string(s.name) + "\" is local and undefined");
    id = refer(s);
  } else {
    id = refer(s);
  }
  f.symbols.push_back(id);
}

void Link::add_object(Bytes bytes, const std::string& name, bool eager) {
  auto read = fw::read(bytes);
  if (!read.ok()) return diagnostics.error(std::move(read.error()).at(name));
  if (!read->relocatable) return diagnostics.error(name + ": not a relocatable wasm file (it has no linking section)");
  if (read->has_dylink) return diagnostics.error(name + ": shared wasm libraries are not supported");
  for (const fw::DataSegment& d : read->segments)
    if (d.memory != 0) return diagnostics.error(name + ": more than one memory is not supported");
  auto other_width = [&](const fw::Limits& memory) {
    return bool(memory.flags & fw::limits_flags::is_64) != options.memory64;
  };
  bool other = std::any_of(read->memories.begin(), read->memories.end(), other_width) ||
               std::any_of(read->imports.begin(), read->imports.end(), [&](const fw::Import& i) {
                 return i.kind == fw::ExternalKind::memory && other_width(i.memory);
               });
  if (other)
    return diagnostics.error(name + (options.memory64
                                         ? ": a wasm32 object cannot be linked in wasm64 mode (-m wasm64)"
                                         : ": a wasm64 object cannot be linked in wasm32 mode (-m wasm64 links it)"));
  uint32_t number = uint32_t(files.size());
  InputFile& f = files.emplace_back();
  f.name = name;
  f.bytes = bytes;
  f.eager = eager;
  f.object = std::make_unique<fw::Module>(std::move(*read));
  const fw::Module& m = *f.object;

  f.types.reserve(m.types.size());
  for (Bytes t : m.types) f.types.push_back(types.intern(t));

  // Comdats: the first file that brings one keeps it.
  std::vector<bool> dropped(m.comdats.size());
  for (size_t i = 0; i < m.comdats.size(); i++) dropped[i] = !comdats.emplace(m.comdats[i].name, number).second;

  if (!add_object_functions(f, number, dropped) || !add_object_segments(f, number, dropped)) return;
  add_object_items(f, number);

  // An object from before table symbols may import the indirect function table without naming it.
  bool has_table_symbol = false;
  f.symbols.reserve(m.symbols.size());
  for (const fw::Symbol& y : m.symbols) {
    Symbol s;
    s.file = number;
    has_table_symbol |= y.kind == SymbolKind::table && y.name == "__indirect_function_table";
    const bool discarded = describe_object_symbol(f, y, s);
    add_object_symbol(f, y, std::move(s), discarded);
  }
  for (const fw::InitFunction& i : m.init_functions) f.inits.push_back({i.priority, f.symbols[i.symbol]});
  // Exports of functions by an export_name attribute.
  for (const fw::Export& e : m.exports)
    if (e.kind == fw::ExternalKind::function && e.index >= m.imported_functions) {
      Function& fn = functions[f.first_function + (e.index - m.imported_functions)];
      if (fn.symbol.valid()) {
        at(fn.symbol).exported = true;
        at(fn.symbol).export_name = e.name;
      }
    }
  if (!has_table_symbol && m.imported_tables == 1) {
    Symbol s;
    s.name = "__indirect_function_table";
    s.kind = SymbolKind::table;
    s.file = number;
    s.table = m.import_of(fw::ExternalKind::table, 0).table;
    refer(s);
  }
}

}  // namespace lode::link::wasm
