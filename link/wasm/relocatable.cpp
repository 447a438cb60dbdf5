// Relocatable output (-r): a module with the sections that Linking.md adds, version 2.
//
// Every index and address that a linker may change is a field of full width with a relocation; the field holds the
// value that is right for this file taken by itself, as a padded LEB128, so that tools that do not know relocations
// read it too. Offsets of relocations count from the start of the section's payload, the vector's length and each
// body's size included. What is undefined is imported: functions, globals, tables and tags by name; data symbols stand
// only in the symbol table. Each data item is a segment of its own, with its zeroes written out. Custom sections of
// objects, debug information among them, stand before "linking", which has a symbol for each that a relocation names.
#include <algorithm>
#include <map>

#include "base/bytes.h"
#include "link/wasm/output.h"

namespace lode::link::wasm {

namespace {

struct Writer {
  Link& l;
  Buffer out;
  uint32_t sections = 0;
  std::vector<SymbolId> table;                        // symbols written, in order
  std::vector<uint32_t> symbol_number;                // by SymbolId
  std::map<uint32_t, uint32_t> trap_number;           // by function item
  uint32_t next_number = 0;                           // of the symbol table
  std::vector<CustomSection> customs;
  std::vector<uint32_t> custom_place, custom_symbol;  // by custom section: its number among the sections, its symbol

  explicit Writer(Link& link) : l(link) {}

  void section(fw::SectionId id, const Buffer& p) {
    put_section(out, id, p);
    sections++;
  }
  void custom(std::string_view name, const Buffer& p) {
    put_custom(out, name, p);
    sections++;
  }

  bool written(const Symbol& s) const {
    if (!s.live || !s.kind_known || s.kind == SymbolKind::section) return false;
    if (s.state != State::defined || s.item == none) return true;
    switch (s.kind) {
      case SymbolKind::function: return l.functions[s.item].live && !l.functions[s.item].discarded;
      case SymbolKind::data: return l.segments[s.item].live && !l.segments[s.item].discarded;
      case SymbolKind::global: return l.globals[s.item].live && !l.globals[s.item].discarded;
      case SymbolKind::table: return l.tables[s.item].live;
      default: return l.tags[s.item].live && !l.tags[s.item].discarded;
    }
  }

  void imports() {
    Buffer p;
    append_uleb(p, l.imports.size() + 1);
    put_name(p, "env");
    put_name(p, "__linear_memory");
    p.push_back(2);
    put_limits(p, l.options.memory64 ? fw::limits_flags::is_64 : 0, 0, 0);
    for (SymbolId id : l.imports) {
      const Symbol& s = l.at(id);
      put_name(p, s.explicit_import ? s.import_module : "env");
      put_name(p, s.explicit_import ? s.import_name : s.name);
      switch (s.kind) {
        case SymbolKind::function:
          p.push_back(0);
          append_uleb(p, l.type_index[s.type]);
          break;
        case SymbolKind::table:
          p.push_back(1);
          p.push_back(s.table.element ? s.table.element : 0x70);
          put_limits(p, l.table64 && id == l.indirect_table ? fw::limits_flags::is_64 : 0,
                     id == l.indirect_table ? l.table_functions.size() + (l.table_functions.empty() ? 0 : 1)
                                            : s.table.limits.min,
                     0);
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
    section(fw::SectionId::import, p);
  }

  void symbol_entry(Buffer& p, const Symbol& s) {
    namespace sf = fw::symbol_flags;
    bool defined = s.state == State::defined;
    uint32_t flags = (s.local  ? sf::local
                      : s.weak ? sf::weak
                               : 0) |
                     (s.hidden ? sf::hidden : 0) | (defined ? 0 : sf::undefined) | (s.exported ? sf::exported : 0) |
                     (s.no_strip ? sf::no_strip : 0) | (s.absolute ? sf::absolute : 0);
    if (s.kind == SymbolKind::data && s.tls) flags |= sf::tls;
    // wasm-ld takes a table without uses for absent, also where functions have slots in it.
    if (&s == &l.at(l.indirect_table)) flags |= sf::no_strip;
    if (!defined && s.explicit_import) flags |= sf::explicit_name;
    p.push_back(uint8_t(s.kind));
    append_uleb(p, flags);
    if (s.kind == SymbolKind::data) {
      put_name(p, s.name);
      if (!defined) return;
      append_uleb(p, s.item == none ? 0 : l.output_segments[l.segments[s.item].output].index);
      append_uleb(p, s.offset);
      append_uleb(p, s.size);
      return;
    }
    uint32_t index = s.index;
    if (defined) switch (s.kind) {
        case SymbolKind::function: index = l.functions[s.item].index; break;
        case SymbolKind::global: index = l.globals[s.item].index; break;
        case SymbolKind::table: index = l.tables[s.item].index; break;
        default: index = l.tags[s.item].index;
      }
    append_uleb(p, index);
    if (defined || s.explicit_import) put_name(p, s.name);
  }

  Buffer linking() {
    Buffer p, sub;
    append_uleb(p, fw::linking_version);
    if (!table.empty() || !trap_number.empty() || !custom_symbol.empty()) {
      sub.clear();
      append_uleb(sub, table.size() + trap_number.size() + custom_symbol.size());
      for (SymbolId id : table) symbol_entry(sub, l.at(id));
      for (auto [item, number] : trap_number) {
        sub.push_back(uint8_t(SymbolKind::function));
        append_uleb(sub, fw::symbol_flags::local);
        append_uleb(sub, l.functions[item].index);
        put_name(sub, l.functions[item].name);
      }
      for (uint32_t place : custom_place) {
        sub.push_back(uint8_t(SymbolKind::section));
        append_uleb(sub, fw::symbol_flags::local);
        append_uleb(sub, place);
      }
      put_subsection(p, uint8_t(fw::LinkingSubsection::symbol_table), sub);
    }
    if (!l.output_segments.empty()) {
      sub.clear();
      append_uleb(sub, l.output_segments.size());
      for (const OutputSegment& o : l.output_segments) {
        put_name(sub, o.name);
        append_uleb(sub, o.align_log2);
        append_uleb(sub, o.flags);
      }
      put_subsection(p, uint8_t(fw::LinkingSubsection::segment_info), sub);
    }
    if (!l.ctors.empty()) {
      sub.clear();
      append_uleb(sub, l.ctors.size());
      for (const InputFile::Init& i : l.ctors) {
        append_uleb(sub, i.priority);
        append_uleb(sub, symbol_number[i.function.value]);
      }
      put_subsection(p, uint8_t(fw::LinkingSubsection::init_funcs), sub);
    }
    // Comdats by name; only what is written.
    std::map<std::string_view, std::vector<std::pair<fw::ComdatKind, uint32_t>>> groups;
    for (uint32_t i : l.output_functions)
      if (!l.functions[i].comdat.empty())
        groups[l.functions[i].comdat].emplace_back(fw::ComdatKind::function, l.functions[i].index);
    for (const OutputSegment& o : l.output_segments)
      for (uint32_t i : o.members)
        if (!l.segments[i].comdat.empty()) groups[l.segments[i].comdat].emplace_back(fw::ComdatKind::data, o.index);
    if (!groups.empty()) {
      sub.clear();
      append_uleb(sub, groups.size());
      for (auto& [name, entries] : groups) {
        put_name(sub, name);
        append_uleb(sub, 0);
        append_uleb(sub, entries.size());
        for (auto [kind, index] : entries) {
          sub.push_back(uint8_t(kind));
          append_uleb(sub, index);
        }
      }
      put_subsection(p, uint8_t(fw::LinkingSubsection::comdat_info), sub);
    }
    return p;
  }

  void relocs(std::string_view name, uint32_t target, const std::vector<OutReloc>& all) {
    if (all.empty()) return;
    Buffer p;
    append_uleb(p, target);
    append_uleb(p, all.size());
    for (const OutReloc& r : all) {
      const fw::RelocInfo& info = fw::info(r.type);
      p.push_back(uint8_t(r.type));
      append_uleb(p, r.offset);
      append_uleb(p, info.target == fw::RelocTarget::type ? r.type_index
                     : r.section != none                  ? custom_symbol[r.section]
                     : r.trap != none                     ? trap_number.at(r.trap)
                                                          : symbol_number[r.symbol.value]);
      if (info.has_addend) append_sleb(p, r.addend);
    }
    custom(name, p);
  }

  // Which symbols are written, and their numbers; the trap functions' and the custom sections' follow.
  void number_symbols() {
    symbol_number.assign(l.symbols.size(), none);
    for (uint32_t i = 0; i < l.symbols.size(); i++)
      if (written(l.symbols[i])) {
        symbol_number[i] = uint32_t(table.size());
        table.push_back(SymbolId(i));
      }
    for (uint32_t i : l.output_functions)
      if (l.functions[i].source == Function::trap) trap_number.emplace(i, 0);
    next_number = uint32_t(table.size());
    for (auto& [item, number] : trap_number) number = next_number++;
  }

  // A section that is a vector of what `entry` puts for each of `all`; none of an empty vector.
  template <class Items, class F>
  void vector_section(fw::SectionId id, const Items& all, F&& entry) {
    if (all.empty()) return;
    Buffer p;
    append_uleb(p, all.size());
    for (const auto& x : all) entry(p, x);
    section(id, p);
  }

  // The sections between imports and exports, in the order that the core specification demands.
  void definitions() {
    vector_section(fw::SectionId::function, l.output_functions,
                   [&](Buffer& p, uint32_t i) { append_uleb(p, l.type_index[l.functions[i].type]); });
    vector_section(fw::SectionId::table, l.output_tables, [&](Buffer& p, uint32_t i) {
      const fw::TableType& t = l.tables[i].type;
      p.push_back(t.element);
      put_limits(p, t.limits.flags, t.limits.min, t.limits.max);
    });
    vector_section(fw::SectionId::tag, l.output_tags, [&](Buffer& p, uint32_t i) {
      p.push_back(0);
      append_uleb(p, l.type_index[l.tags[i].type]);
    });
    vector_section(fw::SectionId::global, l.output_globals, [&](Buffer& p, uint32_t i) {
      const Global& g = l.globals[i];
      p.push_back(g.type.type);
      p.push_back(g.type.is_mutable);
      p.insert(p.end(), g.init.bytes.begin(), g.init.bytes.end());
    });
  }

  void exports() {
    std::vector<SymbolId> exported;
    for (SymbolId id : table)
      if (l.at(id).kind == SymbolKind::function && l.at(id).state == State::defined && !l.at(id).export_name.empty())
        exported.push_back(id);
    vector_section(fw::SectionId::export_, exported, [&](Buffer& p, SymbolId id) {
      put_name(p, l.at(id).export_name);
      p.push_back(0);
      append_uleb(p, l.functions[l.at(id).item].index);
    });
  }

  // One active segment: the functions whose addresses are taken, from slot 1 on.
  void elements() {
    if (l.table_functions.empty()) return;
    Buffer p;
    p.push_back(1);
    p.push_back(0);
    p.push_back(l.table64 ? 0x42 : 0x41);
    p.push_back(1);
    p.push_back(0x0b);
    append_uleb(p, l.table_functions.size());
    for (uint32_t f : l.table_functions) append_uleb(p, f);
    section(fw::SectionId::element, p);
  }

  void data_count() {
    if (l.output_segments.empty()) return;
    Buffer p;
    append_uleb(p, l.output_segments.size());
    section(fw::SectionId::data_count, p);
  }

  // Sections with relocations of their own: they and the section's number, for "reloc.*".
  struct Relocated {
    uint32_t section = 0;
    std::vector<OutReloc> relocs;
  };

  Relocated code() {
    Relocated r;
    if (l.output_functions.empty()) return r;
    std::vector<CodeChunk> chunks = write_code(l, uleb_size(l.output_functions.size()));
    Buffer p;
    append_uleb(p, l.output_functions.size());
    for (CodeChunk& c : chunks) {
      p.insert(p.end(), c.bytes.begin(), c.bytes.end());
      r.relocs.insert(r.relocs.end(), c.relocs.begin(), c.relocs.end());
    }
    r.section = sections;
    section(fw::SectionId::code, p);
    return r;
  }

  Relocated data() {
    Relocated r;
    if (l.output_segments.empty()) return r;
    r.section = sections;
    vector_section(fw::SectionId::data, l.output_segments, [&](Buffer& p, const OutputSegment& o) {
      p.push_back(0);
      p.push_back(l.options.memory64 ? 0x42 : 0x41);
      append_sleb(p, l.options.memory64 ? int64_t(o.address) : int32_t(uint32_t(o.address)));
      p.push_back(0x0b);
      append_uleb(p, o.file_size);
      size_t start = p.size(), first = r.relocs.size();
      put_segment(l, o, p, &r.relocs);
      for (size_t i = first; i < r.relocs.size(); i++) r.relocs[i].offset += uint32_t(start);
    });
    return r;
  }

  void custom_inputs() {
    customs = custom_sections(l);
    for (const CustomSection& c : customs) {
      custom_symbol.push_back(next_number++);
      custom_place.push_back(sections);
      custom(c.name, c.payload);
    }
  }

  void run() {
    out.assign(fw::magic, fw::magic + 8);
    number_symbols();
    if (!l.output_types.empty()) {
      put_types(l, out);
      sections++;
    }
    imports();
    definitions();
    exports();
    elements();
    data_count();
    const Relocated in_code = code(), in_data = data();
    custom_inputs();
    custom("linking", linking());
    relocs("reloc.CODE", in_code.section, in_code.relocs);
    relocs("reloc.DATA", in_data.section, in_data.relocs);
    for (size_t i = 0; i < customs.size(); i++)
      relocs("reloc." + std::string(customs[i].name), custom_place[i], customs[i].relocs);
    custom("producers", producers_payload(l));
    if (!l.output_features.empty()) custom("target_features", features_payload(l));
  }
};

}  // namespace

std::vector<uint8_t> Link::write_relocatable() {
  Writer w(*this);
  w.run();
  return std::move(w.out);
}

}  // namespace lode::link::wasm
