// -r: one relocatable object out of all inputs, IR modules included.
//
// Sections of the same name, type and flags are joined; members of a COMDAT group stay on their own, and the group is
// written again. Relocations move along with their section; those against a section symbol get the distance the section
// moved. .eh_frame is rebuilt record by record, so that no FDE describes a discarded function. Functions of modules get
// a section each (.text.NAME), with the relocations that emit leaves, and their FDEs.
#include <algorithm>
#include <cstring>
#include <map>
#include <unordered_map>

#include "base/bytes.h"
#include "link/elf/code/asm_sections.h"
#include "link/elf/code/debug_sections.h"
#include "link/elf/code/lower.h"
#include "link/common/output_file.h"
#include "link/elf/machines/machine.h"

namespace lode::link::elf {

namespace {

struct OutSection {
  std::string name;
  uint32_t type = SHT_PROGBITS;
  uint64_t flags = 0, entsize = 0, size = 0, align = 1, offset = 0;
  uint32_t index = 0, rela_index = 0, symbol = 0, link = 0, info = 0;
  uint32_t group = none, position = 0;
  std::vector<uint32_t> atoms;
  std::vector<uint8_t> body;  // for what is not copied from atoms
  std::vector<Rela> relas;
  const OutSection* ordered_after = nullptr;
};

class Writer {
 public:
  explicit Writer(Link& link) : link_(link) {}

  bool run() {
    link_.eh_frame = make_section(link_, ".eh_frame", SHT_PROGBITS, SHF_ALLOC, 8, nullptr);
    if (!mark_live(link_)) return false;
    while (link_.has_modules) {
      const bool members = take_late_members(link_), asm_sections = add_asm_sections(link_);
      if (!members && !asm_sections) break;
      if (!resolve(link_) || !mark_live(link_)) return false;
    }
    report_duplicates(link_);
    if (link_.diag.has_errors()) return false;
    if (link_.has_modules) place_functions(link_);
    add_debug_sections(link_);
    if (link_.has_modules && !measure_functions(link_)) return false;
    complete_asm_sections(link_);
    complete_debug_sections(link_);
    make_sections();
    make_symbols();
    if (link_.diag.has_errors()) return false;
    fill();
    return !link_.diag.has_errors() && write();
  }

 private:
  std::string_view name_of(const ObjectFile& f, uint32_t i) { return section_name(f, i); }

  OutSection& section(std::string_view name, uint32_t type, uint64_t flags, uint64_t entsize, uint32_t group,
                      uint64_t unique) {
    std::string key(name);
    key += '\0';
    key += std::to_string(type) + "," + std::to_string(flags) + "," + std::to_string(entsize) + "," +
           std::to_string(group) + "," + std::to_string(unique);
    auto [it, fresh] = by_key_.try_emplace(key, uint32_t(sections_.size()));
    if (fresh) {
      sections_.push_back(std::make_unique<OutSection>());
      OutSection& s = *sections_.back();
      s.name = std::string(name);
      s.type = type;
      s.flags = flags;
      s.entsize = entsize;
      s.group = group;
      s.position = it->second;
    }
    return *sections_[it->second];
  }

  // A stand-in is where the place is that it stands for.
  void place_stand_ins() {
    if (!link_.asm_sections) return;
    for (const AsmSectionState::StandIn& s : link_.asm_sections->stand_ins) {
      const uint32_t own = link_.object(s.file).atom_base + s.section;
      out_of_[own] = out_of_[s.atom];
      link_.atoms[own].offset = link_.atoms[s.atom].offset + s.value;
    }
  }

  void make_sections() {
    out_of_.assign(link_.atoms.size(), none);
    if (link_.asm_sections)
      for (const AsmSectionState::StandIn& s : link_.asm_sections->stand_ins)
        link_.atoms[link_.object(s.file).atom_base + s.section].kind = AtomKind::none;
    for (ObjectFile* f : link_.objects) {
      std::vector<uint32_t> group_of(f->sections.size(), none);
      for (Group& g : f->groups) {
        if (g.dead) continue;
        bool live = false;
        for (const Word& m : g.members) live |= link_.atoms[f->atom_base + m.value].live != 0;
        if (!live) continue;
        uint32_t id = uint32_t(groups_.size());
        groups_.push_back({&g, f, 0, {}});
        for (const Word& m : g.members) group_of[m.value] = id;
      }
      for (uint32_t i = 1; i < f->sections.size(); i++) {
        uint32_t id = f->atom_base + i;
        Atom& a = link_.atoms[id];
        if (!a.live || a.kind == AtomKind::none || a.kind == AtomKind::discarded || a.kind == AtomKind::eh_frame)
          continue;
        if (!a.size && (a.kind == AtomKind::constants || f->debug_information)) continue;
        const Shdr& s = f->sections[i];
        std::string_view name = name_of(*f, i);
        if (name == ".note.gnu.property") continue;  // one for all, below
        if (link_.opt.relocatable_merge_sections && group_of[i] == none) name = output_name(name);
        uint64_t flags = s.flags & ~uint64_t(SHF_GROUP | SHF_INFO_LINK | SHF_COMPRESSED);
        if (group_of[i] != none) flags |= SHF_GROUP;
        bool alone = (flags & SHF_LINK_ORDER) || (s.flags & SHF_GNU_RETAIN);
        OutSection& o = section(name, s.type, flags, s.entsize, group_of[i], alone ? id : 0);
        o.align = std::max(o.align, uint64_t{1} << a.p2align);
        uint64_t at = align_up(o.size, uint64_t{1} << a.p2align);
        a.offset = at;
        o.size = at + a.size;
        o.atoms.push_back(id);
        out_of_[id] = o.position;
      }
    }
    place_stand_ins();
    for (auto& s : sections_) {
      if (!(s->flags & SHF_LINK_ORDER)) continue;
      const Atom& a = link_.atoms[s->atoms[0]];
      ObjectFile& f = link_.object(a.file);
      uint32_t to = f.sections[a.section].link;
      if (to && to < f.sections.size() && out_of_[f.atom_base + to] != none)
        s->ordered_after = sections_[out_of_[f.atom_base + to]].get();
      else s->flags &= ~uint64_t(SHF_LINK_ORDER);
    }
    // Exception tables and CIEs name typeinfos and personality routines through words that hold their addresses.
    if (link_.has_modules)
      for (uint32_t id : slot_symbols(link_)) {
        OutSection& o = section(".data.rel.ro.DW.ref." + std::string(link_.symbols[id].str()), SHT_PROGBITS,
                                SHF_ALLOC | SHF_WRITE, 0, none, uint64_t{1} << 32 | id);
        o.align = o.size = 8;
        o.body.resize(8);
        slots_.push_back({id, o.position, 0});
      }
    layout_eh_frame(link_);
    if (link_.eh_frame->size) {
      OutSection& o = section(".eh_frame", link_.machine->unwind_section_type, SHF_ALLOC, 0, none, 0);
      o.type = SHT_PROGBITS;
      o.align = 8;
      o.body.resize(link_.eh_frame->size - 4);  // no terminator: more may follow
      o.size = o.body.size();
      eh_frame_ = &o;
    }
    if (std::vector<uint8_t> note = link_.machine->merge_properties(link_); !note.empty()) {
      OutSection& o = section(".note.gnu.property", SHT_NOTE, SHF_ALLOC, 0, none, 0);
      o.align = 8;
      o.size = note.size();
      o.body = std::move(note);
    }
    if (link_.machine->merge_attributes)
      if (std::vector<uint8_t> body = link_.machine->merge_attributes(link_); !body.empty()) {
        OutSection& o =
            section(link_.machine->attributes_section, link_.machine->attributes_type, 0, 0, none, 0);
        o.size = body.size();
        o.body = std::move(body);
      }
    bool stack_note = link_.has_modules, exec_stack = false;
    for (ObjectFile* f : link_.objects) {
      stack_note |= f->has_gnu_stack;
      exec_stack |= f->exec_stack;
    }
    if (stack_note) section(".note.GNU-stack", SHT_PROGBITS, exec_stack ? uint64_t(SHF_EXECINSTR) : 0, 0, none, 0);
  }

  uint32_t add_string(std::string_view s) {
    if (s.empty()) return 0;
    auto [it, fresh] = strings_index_.try_emplace(std::string(s), uint32_t(strings_.size()));
    if (fresh) {
      strings_.append(s);
      strings_ += '\0';
    }
    return it->second;
  }

  void add_symbol(Sym s, uint32_t section) {
    if (section == none) {
      wide_.push_back(0);
    } else {
      uint32_t index = sections_[section]->index;
      wide_.push_back(index);
      s.shndx = index < SHN_LORESERVE ? uint16_t(index) : uint16_t(SHN_XINDEX);
    }
    syms_.push_back(s);
  }

  void make_symbols() {
    number_sections();
    add_signatures();
    for (ObjectFile* f : link_.objects) add_locals(*f);
    add_slots();
    if (link_.has_modules && names_labels()) add_labels();
    for (const CommonWant& w : gather_commons(link_)) commons_[w.symbol] = w;
    first_global_ = uint32_t(syms_.size());
    global_map_.assign(link_.symbols.size(), 0);
    for (uint32_t id = 0; id < link_.symbols.size(); id++) add_global(id);
  }

  // Their indices, groups before their members; and the null symbol and a symbol for each.
  void number_sections() {
    uint32_t next = 1;
    for (auto& g : groups_) g.index = next++;
    for (auto& s : sections_) s->index = next++;
    syms_.push_back(Sym{});
    wide_.push_back(0);
    for (uint32_t i = 0; i < sections_.size(); i++) {
      sections_[i]->symbol = uint32_t(syms_.size());
      Sym s{};
      s.info = STT_SECTION;
      add_symbol(s, i);
    }
  }

  // Some relocations mean what stands at a label, for which a section's symbol with an addend does not do.
  bool names_labels() const {
    const auto& rows = link_.machine->relocations;
    return std::any_of(rows.begin(), rows.end(), [](const RelocationRow& r) { return r.want == Want::follower; });
  }

  // Local symbols for those places in functions.
  void add_labels() {
    emit_objects(link_, [&](const EmittedFunction& e) {
      const uint64_t start = link_.atoms[e.text_atom].offset;
      const uint32_t section = out_of_[e.text_atom];
      for (const codegen::Fixup& x : e.fixups) {
        if (x.target != codegen::Fixup::Target::label) continue;
        auto [it, fresh] = labels_.try_emplace(std::pair(section, start + x.index), uint32_t(syms_.size()));
        if (!fresh) continue;
        Sym s{};
        s.name = add_string(".Llabel");
        s.value = start + x.index;
        add_symbol(s, section);
      }
    });
  }

  // Signatures that are no global symbol here get a local one.
  void add_signatures() {
    for (auto& g : groups_) {
      uint32_t id = link_.names.find(g.group->signature.str());
      bool global = id != none && (link_.symbols[id].defined() || link_.symbols[id].flags & referenced);
      g.signature_global = global ? id : none;
      if (global) continue;
      g.signature = uint32_t(syms_.size());
      Sym s{};
      s.name = add_string(g.group->signature.str());
      s.shndx = uint16_t(g.index);
      syms_.push_back(s);
      wide_.push_back(g.index);
    }
  }

  void add_locals(ObjectFile& f) {
    auto& map = local_map_[f.id];
    map.assign(f.first_global, 0);
    for (uint32_t i = 1; i < f.first_global && i < f.syms.size(); i++) {
      const Sym& s = f.syms[i];
      const uint32_t section = f.section_of(i);
      const bool in_file = section < f.sections.size();
      const uint32_t atom = in_file ? f.atom_base + section : none;
      const bool frame = in_file && link_.atoms[atom].kind == AtomKind::eh_frame && eh_frame_;
      if (s.type() == STT_SECTION) {
        if (frame) map[i] = eh_frame_->symbol;
        else if (section && in_file && out_of_[atom] != none) map[i] = sections_[out_of_[atom]]->symbol;
        continue;
      }
      if (section == 0) continue;
      Sym e = s;
      uint32_t out = none;
      if (frame) {
        out = eh_frame_->position;
        e.value = eh_frame_offset(link_, link_.atoms[atom], s.value);
      } else if (in_file) {
        out = out_of_[atom];
        if (out == none) continue;
        e.value = s.value + link_.atoms[atom].offset;
      }
      e.name = add_string(f.sym_name(s));
      map[i] = uint32_t(syms_.size());
      add_symbol(e, out);
    }
  }

  void add_slots() {
    for (Slot& slot : slots_) {
      Sym s{};
      s.name = add_string("DW.ref." + std::string(link_.symbols[slot.id].str()));
      s.info = STT_OBJECT;
      s.size = 8;
      slot.symbol = uint32_t(syms_.size());
      slot_of_[slot.id] = slot.symbol;
      add_symbol(s, slot.section);
    }
  }

  // Where a symbol of an input is in the output. False: nowhere, because nothing needs it.
  bool place_definition(uint32_t id, const Symbol& x, Sym& e, uint32_t& out) {
    e.value = x.value;
    if (x.is_common) {
      const CommonWant& w = commons_[id];
      e.shndx = w.large ? uint16_t(SHN_X86_64_LCOMMON) : uint16_t(SHN_COMMON);
      e.size = w.size;
      e.value = w.align;
    } else if (x.atom == none) {
      e.shndx = SHN_ABS;
    } else if (link_.atoms[x.atom].kind == AtomKind::eh_frame) {
      if (!eh_frame_) return false;
      out = eh_frame_->position;
      e.value = eh_frame_offset(link_, link_.atoms[x.atom], x.value);
    } else {
      out = out_of_[x.atom];
      if (out == none) return false;  // a function of a module that nothing needs
      e.value = x.value + link_.atoms[x.atom].offset;
    }
    return true;
  }

  void add_global(uint32_t id) {
    Symbol& x = link_.symbols[id];
    if (x.local || x.name_size == 0) return;
    if (!x.defined() && !(x.flags & referenced)) return;
    Sym e{};
    uint32_t out = none;
    uint8_t bind = x.bind, type = x.type;
    std::string name(x.str());
    if (x.defined() && link_.files[x.file]->kind != FileKind::internal) {
      ObjectFile& f = link_.object(x.file);
      const Sym& s = f.syms[x.sym];
      name = std::string(f.sym_name(s));
      e.size = s.size;
      if (!place_definition(id, x, e, out)) return;
    } else if (x.defined()) {
      e.shndx = SHN_ABS;
      e.value = x.value;
    } else {
      bind = x.flags & referenced_strong ? STB_GLOBAL : STB_WEAK;
      type = x.flags & referenced_tls ? STT_TLS : STT_NOTYPE;
    }
    e.name = add_string(name);
    e.info = uint8_t(bind << 4 | type);
    e.other = uint8_t(x.visibility() | machine_bits(link_, x));
    global_map_[id] = uint32_t(syms_.size());
    add_symbol(e, out);
  }

  // The output symbol for a symbol of a file; `moved` is what a section symbol's addend grows by. 0: discarded.
  uint32_t map_symbol(ObjectFile& f, uint32_t sym, int64_t& moved) {
    moved = 0;
    if (sym >= f.syms.size()) return 0;
    if (sym >= f.first_global) return map_id(f.symbol_id(sym));
    if (f.syms[sym].type() == STT_SECTION) {
      uint32_t section = f.section_of(sym);
      if (section < f.sections.size()) {
        const Atom& a = link_.atoms[f.atom_base + section];
        moved = int64_t(a.kind == AtomKind::eh_frame ? eh_frame_offset(link_, a, 0) : uint64_t(a.offset));
      }
    }
    return local_map_[f.id][sym];
  }

  uint32_t map_id(uint32_t id) {
    const Symbol& x = link_.symbols[id];
    if (!x.local) return global_map_[id];
    return local_map_[x.file][x.sym];
  }

  void add_relocs(OutSection& o, ObjectFile& f, const Rela* r, uint32_t n, int64_t shift) {
    for (uint32_t i = 0; i < n; i++) {
      int64_t moved;
      uint32_t sym = map_symbol(f, r[i].sym, moved);
      if (r[i].sym != 0 && sym == 0) {
        if (o.name.starts_with(".gcc_except_table"))
          continue;  // of a function whose group another file owns; no FDE leads there
        if (o.flags & SHF_ALLOC && &o != eh_frame_)
          link_.diag.error(
              f.name + ": relocation in " + o.name + " refers to a discarded section: " +
              std::string(r[i].sym < f.syms.size() ? f.sym_name(f.syms[r[i].sym]) : std::string_view("?")));
        continue;
      }
      o.relas.push_back({uint64_t(int64_t(r[i].offset) + shift), r[i].type, sym, r[i].addend + moved});
    }
  }

  void fill() {
    // Functions: text, constants, relocations.
    if (link_.has_modules) {
      emit_objects(link_, [&](const EmittedFunction& e) {
        OutSection& text = *sections_[out_of_[e.text_atom]];
        const Atom& t = link_.atoms[e.text_atom];
        if (text.body.size() < text.size) text.body.resize(text.size);
        std::memcpy(text.body.data() + t.offset, e.text.data(), e.text.size());
        OutSection* constants = e.constants.empty() ? nullptr : sections_[out_of_[e.text_atom + 1]].get();
        const Atom& c = link_.atoms[e.text_atom + 1];
        if (constants) {
          if (constants->body.size() < constants->size) constants->body.resize(constants->size);
          std::memcpy(constants->body.data() + c.offset, e.constants.data(), e.constants.size());
        }
        OutSection* exceptions = e.exceptions.empty() ? nullptr : sections_[out_of_[e.exceptions_atom]].get();
        const uint64_t table_offset = exceptions ? link_.atoms[e.exceptions_atom].offset : 0;
        if (exceptions) {
          if (exceptions->body.size() < exceptions->size) exceptions->body.resize(exceptions->size);
          std::memcpy(exceptions->body.data() + table_offset, e.exceptions.data(), e.exceptions.size());
        }
        if (!e.traps.empty()) {
          OutSection& list = *sections_[out_of_[e.traps_atom]];
          if (list.body.size() < list.size) list.body.resize(list.size);
          const uint64_t at = link_.atoms[e.traps_atom].offset;
          for (size_t k = 0; k < e.traps.size(); k++)
            list.relas.push_back(
                {at + 4 * k, link_.machine->r_word(4, true), text.symbol, int64_t(uint64_t(t.offset) + e.traps[k])});
        }
        for (const codegen::Fixup& x : e.fixups) {
          using Place = codegen::Fixup::Place;
          using Target = codegen::Fixup::Target;
          const uint32_t type = link_.machine->fixup_type(x.kind);
          if (x.place == Place::exceptions) {
            if (exceptions && x.index < e.references.size())
              exceptions->relas.push_back(
                  {table_offset + x.offset, type, slot_of_[e.references[x.index].symbol.value], x.addend});
            continue;
          }
          const bool in_constants = x.place == Place::constants;
          OutSection& o = in_constants ? *constants : text;
          uint64_t at = x.offset + (in_constants ? c.offset : t.offset);
          uint32_t sym = 0;
          int64_t addend = x.addend;
          if (auto label = labels_.find(std::pair(out_of_[e.text_atom], t.offset + x.index));
              x.target == Target::label && label != labels_.end()) {
            sym = label->second;
          } else if (x.target != Target::reference) {
            sym = text.symbol;
            addend += int64_t(uint64_t(t.offset)) + (x.target == Target::label ? x.index : 0);
          } else if (x.index < e.references.size() && e.references[x.index].symbol.valid()) {
            sym = map_id(e.references[x.index].symbol.value);
          } else if (constants) {
            sym = constants->symbol;
            addend += int64_t(uint64_t(c.offset));
          }
          if (!sym) {
            link_.diag.error("a function refers to a symbol that has no place in the output");
            continue;
          }
          o.relas.push_back({at, type, sym, addend});
        }
        if (eh_frame_ && e.frame_offset != none) {
          std::memcpy(eh_frame_->body.data() + e.frame_offset, e.frame.data(), e.frame.size());
          eh_frame_->relas.push_back(
              {e.frame_offset + 8, link_.machine->r_word(4, true), text.symbol, int64_t(uint64_t(t.offset))});
          if (e.table_field != none && exceptions)
            eh_frame_->relas.push_back(
                {e.table_field, link_.machine->r_word(4, true), exceptions->symbol, int64_t(table_offset)});
        }
      });
      if (eh_frame_)
        write_common_cies(link_, eh_frame_->body.data(), [&](uint32_t at, uint32_t id) {
          eh_frame_->relas.push_back({at, link_.machine->r_word(4, true), slot_of_[id], 0});
        });
      for (const Slot& slot : slots_)
        sections_[slot.section]->relas.push_back({0, link_.machine->r_word(8, false), map_id(slot.id), 0});
    }
    for (auto& s : sections_) {
      if (s->type == SHT_NOBITS) continue;
      for (uint32_t id : s->atoms) {
        const Atom& a = link_.atoms[id];
        if (a.kind == AtomKind::function || a.kind == AtomKind::constants) continue;
        if (s->body.size() < s->size) s->body.resize(s->size);
        if (a.data) std::memcpy(s->body.data() + a.offset, a.data, a.size);
        add_relocs(*s, link_.object(a.file), a.relocs, a.reloc_count, int64_t(uint64_t(a.offset)));
      }
    }
    if (!eh_frame_) return;
    for (ObjectFile* f : link_.objects) {
      auto record = [&](const Atom& a, uint32_t in, uint32_t size, uint32_t out, uint32_t begin, uint32_t end) {
        std::memcpy(eh_frame_->body.data() + out, a.data + in, size);
        add_relocs(*eh_frame_, *f, a.relocs + begin, end - begin, int64_t(out) - int64_t(in));
      };
      for (const Cie& c : f->cies)
        if (c.out_offset != none)
          record(link_.atoms[c.atom], c.input_offset, c.size, c.out_offset, c.reloc_begin, c.reloc_end);
      for (const Fde& d : f->fdes) {
        if (d.out_offset == none) continue;
        record(link_.atoms[d.source], d.input_offset, d.size, d.out_offset, d.reloc_begin, d.reloc_end);
        const Cie& c = f->cies[d.cie];
        store_le<uint32_t>(eh_frame_->body.data() + d.out_offset + 4,
                           d.out_offset + 4 - link_.object(c.leader_file).cies[c.leader].out_offset);
      }
    }
    std::stable_sort(eh_frame_->relas.begin(), eh_frame_->relas.end(),
                     [](const Rela& a, const Rela& b) { return uint64_t(a.offset) < uint64_t(b.offset); });
  }

  // What the file is made of: headers, and the bytes that they speak of, in the order of their places.
  struct Image {
    struct Piece {
      uint64_t offset;
      const void* data;
      size_t size;
    };
    std::vector<Shdr> headers;
    std::vector<Piece> pieces;
    std::string names = std::string(1, '\0');
    std::map<std::string, uint32_t> name_index;
    uint64_t at = sizeof(Ehdr);
    uint32_t symtab = 0, shndx = 0, strtab = 0, shstrtab = 0;  // section indices

    Shdr& header(uint32_t index, const std::string& name, uint32_t type) {
      auto [it, fresh] = name_index.try_emplace(name, uint32_t(names.size()));
      if (fresh) names += name + '\0';
      headers[index].name = it->second;
      headers[index].type = type;
      return headers[index];
    }
    void place(Shdr& h, const void* data, uint64_t size, uint64_t align) {
      at = align_up(at, std::max<uint64_t>(align, 1));
      h.offset = at;
      h.size = size;
      h.addralign = std::max<uint64_t>(align, 1);
      if (h.type == SHT_NOBITS) return;
      pieces.push_back({at, data, size_t(size)});
      at += size;
    }
  };

  void put_groups(Image& image) {
    group_words_.resize(groups_.size());
    for (size_t g = 0; g < groups_.size(); g++) {
      auto& words = group_words_[g];
      words.push_back(groups_[g].group->comdat ? uint32_t(GRP_COMDAT) : 0);
      for (auto& s : sections_)
        if (s->group == g) {
          words.push_back(s->index);
          if (s->rela_index) words.push_back(s->rela_index);
        }
      Shdr& h = image.header(groups_[g].index, ".group", SHT_GROUP);
      h.link = image.symtab;
      h.info = groups_[g].signature_global != none ? global_map_[groups_[g].signature_global] : groups_[g].signature;
      if (h.info == 0) h.info = groups_[g].signature;
      h.entsize = 4;
      image.place(h, words.data(), words.size() * 4, 4);
    }
  }

  void put_section(Image& image, OutSection& s) {
    Shdr& h = image.header(s.index, s.name, s.type);
    h.flags = s.flags;
    h.entsize = s.entsize;
    if (s.ordered_after) h.link = s.ordered_after->index;
    if (s.type != SHT_NOBITS && s.body.size() < s.size) s.body.resize(s.size);
    image.place(h, s.body.data(), s.size, s.align);
    if (!s.rela_index) return;
    Shdr& r = image.header(s.rela_index, ".rela" + s.name, SHT_RELA);
    r.flags = SHF_INFO_LINK | (s.group != none ? uint64_t(SHF_GROUP) : 0);
    r.link = image.symtab;
    r.info = s.index;
    r.entsize = sizeof(Rela);
    image.place(r, s.relas.data(), s.relas.size() * sizeof(Rela), 8);
  }

  void put_tables(Image& image) {
    Shdr& st = image.header(image.symtab, ".symtab", SHT_SYMTAB);
    st.link = image.strtab;
    st.info = first_global_;
    st.entsize = sizeof(Sym);
    image.place(st, syms_.data(), syms_.size() * sizeof(Sym), 8);
    if (image.shndx) {
      Shdr& x = image.header(image.shndx, ".symtab_shndx", SHT_SYMTAB_SHNDX);
      x.link = image.symtab;
      x.entsize = 4;
      image.place(x, wide_.data(), wide_.size() * 4, 4);
    }
    image.place(image.header(image.strtab, ".strtab", SHT_STRTAB), strings_.data(), strings_.size(), 1);
    Shdr& names = image.header(image.shstrtab, ".shstrtab", SHT_STRTAB);
    image.place(names, image.names.data(), image.names.size(), 1);
    image.at = align_up(image.at, 8);
  }

  Ehdr file_header(Image& image) {
    const uint32_t count = uint32_t(image.headers.size());
    Ehdr e{};
    std::memcpy(e.ident, "\177ELF", 4);
    e.ident[4] = ELFCLASS64;
    e.ident[5] = ELFDATA2LSB;
    e.ident[6] = 1;
    e.type = ET_REL;
    e.machine = link_.machine->elf_machine;
    e.flags = link_.e_flags;
    e.version = 1;
    e.ehsize = sizeof(Ehdr);
    e.shentsize = sizeof(Shdr);
    e.shoff = image.at;
    e.shnum = count < SHN_LORESERVE ? uint16_t(count) : uint16_t(0);
    e.shstrndx = image.shstrtab < SHN_LORESERVE ? uint16_t(image.shstrtab) : uint16_t(SHN_XINDEX);
    if (count >= SHN_LORESERVE) image.headers[0].size = count;
    if (image.shstrtab >= SHN_LORESERVE) image.headers[0].link = image.shstrtab;
    return e;
  }

  bool write() {
    // Headers: null, groups, sections, their relocations, symtab, (extended indices), strtab, shstrtab.
    uint32_t next = uint32_t(groups_.size() + sections_.size() + 1);
    for (auto& s : sections_)
      if (!s->relas.empty()) s->rela_index = next++;
    const bool wide = next + 4 >= SHN_LORESERVE;
    Image image;
    image.symtab = next++;
    image.shndx = wide ? next++ : 0;
    image.strtab = next++;
    image.shstrtab = next++;
    image.headers.resize(next);
    put_groups(image);
    for (auto& s : sections_) put_section(image, *s);
    put_tables(image);
    const Ehdr e = file_header(image);
    if (link_.diag.flush()) return false;
    OutputFile file(link_.opt.output_bytes);
    const uint64_t size = image.at + image.headers.size() * sizeof(Shdr);
    auto mapped = file.create(link_.opt.output, size, false);
    if (!mapped) {
      link_.diag.error(mapped.error());
      return false;
    }
    std::memcpy(*mapped, &e, sizeof e);
    for (const Image::Piece& p : image.pieces)
      if (p.size) std::memcpy(*mapped + p.offset, p.data, p.size);
    std::memcpy(*mapped + image.at, image.headers.data(), image.headers.size() * sizeof(Shdr));
    if (auto r = link_.inputs.files.check_unchanged(); !r) link_.diag.error(r.error());
    write_dependencies(link_);
    if (link_.diag.flush()) return false;
    if (auto r = file.commit(); !r) {
      link_.diag.error(r.error());
      return false;
    }
    link_.file_size = size;
    return true;
  }

  struct OutGroup {
    Group* group;
    ObjectFile* file;
    uint32_t index = 0;
    std::vector<uint32_t> members;
    uint32_t signature = 0, signature_global = none;
  };

  Link& link_;
  std::vector<std::unique_ptr<OutSection>> sections_;
  std::unordered_map<std::string, uint32_t> by_key_;
  std::vector<OutGroup> groups_;
  std::vector<std::vector<uint32_t>> group_words_;  // by group: the section's body
  std::vector<uint32_t> out_of_;  // by atom: index in sections_
  std::map<std::pair<uint32_t, uint64_t>, uint32_t> labels_;  // by output section and place: the symbol
  OutSection* eh_frame_ = nullptr;
  struct Slot {
    uint32_t id, section, symbol;  // what it points to; where it is; its own symbol
  };
  std::vector<Slot> slots_;
  std::unordered_map<uint32_t, uint32_t> slot_of_;
  std::vector<Sym> syms_;
  std::vector<uint32_t> wide_;
  uint32_t first_global_ = 0;
  std::string strings_ = std::string(1, '\0');
  std::unordered_map<std::string, uint32_t> strings_index_;
  std::unordered_map<uint32_t, std::vector<uint32_t>> local_map_;
  std::vector<uint32_t> global_map_;
  std::unordered_map<uint32_t, CommonWant> commons_;
};

}  // namespace

bool link_relocatable(Link& link) { return Writer(link).run(); }

}  // namespace lode::link::elf
