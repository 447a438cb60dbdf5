// Sections that inline assembly writes (.pushsection), as sections of the link.
//
// A function's record of them (codegen/native/asm_sections.h) is known when the walk has made its MIR. Then an object
// file is made in memory, one for each module that has new ones, and joins the link like an archive member that comes
// late: its sections, groups and symbols follow the rules that those of any object follow, with garbage collection, -r
// and the map file.
//
// Two things an object file cannot say. An address in the text of the function, or of another symbol that is local to
// the module: for each such place the object has an empty section of its own, a stand-in, whose address is set after
// layout to that of the place. And the offset of a label in the text: it is filled in, into addends and distances, when
// functions have been measured.
//
// Such a function is not folded with an equal one (measure.cpp, function_can_fold): its sections tell them apart.
#include "link/elf/code/asm_sections.h"

#include <algorithm>
#include <cstring>
#include <map>

#include "base/bytes.h"
#include "codegen/native/asm_sections.h"
#include "link/elf/code/lower.h"
#include "link/elf/code/modules.h"
#include "link/elf/machines/machine.h"

namespace lode::link::elf {

namespace {

using codegen::AsmPlace;
using codegen::AsmSection;

struct AsmFunction {
  uint32_t atom;
  std::vector<AsmSection> sections;
  std::span<const mir::Reference> references;
};

// The object of one module's functions, from sections to bytes.
class Maker {
 public:
  Maker(Link& link, const ObjectFile& module) : link_(link), module_(module) { add_section({}); }

  void add(const AsmFunction& fn) {
    const uint32_t first = uint32_t(sections_.size());
    for (const AsmSection& s : fn.sections)
      add_section({s.name, s.type, s.flags, s.entsize, s.align, s.bytes, {}, s.group});
    for (uint32_t i = 0; i < fn.sections.size(); i++) {
      for (const AsmPlace& p : fn.sections[i].places) add_place(fn, first, first + i, p);
      for (const codegen::AsmName& n : fn.sections[i].names) {
        NamedPlace s{n.name, n.bind, n.visibility, n.type, first + i, n.offset, n.size};
        if (n.bind == STB_LOCAL) locals_.push_back(s);
        else globals_.push_back(s);
      }
    }
  }

  // Puts the file together and gives it to the link.
  void finish(AsmSectionState& state);

 private:
  struct Relocation {
    uint32_t offset, type;
    uint32_t section;      // whose symbol it names; 0: a name
    std::string name;
    int64_t addend;
    uint32_t text = none, label = 0;  // of text labels: the function's atom and the MIR index
  };
  struct Section {
    std::string name;
    uint32_t type = 0, flags = 0, entsize = 0, align = 1;
    std::vector<uint8_t> bytes;
    std::vector<Relocation> relocations;
    std::string group;
    uint64_t offset = 0, rela_offset = 0;
  };
  struct NamedPlace {
    std::string name;
    uint8_t bind, visibility, type;
    uint32_t section;
    uint64_t value, size;
  };
  struct Difference {
    uint32_t section, offset, text, label, minus;
    uint8_t bytes;
    int64_t addend;
  };

  uint32_t add_section(Section s) {
    sections_.push_back(std::move(s));
    return uint32_t(sections_.size() - 1);
  }

  uint32_t stand_in(uint32_t atom, uint64_t value) {
    auto [it, fresh] = stand_ins_.try_emplace({atom, value}, 0u);
    if (fresh) {
      const ObjectFile& f = link_.object(link_.atoms[atom].file);
      const uint32_t section = link_.atoms[atom].section;
      Section s;
      s.name = std::string(section_name(f, section));
      s.type = SHT_PROGBITS;
      s.flags = uint32_t(uint64_t(f.sections[section].flags) & (SHF_ALLOC | SHF_WRITE | SHF_EXECINSTR));
      it->second = add_section(std::move(s));
    }
    return it->second;
  }

  void add_place(const AsmFunction& fn, uint32_t first, uint32_t section, const AsmPlace& p) {
    if (p.target == AsmPlace::Target::text_difference) {
      differences_.push_back({section, p.offset, fn.atom, p.index, p.minus, p.bytes, p.addend});
      return;
    }
    Relocation r{p.offset, link_.machine->r_word(p.bytes, p.pc_relative), 0, p.name, p.addend};
    switch (p.target) {
      case AsmPlace::Target::text:
        r.section = stand_in(fn.atom, 0);
        r.text = fn.atom;
        r.label = p.index;
        break;
      case AsmPlace::Target::section: r.section = first + p.index; break;
      case AsmPlace::Target::reference: {
        const mir::Reference& to = fn.references[p.index];
        r.addend = int64_t(uint64_t(r.addend) + uint64_t(int64_t(to.addend)));
        const Symbol& x = link_.symbols[to.symbol.value];
        if (!x.local) r.name = std::string(x.str());
        else if (x.atom != none && link_.atoms[x.atom].kind != AtomKind::merge) r.section = stand_in(x.atom, x.value);
        else
          link_.diag.error(module_.name + ": inline assembly refers to " + link_.display(x) +
                           " from another section, which is not supported for merged strings");
        break;
      }
      default: break;
    }
    sections_[section].relocations.push_back(std::move(r));
  }

  // The steps of finish().
  void make_symbols();
  void put_sections();
  void put_tables();
  void give_to_link(AsmSectionState& state);
  uint32_t name(std::string_view s);  // in names_
  uint32_t add_symbol(const NamedPlace& x);
  uint64_t append(const void* data, size_t size, size_t align);

  Link& link_;
  const ObjectFile& module_;
  std::vector<Section> sections_;
  std::vector<NamedPlace> locals_, globals_;
  std::vector<Difference> differences_;
  std::map<std::pair<uint32_t, uint64_t>, uint32_t> stand_ins_;
  // The file.
  struct SectionGroup {
    std::string name;
    std::vector<uint32_t> members;
    uint32_t signature;
  };
  std::unique_ptr<std::vector<uint8_t>> bytes_;
  std::string names_ = std::string(1, '\0');
  std::vector<Sym> syms_;
  std::vector<Shdr> headers_;
  std::vector<SectionGroup> groups_;
  uint32_t first_global_ = 0;
  std::map<std::string, uint32_t, std::less<>> global_of_;
};

uint32_t Maker::name(std::string_view s) {
  const uint32_t at = uint32_t(names_.size());
  names_.append(s);
  names_ += '\0';
  return at;
}

uint32_t Maker::add_symbol(const NamedPlace& x) {
  Sym s{};
  s.name = name(x.name);
  s.info = uint8_t(x.bind << 4 | x.type);
  s.other = x.visibility;
  s.shndx = uint16_t(x.section);
  s.value = x.value;
  s.size = x.size;
  syms_.push_back(s);
  return uint32_t(syms_.size() - 1);
}

uint64_t Maker::append(const void* data, size_t size, size_t align) {
  std::vector<uint8_t>& out = *bytes_;
  out.resize(align_up(out.size(), align));
  const uint64_t at = out.size();
  const uint8_t* p = static_cast<const uint8_t*>(data);
  out.insert(out.end(), p, p + size);
  return at;
}

// One for each section, locals, globals; names that nobody defines here are undefined. The module's own declaration
// says how strongly it wants them.
void Maker::make_symbols() {
  syms_.resize(1);
  for (uint32_t i = 1; i < sections_.size(); i++) {
    Sym s{};
    s.info = STT_SECTION;
    s.shndx = uint16_t(i);
    syms_.push_back(s);
  }
  for (const NamedPlace& x : locals_) add_symbol(x);
  for (uint32_t i = 1; i < sections_.size(); i++) {
    if (sections_[i].group.empty()) continue;
    auto it = std::find_if(groups_.begin(), groups_.end(), [&](auto& g) { return g.name == sections_[i].group; });
    if (it == groups_.end()) it = groups_.insert(it, {sections_[i].group, {}, 0});
    it->members.push_back(i);
  }
  for (SectionGroup& g : groups_) g.signature = add_symbol({g.name, STB_LOCAL, 0, STT_NOTYPE, g.members.front(), 0, 0});
  first_global_ = uint32_t(syms_.size());
  for (const NamedPlace& x : globals_) global_of_[x.name] = add_symbol(x);
  for (const Section& s : sections_)
    for (const Relocation& r : s.relocations)
      if (!r.section && !global_of_.count(r.name)) {
        Sym u{};
        u.name = name(r.name);
        const uint32_t known = link_.names.find(r.name);
        const bool weak = known != none && !(link_.symbols[known].flags & referenced_strong) &&
                          link_.symbols[known].flags & referenced;
        u.info = uint8_t((weak ? STB_WEAK : STB_GLOBAL) << 4);
        global_of_[r.name] = uint32_t(syms_.size());
        syms_.push_back(u);
      }
}

void Maker::put_sections() {
  for (Section& s : sections_) {
    Shdr h{};
    if (!headers_.empty()) {
      h.name = name(s.name);
      h.type = s.type;
      h.flags = s.flags | (s.group.empty() ? 0 : uint64_t(SHF_GROUP));
      h.addralign = s.align;
      h.entsize = s.entsize;
      h.size = s.bytes.size();
      h.offset = s.offset = append(s.bytes.data(), s.type == SHT_NOBITS ? 0 : s.bytes.size(), s.align);
    }
    headers_.push_back(h);
  }
  for (uint32_t i = 1; i < sections_.size(); i++) {
    Section& s = sections_[i];
    if (s.relocations.empty()) continue;
    std::vector<Rela> relas;
    for (const Relocation& r : s.relocations)
      relas.push_back({r.offset, r.type, r.section ? r.section : global_of_[r.name], r.addend});
    Shdr h{};
    h.name = name(".rela" + s.name);
    h.type = SHT_RELA;
    h.flags = SHF_INFO_LINK;
    h.info = i;
    h.entsize = sizeof(Rela);
    h.addralign = 8;
    h.size = relas.size() * sizeof(Rela);
    h.offset = s.rela_offset = append(relas.data(), relas.size() * sizeof(Rela), 8);
    headers_.push_back(h);
  }
  for (const SectionGroup& g : groups_) {
    std::vector<Word> words(1);
    words[0] = Word{GRP_COMDAT};
    for (uint32_t m : g.members) words.push_back(Word{m});
    Shdr h{};
    h.name = name(".group");
    h.type = SHT_GROUP;
    h.info = g.signature;
    h.entsize = h.addralign = 4;
    h.size = words.size() * 4;
    h.offset = append(words.data(), words.size() * 4, 4);
    headers_.push_back(h);
  }
}

// Symbols, names, section headers and the file's header, which names all of them.
void Maker::put_tables() {
  const uint32_t symtab = uint32_t(headers_.size()), strtab = symtab + 1;
  for (Shdr& h : headers_)
    if (h.type == SHT_RELA || h.type == SHT_GROUP) h.link = symtab;
  Shdr st{};
  st.name = name(".symtab");
  st.type = SHT_SYMTAB;
  st.link = strtab;
  st.info = first_global_;
  st.entsize = sizeof(Sym);
  st.addralign = 8;
  st.size = syms_.size() * sizeof(Sym);
  st.offset = append(syms_.data(), syms_.size() * sizeof(Sym), 8);
  headers_.push_back(st);
  Shdr ss{};
  ss.name = name(".strtab");
  ss.type = SHT_STRTAB;
  ss.addralign = 1;
  ss.size = names_.size();
  ss.offset = append(names_.data(), names_.size(), 1);
  headers_.push_back(ss);
  Ehdr e{};
  std::memcpy(e.ident, "\177ELF", 4);
  e.ident[4] = ELFCLASS64;
  e.ident[5] = ELFDATA2LSB;
  e.ident[6] = 1;
  e.type = ET_REL;
  e.machine = link_.machine->elf_machine;
  e.version = 1;
  e.ehsize = sizeof(Ehdr);
  e.shentsize = sizeof(Shdr);
  e.shnum = uint16_t(headers_.size());
  e.shstrndx = uint16_t(strtab);
  e.shoff = append(headers_.data(), headers_.size() * sizeof(Shdr), 8);
  std::memcpy(bytes_->data(), &e, sizeof e);
}

void Maker::give_to_link(AsmSectionState& state) {
  std::vector<uint8_t>& out = *bytes_;
  auto file = std::make_unique<ObjectFile>();
  file->kind = FileKind::object;
  file->id = uint32_t(link_.files.size());
  file->path = module_.path;
  file->name = module_.name + " (inline assembly)";
  file->priority = link_.next_priority++;
  file->alive = true;
  file->has_gnu_stack = true;
  file->made = true;
  file->data = out;
  for (const Section& s : sections_)
    for (size_t k = 0; k < s.relocations.size(); k++) {
      const Relocation& r = s.relocations[k];
      if (r.text != none)
        state.labels.push_back({r.text, r.label, none,
                                out.data() + s.rela_offset + k * sizeof(Rela) + offsetof(Rela, addend), 8, r.addend});
    }
  for (const Difference& d : differences_)
    state.labels.push_back(
        {d.text, d.label, d.minus, out.data() + sections_[d.section].offset + d.offset, d.bytes, d.addend});
  file->owned.push_back(std::move(bytes_));
  for (auto& [place, section] : stand_ins_) state.stand_ins.push_back({file->id, place.first, place.second, section});
  link_.files.push_back(std::move(file));
}

void Maker::finish(AsmSectionState& state) {
  bytes_ = std::make_unique<std::vector<uint8_t>>(sizeof(Ehdr));
  make_symbols();
  put_sections();
  put_tables();
  if (headers_.size() >= SHN_LORESERVE) {
    link_.diag.error(module_.name + ": inline assembly of too many functions writes into other sections");
    return;
  }
  give_to_link(state);
}

}  // namespace

bool add_asm_sections(Link& link) {
  std::map<uint32_t, std::vector<AsmFunction>> by_file;
  AsmSectionState* state = link.asm_sections.get();
  for_each_asm_function(
      link, [&](uint32_t atom, std::vector<AsmSection>&& sections, std::span<const mir::Reference> references) {
        if (state && std::binary_search(state->done.begin(), state->done.end(), atom)) return;
        by_file[link.atoms[atom].file].push_back({atom, std::move(sections), references});
      });
  if (by_file.empty()) return false;
  if (!state) {
    link.asm_sections = std::make_shared<AsmSectionState>();
    state = link.asm_sections.get();
  }
  for (auto& [id, functions] : by_file) {
    Maker maker(link, link.object(id));
    for (const AsmFunction& f : functions) {
      maker.add(f);
      state->done.push_back(f.atom);
    }
    maker.finish(*state);
  }
  std::sort(state->done.begin(), state->done.end());
  return true;
}

void complete_asm_sections(Link& link) {
  if (!link.asm_sections) return;
  for (const AsmSectionState::Label& l : link.asm_sections->labels) {
    uint32_t at[2] = {l.label, l.minus == none ? 0 : l.minus};
    if (!label_offsets(link, l.atom, at)) continue;  // reported; or the function was not needed after all
    const int64_t value = int64_t(uint64_t(l.addend) + at[0] - (l.minus == none ? 0 : at[1]));
    const unsigned bits = 8u * l.bytes;
    if (bits < 64 && (value < -(int64_t{1} << (bits - 1)) || value >= int64_t{1} << bits))
      link.diag.error(link.object(link.atoms[l.atom].file).name + ": a distance in inline assembly does not fit in " +
                      std::to_string(l.bytes) + " bytes");
    for (unsigned k = 0; k < l.bytes; k++) l.field[k] = uint8_t(uint64_t(value) >> 8 * k);
  }
}

void place_asm_stand_ins(Link& link) {
  if (!link.asm_sections) return;
  for (const AsmSectionState::StandIn& s : link.asm_sections->stand_ins)
    link.atom_address[link.object(s.file).atom_base + s.section] = link.atom_address[s.atom] + s.value;
}

}  // namespace lode::link::elf
