// Objects made of what is none: any file as data (-b binary), and the addresses in a finished program (--just-symbols).
//
// They are written as ELF objects in memory and then read like any other, so that no later pass knows of them; but they
// say nothing about the properties that the output's code has.
#include <algorithm>
#include <cctype>
#include <cstring>

#include "base/bytes.h"
#include "link/elf/machines/machine.h"

namespace lode::link::elf {

namespace {

class Writer {
 public:
  explicit Writer(const Machine& machine) : machine_(machine), names_(1, '\0') {
    symbols_.push_back(Sym{});
  }

  void add(std::string_view name, uint8_t bind, uint8_t type, uint16_t section, uint64_t value, uint64_t size,
           uint8_t visibility = STV_DEFAULT) {
    Sym s{};
    s.name = uint32_t(names_.size());
    names_ += name;
    names_ += '\0';
    s.info = uint8_t(bind << 4 | type);
    s.other = visibility;
    s.shndx = section;
    s.value = value;
    s.size = size;
    symbols_.push_back(s);
  }

  // Section 1 holds `data`; with none there is no section but those of the symbol table.
  std::vector<uint8_t> finish(Bytes data, bool with_data) {
    static constexpr std::string_view section_names("\0.data\0.symtab\0.strtab\0", 23);
    std::vector<uint8_t> out(sizeof(Ehdr));
    std::vector<Shdr> sections(1, Shdr{});
    auto append = [&](uint32_t name, uint32_t type, const void* bytes, size_t n, uint64_t align, uint64_t entsize) {
      out.resize(align_up(out.size(), align));
      Shdr s{};
      s.name = name;
      s.type = type;
      s.offset = out.size();
      s.size = n;
      s.addralign = align;
      s.entsize = entsize;
      out.resize(out.size() + n);
      if (n) std::memcpy(out.data() + out.size() - n, bytes, n);
      sections.push_back(s);
    };
    if (with_data) {
      append(1, SHT_PROGBITS, data.data(), data.size(), 8, 0);
      sections.back().flags = SHF_ALLOC | SHF_WRITE;
    }
    append(7, SHT_SYMTAB, symbols_.data(), symbols_.size() * sizeof(Sym), 8, sizeof(Sym));
    sections.back().info = 1;
    sections.back().link = uint32_t(sections.size());
    append(15, SHT_STRTAB, names_.data(), names_.size(), 1, 0);
    append(0, SHT_STRTAB, section_names.data(), section_names.size(), 1, 0);
    Ehdr e{};
    std::memcpy(e.ident, "\177ELF", 4);
    e.ident[4] = ELFCLASS64;
    e.ident[5] = ELFDATA2LSB;
    e.ident[6] = 1;
    e.type = ET_REL;
    e.machine = machine_.elf_machine;
    e.version = 1;
    e.ehsize = sizeof(Ehdr);
    e.shentsize = sizeof(Shdr);
    e.shnum = uint16_t(sections.size());
    e.shstrndx = uint16_t(sections.size() - 1);
    out.resize(align_up(out.size(), 8));
    e.shoff = out.size();
    std::memcpy(out.data(), &e, sizeof e);
    for (const Shdr& s : sections) {
      out.resize(out.size() + sizeof s);
      std::memcpy(out.data() + out.size() - sizeof s, &s, sizeof s);
    }
    return out;
  }

 private:
  const Machine& machine_;
  std::vector<Sym> symbols_;
  std::string names_;
};

}  // namespace

// As GNU ld names them: the path, with '_' for all but letters and digits.
std::vector<uint8_t> make_binary_object(const Machine& machine, const std::string& path, Bytes data) {
  std::string prefix = "_binary_" + path;
  for (char& c : prefix)
    if (!std::isalnum(uint8_t(c))) c = '_';
  Writer w(machine);
  w.add(prefix + "_start", STB_GLOBAL, STT_OBJECT, 1, 0, data.size());
  w.add(prefix + "_end", STB_GLOBAL, STT_NOTYPE, 1, data.size(), 0);
  w.add(prefix + "_size", STB_GLOBAL, STT_NOTYPE, SHN_ABS, data.size(), 0);
  return w.finish(data, true);
}

// Thread-local symbols have no address that another program could use.
Result<std::vector<uint8_t>> make_symbols_object(const Machine& machine, Bytes file) {
  LODE_ASSIGN(ElfView view, ElfView::open(file));
  if (view.header->machine != machine.elf_machine) return wrong_machine(machine, view.header->machine);
  if (view.symbols.empty()) return error("the file has no symbol table");
  Writer w(machine);
  for (uint32_t i = view.first_global; i < view.symbols.size(); i++) {
    const Sym& s = view.symbols[i];
    if (s.shndx == SHN_UNDEF || s.shndx == SHN_COMMON || s.type() == STT_TLS || s.type() == STT_SECTION ||
        s.bind() == STB_LOCAL)
      continue;
    w.add(view.symbol_name(s), s.bind(), s.type() == STT_GNU_IFUNC ? uint8_t(STT_FUNC) : s.type(), SHN_ABS, s.value,
          s.size, s.visibility());
  }
  return w.finish({}, false);
}

}  // namespace lode::link::elf
