// A module in the shape of an object.
//
// Sections: for each defined function its text, its constants and, if it has a personality, its exception table; for
// each defined variable its own, named as a compiler would (.data, .bss, .rodata, .data.rel.ro, .tdata, .tbss, or as
// the source says); one .init_array or .fini_array entry for each constructor. C strings whose address does not matter
// become mergeable. COMDATs become groups.
#include "link/elf/code/modules.h"
#include "link/elf/machines/machine.h"

#include <bit>
#include <cstring>
#include <map>
#include <unordered_map>
#include <unordered_set>

#include "base/bytes.h"
#include "codegen/air/aliases.h"
#include "codegen/air/text.h"
#include "codegen/native/module_asm.h"
#include "link/common/module_file.h"

namespace lode::link::elf {

namespace {

class Reader {
 public:
  Reader(ObjectFile& file, const Link& link)
      : file_(file), machine_(*link.machine), s_(*file.module), m_(*s_.module),
        pic_(link.pic || link.relocatable), relocatable_(link.relocatable),
        marks_(m_.requests.branch_targets || link.opt.z_ibt) {}

  Result<void> run() {
    file_.strings.assign(1, '\0');
    s_.sections.emplace_back();
    s_.data.push_back(nullptr);
    s_.relocs.emplace_back();
    s_.roots.push_back(0);
    groups_.resize(m_.comdats.size());
    section_of_.assign(m_.symbols.size(), 0);
    for (uint32_t i = 0; i < m_.symbols.size(); i++) LODE_TRY(define(i));
    add_assembly_sections();
    LODE_TRY(make_symbols());
    relocate_assembly();
    make_patchable_lists();
    for (uint32_t i = 0; i < m_.symbols.size(); i++) LODE_TRY(relocate(i));
    LODE_TRY(make_inits());
    make_groups();
    // All code that is made here is fit for a shadow stack.
    const uint32_t features = (marks_ ? uint32_t(GNU_PROPERTY_X86_FEATURE_1_IBT) : 0) |
                              (m_.requests.shadow_stack ? uint32_t(GNU_PROPERTY_X86_FEATURE_1_SHSTK) : 0);
    if (features) file_.properties.emplace_back(GNU_PROPERTY_X86_FEATURE_1_AND, features);
    file_.sections = s_.sections;
    file_.syms = s_.syms;
    file_.strtab = file_.strings;
    index_functions();
    return {};
  }

 private:
  void index_functions() {
    s_.function_of_section.assign(s_.sections.size(), none);
    for (uint32_t i = 0; i < s_.functions.size(); i++) s_.function_of_section[s_.functions[i].section] = i;
  }

  uint32_t add_string(std::string_view s) {
    uint32_t at = uint32_t(file_.strings.size());
    file_.strings.append(s);
    file_.strings += '\0';
    return at;
  }
  // Names of sections repeat; one string each.
  uint32_t section_string(std::string_view s) {
    for (auto& [name, at] : section_names_)
      if (name == s) return at;
    uint32_t at = add_string(s);
    if (section_names_.size() < 64) section_names_.emplace_back(std::string(s), at);
    return at;
  }

  uint32_t add_section(std::string_view name, uint32_t type, uint64_t flags, uint64_t size, uint32_t align_log2,
                       const uint8_t* data, bool own_name = false) {
    Shdr h{};
    h.name = own_name ? add_string(name) : section_string(name);
    h.type = type;
    h.flags = flags;
    h.size = size;
    h.addralign = uint64_t{1} << align_log2;
    s_.sections.push_back(h);
    s_.data.push_back(data);
    s_.relocs.emplace_back();
    s_.roots.push_back(0);
    return uint32_t(s_.sections.size() - 1);
  }

  static bool defines(const air::Symbol& x) {
    return x.defined && x.linkage != air::Linkage::available_externally && x.linkage != air::Linkage::appending;
  }
  static bool discardable(air::Linkage l) {
    return l == air::Linkage::internal || l == air::Linkage::linkonce_any || l == air::Linkage::linkonce_odr ||
           l == air::Linkage::available_externally;
  }

  // The section of symbol i.
  Result<void> define(uint32_t i) {
    const air::Symbol& x = m_.symbols[i];
    if (!defines(x) || x.kind == air::SymbolKind::alias || x.kind == air::SymbolKind::ifunc ||
        x.linkage == air::Linkage::common)
      return {};
    std::string_view name = m_.str(x.name), given = m_.str(x.section);
    if (x.align_log2 > 32) return error("symbol " + std::string(name) + ": implausible alignment");
    uint32_t section;
    if (x.kind == air::SymbolKind::function) {
      if (!x.function.valid() || x.function.value >= m_.functions.size())
        return error("function " + std::string(name) + " has no body");
      bool own = relocatable_ && given.empty();
      std::string text =
          given.empty() ? (own ? ".text." + std::string(name) : std::string(".text")) : std::string(given);
      section = add_section(text, SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR, 0,
                            std::max<uint32_t>(x.align_log2, machine_.function_align_log2), nullptr, own);
      std::string constants = own ? ".rodata." + std::string(name) : std::string(".rodata");
      uint32_t c = add_section(constants, SHT_PROGBITS, SHF_ALLOC, 0, 0, nullptr, own);
      s_.functions.emplace_back();
      s_.functions.back().section = section;
      s_.functions.back().index = x.function;
      if (x.comdat.valid() && x.comdat.value < groups_.size()) groups_[x.comdat.value].push_back({c});
      if (m_.functions[x.function.value].has_personality) {
        std::string table = own ? ".gcc_except_table." + std::string(name) : std::string(".gcc_except_table");
        uint32_t e = add_section(table, SHT_PROGBITS, SHF_ALLOC, 0, 2, nullptr, own);
        s_.functions.back().exceptions = e;
        if (x.comdat.valid() && x.comdat.value < groups_.size()) groups_[x.comdat.value].push_back({e});
      }
      if (m_.functions[x.function.value].has_type_id) {
        uint32_t t = add_section(".kcfi_traps", SHT_PROGBITS, SHF_ALLOC | SHF_LINK_ORDER, 0, 2, nullptr);
        s_.sections[t].link = section;
        s_.functions.back().traps = t;
        if (x.comdat.valid() && x.comdat.value < groups_.size()) groups_[x.comdat.value].push_back({t});
      }
    } else {
      if (x.bytes_size > x.size || x.bytes_offset > m_.data.size() || x.bytes_size > m_.data.size() - x.bytes_offset)
        return error("data of " + std::string(name) + " lies outside the module's data");
      if (x.size > (uint64_t{1} << 46)) return error("variable " + std::string(name) + " is too large");
      bool tls = x.tls != air::TlsModel::none;
      bool zero = x.bytes_size == 0 && x.reloc_count == 0;
      bool c_string =
          x.constant && x.unnamed_addr && x.reloc_count == 0 && !tls && given.empty() && x.size &&
          x.bytes_size == x.size && x.align_log2 == 0 && !relocatable_ &&
          std::memchr(m_.data.data() + x.bytes_offset, 0, x.size) == m_.data.data() + x.bytes_offset + x.size - 1;
      std::string_view base = tls                               ? (zero ? ".tbss" : ".tdata")
                              : x.constant && x.reloc_count == 0 ? ".rodata"
                              : x.constant                       ? (pic_ ? ".data.rel.ro" : ".rodata")
                              : zero                             ? ".bss"
                                                                 : ".data";
      uint64_t flags = SHF_ALLOC | (tls ? uint64_t(SHF_TLS) : 0) | (base == ".rodata" ? 0 : uint64_t(SHF_WRITE));
      if (!given.empty())
        flags = SHF_ALLOC | (tls ? uint64_t(SHF_TLS) : 0) |
                (x.constant && !(x.reloc_count && pic_) ? 0 : uint64_t(SHF_WRITE));
      if (x.retain) flags |= SHF_GNU_RETAIN;
      bool nobits = zero && (base == ".bss" || base == ".tbss") &&
                    (given.empty() || given.starts_with(".bss") || given.starts_with(".tbss"));
      const uint8_t* data = nullptr;
      if (!nobits && x.size) {
        if (x.bytes_size == x.size) {
          data = m_.data.data() + x.bytes_offset;
        } else {
          auto copy = std::make_unique<std::vector<uint8_t>>(x.size);
          if (x.bytes_size) std::memcpy(copy->data(), m_.data.data() + x.bytes_offset, x.bytes_size);
          data = copy->data();
          s_.owned.push_back(std::move(copy));
        }
      }
      if (c_string) {
        section = add_section(".rodata.str1.1", SHT_PROGBITS, SHF_ALLOC | SHF_MERGE | SHF_STRINGS, x.size, 0, data);
        s_.sections[section].entsize = 1;
      } else {
        bool own = relocatable_ && given.empty();
        std::string full = given.empty() ? (own ? std::string(base) + "." + std::string(name) : std::string(base))
                                         : std::string(given);
        uint32_t type = nobits                            ? SHT_NOBITS
                        : full.starts_with(".init_array") ? SHT_INIT_ARRAY
                        : full.starts_with(".fini_array") ? SHT_FINI_ARRAY
                        : full.starts_with(".note")       ? SHT_NOTE
                                                          : SHT_PROGBITS;
        section = add_section(full, type, flags, x.size, x.align_log2, data, own);
      }
    }
    section_of_[i] = section;
    if (x.used || x.retain || !discardable(x.linkage)) s_.roots[section] = x.used || x.retain ? 2 : 1;
    if (x.comdat.valid() && x.comdat.value < groups_.size()) groups_[x.comdat.value].push_back({section});
    return {};
  }

  // What an alias stands for: a defined function or variable, and the distance from it.
  Result<uint32_t> base_of(uint32_t i, int64_t& offset) {
    air::AliasBase base = aliases_.of(air::SymbolIndex(i));
    if (!base.symbol.valid()) return error("alias " + std::string(m_.str(m_.symbols[i].name)) + " stands for nothing");
    offset = base.offset;
    return base.symbol.value;
  }

  Result<void> make_symbols() {
    s_.syms.emplace_back(Sym{});
    file_.wide_sections.push_back(0);
    s_.sym_of.assign(m_.symbols.size(), 0);
    find_assembly_symbols();
    for (int pass = 0; pass < 2; pass++) {
      if (pass == 1) file_.first_global = uint32_t(s_.syms.size());
      add_assembly_symbols(pass == 0);
      for (const ModuleFunction& f : s_.functions)
        add_text_symbol(f, m_.symbols[m_.functions[f.index.value].symbol.value], pass == 0);
      for (uint32_t i = 0; i < m_.symbols.size(); i++) {
        const air::Symbol& x = m_.symbols[i];
        bool local = x.linkage == air::Linkage::internal;
        if (local != (pass == 0) || x.linkage == air::Linkage::appending) continue;
        std::string_view name = m_.str(x.name);
        if (name.starts_with("llvm.") || (!in_assembly_.empty() && in_assembly_[i] != none)) continue;
        if (!name.empty() && name[0] == '\1') name.remove_prefix(1);
        Sym s{};
        s.name = name.empty() ? 0 : add_string(name);
        uint8_t bind = local ? STB_LOCAL : STB_GLOBAL;
        switch (x.linkage) {
          case air::Linkage::weak_any: case air::Linkage::weak_odr: case air::Linkage::linkonce_any:
          case air::Linkage::linkonce_odr: case air::Linkage::extern_weak:
            bind = STB_WEAK;
            break;
          default: break;
        }
        uint8_t type = x.kind == air::SymbolKind::function ? STT_FUNC : STT_OBJECT;
        uint32_t section = 0;
        if (defines(x)) {
          if (x.linkage == air::Linkage::common) {
            s.shndx = SHN_COMMON;
            s.value = uint64_t{1} << std::min(x.align_log2, 30u);
            s.size = x.size;
          } else {
            int64_t offset = 0;
            LODE_ASSIGN(uint32_t base, base_of(i, offset));
            const air::Symbol& b = m_.symbols[base];
            if (b.kind == air::SymbolKind::function) type = STT_FUNC;
            else if (b.kind == air::SymbolKind::data) type = STT_OBJECT;
            if (x.kind == air::SymbolKind::ifunc) type = STT_GNU_IFUNC;
            section = section_of_[base];
            if (!section) return error("alias " + std::string(name) + " stands for a symbol that is not defined here");
            s.shndx = SHN_XINDEX;
            s.value = uint64_t(offset);
            s.size = b.size;
            if (base != i && s_.roots[section] == 0 && !discardable(x.linkage)) s_.roots[section] = 1;
            if (b.tls != air::TlsModel::none) type = STT_TLS;
          }
        } else if (!local) {
          type = STT_NOTYPE;
        }
        if (x.tls != air::TlsModel::none) type = STT_TLS;
        s.info = uint8_t(bind << 4 | type);
        s.other = x.visibility == air::Visibility::hidden       ? STV_HIDDEN
                  : x.visibility == air::Visibility::protected_ ? STV_PROTECTED
                                                                : STV_DEFAULT;
        s_.sym_of[i] = uint32_t(s_.syms.size());
        s_.syms.push_back(s);
        file_.wide_sections.push_back(section);
      }
    }
    join_assembly_symbols();
    return {};
  }

  // ---- what the module's own assembly makes: sections, symbols and relocations beside those of the IR

  void add_assembly_sections() {
    if (!s_.assembly) return;
    for (const codegen::AsmObjectSection& x : s_.assembly->sections) {
      uint32_t section = 0;
      if (x.name == ".note.GNU-stack") {
        file_.exec_stack |= (x.flags & SHF_EXECINSTR) != 0;
      } else if (x.type != SHT_NULL) {
        section = add_section(x.name, x.type, x.flags, x.type == SHT_NOBITS ? x.size : x.bytes.size(),
                              unsigned(std::countr_zero(std::max<uint64_t>(x.align, 1))),
                              x.type == SHT_NOBITS ? nullptr : x.bytes.data());
        s_.sections[section].entsize = x.entsize;
        s_.roots[section] = s_.sections[section].flags & SHF_GNU_RETAIN || is_array(x) ? 2 : 1;
        if (!x.group.empty()) assembly_groups_[x.group].push_back({section});
      }
      assembly_sections_.push_back(section);
    }
    for (size_t i = 0; i < assembly_sections_.size(); i++)
      if (const uint32_t to = s_.assembly->sections[i].linked; to != none && assembly_sections_[i])
        s_.sections[assembly_sections_[i]].link = assembly_sections_[to];
  }

  static bool is_array(const codegen::AsmObjectSection& x) {
    return x.type == SHT_INIT_ARRAY || x.type == SHT_FINI_ARRAY || x.type == SHT_PREINIT_ARRAY || x.type == SHT_NOTE ||
           x.name == ".init" || x.name == ".fini" || x.name.starts_with(".ctors") || x.name.starts_with(".dtors");
  }

  // A name is one symbol, whether the IR or the assembly defines it.
  void find_assembly_symbols() {
    if (!s_.assembly) return;
    in_assembly_.assign(m_.symbols.size(), none);
    in_ir_.assign(s_.assembly->symbols.size(), none);
    std::unordered_map<std::string_view, uint32_t> by_name;
    for (uint32_t k = 0; k < s_.assembly->symbols.size(); k++) by_name.emplace(s_.assembly->symbols[k].name, k);
    for (uint32_t i = 0; i < m_.symbols.size(); i++) {
      std::string_view name = m_.str(m_.symbols[i].name);
      if (!name.empty() && name[0] == '\1') name.remove_prefix(1);
      auto it = by_name.find(name);
      if (it == by_name.end() || name.starts_with("llvm.")) continue;
      const bool here = s_.assembly->symbols[it->second].place != codegen::AsmObjectSymbol::Place::undefined;
      if (here) in_assembly_[i] = it->second;
      else in_ir_[it->second] = i;
    }
  }

  void add_assembly_symbols(bool local) {
    if (!s_.assembly) return;
    using Place = codegen::AsmObjectSymbol::Place;
    auto add = [&](const Sym& s, uint32_t section) {
      s_.syms.push_back(s);
      file_.wide_sections.push_back(section);
      return uint32_t(s_.syms.size() - 1);
    };
    if (local)
      for (uint32_t section : assembly_sections_) {
        Sym s{};
        s.info = STT_SECTION;
        s.shndx = SHN_XINDEX;
        assembly_section_symbols_.push_back(section ? add(s, section) : 0);
      }
    assembly_symbols_.resize(s_.assembly->symbols.size());
    // Nothing speaks of a name that was only told how to bind.
    std::vector<bool> wanted(assembly_symbols_.size());
    for (const codegen::AsmObjectSection& x : s_.assembly->sections)
      for (const codegen::AsmRelocation& r : x.relocations)
        if (r.symbol != none) wanted[r.symbol] = true;
    for (uint32_t k = 0; k < assembly_symbols_.size(); k++) {
      const codegen::AsmObjectSymbol& x = s_.assembly->symbols[k];
      const bool undefined = x.place == Place::undefined;
      if (in_ir_[k] != none || (undefined && !wanted[k])) continue;
      if ((x.bind == STB_LOCAL && !undefined) != local) continue;
      Sym s{};
      s.name = x.name.empty() ? 0 : add_string(x.name);
      s.info = uint8_t((undefined && x.bind == STB_LOCAL ? uint8_t(STB_GLOBAL) : x.bind) << 4 | x.type);
      s.other = x.visibility;
      s.value = x.value;
      s.size = x.size;
      uint32_t section = 0;
      if (x.place == Place::section) {
        section = assembly_sections_[x.section];
        s.shndx = SHN_XINDEX;
      } else {
        s.shndx = undefined ? SHN_UNDEF : x.place == Place::common ? SHN_COMMON : SHN_ABS;
      }
      assembly_symbols_[k] = add(s, section);
    }
  }

  void join_assembly_symbols() {
    if (!s_.assembly) return;
    for (uint32_t i = 0; i < in_assembly_.size(); i++)
      if (in_assembly_[i] != none) s_.sym_of[i] = assembly_symbols_[in_assembly_[i]];
    for (uint32_t k = 0; k < in_ir_.size(); k++)
      if (in_ir_[k] != none) assembly_symbols_[k] = s_.sym_of[in_ir_[k]];
  }

  void relocate_assembly() {
    if (!s_.assembly) return;
    for (size_t i = 0; i < assembly_sections_.size(); i++) {
      if (!assembly_sections_[i]) continue;
      for (const codegen::AsmRelocation& r : s_.assembly->sections[i].relocations) {
        const uint32_t sym = r.symbol != none ? assembly_symbols_[r.symbol] : assembly_section_symbols_[r.section];
        s_.relocs[assembly_sections_[i]].push_back({r.offset, r.type, sym, r.addend});
      }
    }
  }

  Result<void> relocate(uint32_t i) {
    const air::Symbol& x = m_.symbols[i];
    if (!section_of_[i] || x.kind != air::SymbolKind::data || !x.reloc_count) return {};
    std::string_view name = m_.str(x.name);
    if (x.relocs > m_.data_relocs.size() || x.reloc_count > m_.data_relocs.size() - x.relocs)
      return error("relocations of " + std::string(name) + " lie outside the module's");
    auto& out = s_.relocs[section_of_[i]];
    out.reserve(x.reloc_count);
    for (uint32_t k = 0; k < x.reloc_count; k++) {
      const air::DataReloc& r = m_.data_relocs[x.relocs + k];
      if (r.kind == air::DataRelocKind::block_address || r.kind == air::DataRelocKind::block_difference) {
        LODE_TRY(block_reference(i, r));
        continue;
      }
      if (!r.symbol.valid() || r.symbol.value >= s_.sym_of.size() || !s_.sym_of[r.symbol.value])
        return error("initialiser of " + std::string(name) + " refers to a symbol that has no address");
      const uint32_t type = machine_.r_word(r.size == 8 ? 8 : 4, r.kind != air::DataRelocKind::absolute);
      out.push_back({r.offset, type, s_.sym_of[r.symbol.value], r.addend});
    }
    return {};
  }

  Result<void> block_reference(uint32_t i, const air::DataReloc& r) {
    std::string name(m_.str(m_.symbols[i].name));
    bool difference = r.kind == air::DataRelocKind::block_difference;
    uint32_t section = r.function.valid() && r.function.value < section_of_.size() ? section_of_[r.function.value] : 0;
    if (s_.function_of_section.empty()) index_functions();
    uint32_t fn = section ? s_.function_of_section[section] : none;
    if (fn == none || r.offset > m_.symbols[i].size || m_.symbols[i].size - r.offset < r.size)
      return error("initialiser of " + name + " refers to a label of no function here");
    auto slot = [&](uint32_t block) {
      auto& list = s_.functions[fn].blocks;
      auto [at, fresh] = block_slots_.insert({uint64_t{fn} << 32 | block, uint32_t(list.size())});
      if (fresh) list.push_back(block);
      return at->second;
    };
    BlockReference b;
    b.section = section_of_[i];
    b.function = fn;
    b.block = slot(r.symbol.value);
    b.offset = r.offset;
    b.size = r.size;
    if (difference) {
      b.minus = slot(uint32_t(r.addend));
      // The distance is written into a copy of the data.
      if (copied_.insert(b.section).second) {
        auto copy = std::make_unique<std::vector<uint8_t>>(m_.symbols[i].size);
        if (s_.data[b.section]) std::memcpy(copy->data(), s_.data[b.section], copy->size());
        s_.data[b.section] = copy->data();
        s_.owned.push_back(std::move(copy));
      }
      // Whoever reads the distance knows the function; it must exist.
      s_.relocs[b.section].push_back({0, machine_.r_none, s_.sym_of[r.function.value], 0});
    } else {
      b.reloc = uint32_t(s_.relocs[b.section].size());
      s_.relocs[b.section].push_back(
          {r.offset, machine_.r_word(r.size == 8 ? 8 : 4, false), s_.sym_of[r.function.value], 0});
    }
    s_.block_references.push_back(b);
    return {};
  }

  // Functions whose entries may be patched at run time (-fpatchable-function-entry): a section that goes with the
  // function lists the place, which is that of the nops in front of the entry if there are any, else of those at it.
  // Where the entry stands in the text is known when the function has been measured.
  void make_patchable_lists() {
    static const uint8_t zeros[8] = {};
    for (ModuleFunction& f : s_.functions) {
      const air::FunctionDecl& d = m_.functions[f.index.value];
      if (!d.patchable_entry && !d.patchable_prefix) continue;
      std::string_view name = m_.str(d.patchable_section);
      f.patchable = add_section(name.empty() ? "__patchable_function_entries" : name, SHT_PROGBITS,
                                SHF_ALLOC | SHF_WRITE | SHF_LINK_ORDER, 8, 3, zeros);
      s_.sections[f.patchable].link = f.section;
      f.patchable_place = d.patchable_prefix ? -int32_t(d.patchable_prefix) : marks_ && !d.no_cf_check ? 4 : 0;
      s_.relocs[f.patchable].push_back({0, machine_.r_word(8, false), text_symbol_[f.section], 0});
      if (const air::Symbol& x = m_.symbols[d.symbol.value]; x.comdat.valid() && x.comdat.value < groups_.size())
        groups_[x.comdat.value].push_back({f.patchable});
    }
  }

  // A name for the words in front of a function's entry, or for the start of its text.
  void add_text_symbol(const ModuleFunction& f, const air::Symbol& x, bool local) {
    const air::FunctionDecl& d = m_.functions[f.index.value];
    if (local && (d.patchable_entry || d.patchable_prefix)) {
      Sym s{};
      s.info = uint8_t(STB_LOCAL << 4 | STT_SECTION);
      s.shndx = SHN_XINDEX;
      text_symbol_[f.section] = uint32_t(s_.syms.size());
      s_.start_syms.push_back(uint32_t(s_.syms.size()));
      s_.syms.push_back(s);
      file_.wide_sections.push_back(f.section);
    }
    if (!d.has_type_id || local != (x.linkage == air::Linkage::internal)) return;
    Sym s{};
    s.name = add_string("__cfi_" + std::string(m_.str(x.name)));
    const bool weak = x.linkage != air::Linkage::external && !local;
    s.info = uint8_t((local ? STB_LOCAL : weak ? STB_WEAK : STB_GLOBAL) << 4 | STT_FUNC);
    s.other = x.visibility == air::Visibility::hidden       ? STV_HIDDEN
              : x.visibility == air::Visibility::protected_ ? STV_PROTECTED
                                                            : STV_DEFAULT;
    s.shndx = SHN_XINDEX;
    s_.start_syms.push_back(uint32_t(s_.syms.size()));
    s_.syms.push_back(s);
    file_.wide_sections.push_back(f.section);
  }

  Result<void> make_inits() {
    for (const air::InitEntry& e : m_.inits) {
      if (!e.function.valid() || e.function.value >= s_.sym_of.size() || !s_.sym_of[e.function.value])
        return error("a constructor that is not a function");
      std::string name = e.destructor ? ".fini_array" : ".init_array";
      if (e.priority != 65535) {
        std::string digits = std::to_string(e.priority);
        name += "." + std::string(digits.size() < 5 ? 5 - digits.size() : 0, '0') + digits;
      }
      static const uint8_t zeros[8] = {};
      uint32_t s =
          add_section(name, e.destructor ? SHT_FINI_ARRAY : SHT_INIT_ARRAY, SHF_ALLOC | SHF_WRITE, 8, 3, zeros);
      s_.relocs[s].push_back({0, machine_.r_word(8, false), s_.sym_of[e.function.value], 0});
      s_.roots[s] = 2;
      if (e.associated.valid() && e.associated.value < m_.symbols.size()) {
        const air::Symbol& a = m_.symbols[e.associated.value];
        if (a.comdat.valid() && a.comdat.value < groups_.size()) {
          groups_[a.comdat.value].push_back({s});
          if (discardable(a.linkage)) s_.roots[s] = 2;
        }
      }
    }
    return {};
  }

  void add_group(std::string_view name, std::vector<formats::elf::Word> members) {
    s_.group_members.push_back(std::move(members));
    Group g;
    g.comdat = true;
    g.members = s_.group_members.back();
    g.signature = {name.data(), uint32_t(name.size()), none, hash_name(name)};
    file_.groups.push_back(g);
  }

  // Sections of the assembly may be in groups of the IR.
  void make_groups() {
    s_.group_members.reserve(groups_.size() + assembly_groups_.size());
    for (uint32_t c = 0; c < groups_.size(); c++)
      if (auto it = assembly_groups_.find(m_.str(m_.comdats[c].name)); it != assembly_groups_.end()) {
        groups_[c].insert(groups_[c].end(), it->second.begin(), it->second.end());
        assembly_groups_.erase(it);
      }
    for (auto& [name, members] : assembly_groups_) add_group(name, std::move(members));
    for (uint32_t c = 0; c < groups_.size(); c++) {
      if (groups_[c].empty() || m_.comdats[c].kind == air::ComdatKind::no_deduplicate) continue;
      add_group(m_.str(m_.comdats[c].name), std::move(groups_[c]));
    }
  }

  ObjectFile& file_;
  const Machine& machine_;
  ModuleState& s_;
  const air::Module& m_;
  bool pic_, relocatable_;
  bool marks_;  // the places that indirect branches reach
  std::vector<uint32_t> section_of_;  // by air::SymbolIndex
  air::AliasBases aliases_{m_, true};
  std::unordered_map<uint32_t, uint32_t>
      text_symbol_;  // by section of a function's text: its section symbol, where one is needed
  std::vector<std::vector<formats::elf::Word>> groups_;
  std::unordered_map<uint64_t, uint32_t> block_slots_;  // function << 32 | block: its place in the function's list
  std::unordered_set<uint32_t> copied_;                 // sections whose data is a copy
  std::vector<std::pair<std::string, uint32_t>> section_names_;
  // Of the assembly, by its own numbers: sections, their symbols, symbols; the signatures of its groups; and by symbols
  // of the IR and of the assembly what the other one's number is, where that one defines it.
  std::vector<uint32_t> assembly_sections_, assembly_section_symbols_, assembly_symbols_;
  std::map<std::string, std::vector<formats::elf::Word>, std::less<>> assembly_groups_;
  std::vector<uint32_t> in_assembly_, in_ir_;
};

}  // namespace

Result<void> read_module(ObjectFile& file, const Link& link) {
  if (!link.machine->code) return error(std::string("code for ") + link.machine->name + " cannot be made from IR");
  auto state = std::make_shared<ModuleState>();
  if (is_bitcode(file.data)) {
    auto m = codegen::BitcodeModule::open(file.data, file.name, link.machine->code()->intrinsic);
    if (!m) {
      Error e = m.take_error();
      if (e.place == file.name) e.place.clear();
      return e;
    }
    state->bitcode = std::move(*m);
    if (!link.opt.strip_debug && !link.opt.strip_all) state->bitcode->keep_debug_information();
    state->module = &static_cast<const codegen::BitcodeModule&>(*state->bitcode).module();
  } else if (file.built) {
    state->text = std::make_unique<air::Module>(*file.built);
    state->module = state->text.get();
  } else {
    std::string_view text(reinterpret_cast<const char*>(file.data.data()), file.data.size());
    auto m = air::read_text(text, file.name);
    if (!m) return m.take_error();
    state->text = std::make_unique<air::Module>(std::move(*m));
    state->module = state->text.get();
  }
  if (!accepts_triple(*link.machine, state->module->triple))
    return error("was made for another target (" + state->module->triple + ")");
  if (state->module->types.layout().pointer_bytes != 8) return error("was made for a target with pointers of 4 bytes");
  air::Module& air = state->bitcode ? state->bitcode->module() : *state->text;
  LODE_ASSIGN(state->assembly, codegen::take_module_asm(air, link.machine->code()->assemble_module));
  file.module = state;
  return Reader(file, link).run();
}

void patch_block_references(ModuleState& m) {
  for (const BlockReference& b : m.block_references) {
    const auto& offsets = m.functions[b.function].block_offsets;
    if (b.block >= offsets.size()) continue;  // the function is not live, so neither is the data
    if (b.reloc != none) {
      m.relocs[b.section][b.reloc].addend = offsets[b.block] - int64_t(m.functions[b.function].sizes.entry);
    } else if (b.minus < offsets.size()) {
      uint64_t v = uint64_t(offsets[b.block] - offsets[b.minus]);
      std::memcpy(const_cast<uint8_t*>(m.data[b.section]) + b.offset, &v, b.size);
    }
  }
}

void number_module_symbols(Link& link, ObjectFile& file) {
  ModuleState& s = *file.module;
  uint32_t first, unused, locals = file.first_global;
  if (!link.symbols.append(locals, first) || !link.best.append(locals, unused) ||
      !link.lazy_of.append(locals, unused)) {
    link.diag.error(too_many_symbols);
    return;
  }
  s.first_local_id = first;
  for (uint32_t i = 1; i < locals; i++) {
    const Sym& sym = s.syms[i];
    Symbol& x = link.symbols[first + i];
    std::string_view name = file.sym_name(sym);
    x.name = name.data();
    x.name_size = uint32_t(name.size());
    x.file = file.id;
    x.sym = i;
    x.atom = file.atom_base + file.wide_sections[i];
    x.value = sym.value;
    x.type = sym.type();
    x.bind = STB_LOCAL;
    x.local = true;
  }
  for (uint32_t i = 0; i < locals; i++) {
    link.best[first + i] = 0;
    link.lazy_of[first + i] = none;
  }
  link.symbols[first].local = true;
  s.ids.resize(s.sym_of.size());
  for (size_t i = 0; i < s.sym_of.size(); i++) {
    uint32_t sym = s.sym_of[i];
    if (!sym) continue;
    s.ids[i] = SymbolId(sym < locals ? first + sym : file.symbol_id(sym));
  }
  link.has_modules = true;
}

}  // namespace lode::link::elf
