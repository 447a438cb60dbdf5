// Relocatable objects (for x86-64 unless said otherwise), and archives of them, built in memory: what a test of a pass
// of the link wants to say about sections, symbols, relocations and groups, and nothing else.
#pragma once

#include <algorithm>
#include <cstring>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "formats/elf/elf.h"

namespace lode::test {

namespace fe = formats::elf;

class ElfObject {
 public:
  explicit ElfObject(uint16_t machine = fe::EM_X86_64, uint32_t flags = 0) : machine_(machine), flags_(flags) {
    sections_.push_back({});
  }

  struct SectionOptions {
    uint32_t type = fe::SHT_PROGBITS;
    uint64_t flags = 0;
    uint64_t align = 1;
    uint64_t entsize = 0;
    uint64_t size = 0;  // SHT_NOBITS
  };
  // The index of the new section.
  uint32_t section(const std::string& name, const std::string& bytes, SectionOptions o) {
    sections_.push_back({name, bytes, o, {}});
    return uint32_t(sections_.size() - 1);
  }
  uint32_t text(const std::string& name, const std::string& bytes, uint64_t align = 1) {
    return section(name, bytes, {.flags = fe::SHF_ALLOC | fe::SHF_EXECINSTR, .align = align});
  }
  uint32_t rodata(const std::string& name, const std::string& bytes, uint64_t align = 1) {
    return section(name, bytes, {.flags = fe::SHF_ALLOC, .align = align});
  }
  uint32_t data(const std::string& name, const std::string& bytes, uint64_t align = 1) {
    return section(name, bytes, {.flags = fe::SHF_ALLOC | fe::SHF_WRITE, .align = align});
  }
  uint32_t zeroes(const std::string& name, uint64_t size, uint64_t align = 1) {
    return section(name, "",
                   {.type = fe::SHT_NOBITS, .flags = fe::SHF_ALLOC | fe::SHF_WRITE, .align = align, .size = size});
  }
  // Strings, each with its NUL, or records of `entsize` bytes.
  uint32_t strings(const std::string& name, const std::string& bytes, uint64_t align = 1) {
    return section(name, bytes,
                   {.flags = fe::SHF_ALLOC | fe::SHF_MERGE | fe::SHF_STRINGS, .align = align, .entsize = 1});
  }
  uint32_t records(const std::string& name, const std::string& bytes, uint64_t entsize) {
    return section(name, bytes, {.flags = fe::SHF_ALLOC | fe::SHF_MERGE, .align = entsize, .entsize = entsize});
  }

  struct SymbolOptions {
    uint64_t value = 0, size = 0;
    uint8_t bind = fe::STB_GLOBAL, type = fe::STT_NOTYPE, visibility = fe::STV_DEFAULT;
  };
  void symbol(const std::string& name, uint32_t section, SymbolOptions o) {
    symbols_.push_back({name, uint16_t(section), o});
  }
  void symbol(const std::string& name, uint32_t section) { symbol(name, section, SymbolOptions{}); }
  void weak(const std::string& name, uint32_t section) { symbol(name, section, {.bind = fe::STB_WEAK}); }
  void local(const std::string& name, uint32_t section, uint64_t value = 0) {
    symbol(name, section, {.value = value, .bind = fe::STB_LOCAL});
  }
  void undefined(const std::string& name, uint8_t bind = fe::STB_GLOBAL) {
    symbol(name, fe::SHN_UNDEF, {.bind = bind});
  }
  void common(const std::string& name, uint64_t size, uint64_t align) {
    symbol(name, fe::SHN_COMMON, {.value = align, .size = size, .type = fe::STT_OBJECT});
  }
  // A function of its own section, as -ffunction-sections makes them.
  uint32_t function(const std::string& name, const std::string& bytes) {
    const uint32_t s = text(".text." + name, bytes);
    symbol(name, s, {.size = bytes.size(), .type = fe::STT_FUNC});
    return s;
  }

  // To a symbol by its name (undefined, if nothing of the object has it), or to a section's place.
  void relocate(uint32_t section, uint64_t offset, uint32_t type, const std::string& symbol, int64_t addend = 0) {
    sections_[section].relocations.push_back({offset, type, symbol, 0, addend});
  }
  void relocate(uint32_t section, uint64_t offset, uint32_t type, uint32_t target, int64_t addend = 0) {
    sections_[section].relocations.push_back({offset, type, "", target, addend});
  }
  // A COMDAT group; its members get SHF_GROUP.
  void group(const std::string& signature, const std::vector<uint32_t>& members) {
    groups_.push_back({signature, members});
    for (uint32_t m : members) sections_[m].options.flags |= fe::SHF_GROUP;
  }
  // .llvm_addrsig: all symbols whose addresses are significant.
  void addrsig(const std::vector<std::string>& names) { addrsig_ = names, has_addrsig_ = true; }

  std::vector<uint8_t> bytes() const { return Writer(*this).file(); }

 private:
  struct Relocation {
    uint64_t offset;
    uint32_t type;
    std::string symbol;
    uint32_t section;
    int64_t addend;
  };
  struct Section {
    std::string name, bytes;
    SectionOptions options;
    std::vector<Relocation> relocations;
  };
  struct Symbol {
    std::string name;
    uint16_t section;
    SymbolOptions options;
  };
  struct Group {
    std::string signature;
    std::vector<uint32_t> members;
  };

  // One pass over the parts: symbols first, since relocations, groups and the significance table name their indices.
  class Writer {
   public:
    explicit Writer(const ElfObject& o) : o_(o), out_(sizeof(fe::Ehdr)) {}

    std::vector<uint8_t> file() {
      make_symbols();
      headers_.resize(1);
      for (size_t i = 1; i < o_.sections_.size(); i++) {
        const Section& s = o_.sections_[i];
        put(s.name, s.options.type, s.options.flags, s.bytes.data(), s.bytes.size(), s.options.align,
            s.options.entsize);
        if (s.options.type == fe::SHT_NOBITS) headers_.back().size = s.options.size;
      }
      for (size_t i = 1; i < o_.sections_.size(); i++) put_relocations(i);
      for (const Group& g : o_.groups_) {
        std::vector<uint32_t> words{fe::GRP_COMDAT};
        words.insert(words.end(), g.members.begin(), g.members.end());
        put(".group", fe::SHT_GROUP, 0, words.data(), words.size() * 4, 4, 4, index_of(g.signature), true);
      }
      if (o_.has_addrsig_) {
        std::vector<uint8_t> indices;
        for (const std::string& n : o_.addrsig_) append_uleb(indices, index_of(n));
        put(".llvm_addrsig", fe::SHT_LLVM_ADDRSIG, fe::SHF_EXCLUDE, indices.data(), indices.size(), 1, 0, 0, true);
      }
      put(".note.GNU-stack", fe::SHT_PROGBITS, 0, nullptr, 0, 1, 0);
      const uint32_t symtab = uint32_t(headers_.size());
      for (uint32_t i : to_symtab_) headers_[i].link = symtab;
      put(".symtab", fe::SHT_SYMTAB, 0, syms_.data(), syms_.size() * sizeof(fe::Sym), 8, sizeof(fe::Sym),
          first_global_);
      headers_.back().link = symtab + 1;
      name(".strtab");
      headers_.push_back({});
      finish_strings();
      return std::move(out_);
    }

   private:
    uint32_t name(const std::string& s) {
      const uint32_t at = uint32_t(names_.size());
      names_ += s + '\0';
      return at;
    }
    void add(const Symbol& s) {
      fe::Sym y{};
      y.name = name(s.name);
      y.info = uint8_t(s.options.bind << 4 | s.options.type);
      y.other = s.options.visibility;
      y.shndx = s.section;
      y.value = s.options.value;
      y.size = s.options.size;
      index_[s.name] = uint32_t(syms_.size());
      syms_.push_back(y);
    }
    void make_symbols() {
      syms_.resize(1);
      for (size_t i = 1; i < o_.sections_.size(); i++) {
        fe::Sym y{};
        y.info = fe::STT_SECTION;
        y.shndx = uint16_t(i);
        syms_.push_back(y);
      }
      for (const Symbol& s : o_.symbols_)
        if (s.options.bind == fe::STB_LOCAL) add(s);
      for (const Group& g : o_.groups_) {  // a signature that is no symbol of its own
        bool own = false;
        for (const Symbol& s : o_.symbols_) own |= s.name == g.signature;
        if (!own) add({g.signature, uint16_t(g.members.front()), {.bind = fe::STB_LOCAL}});
      }
      first_global_ = uint32_t(syms_.size());
      for (const Symbol& s : o_.symbols_)
        if (s.options.bind != fe::STB_LOCAL) add(s);
      for (const Section& s : o_.sections_)
        for (const Relocation& r : s.relocations)
          if (!r.section && !r.symbol.empty() && !index_.count(r.symbol)) add({r.symbol, fe::SHN_UNDEF, {}});
    }
    uint32_t index_of(const std::string& symbol) const {
      auto it = index_.find(symbol);
      return it == index_.end() ? 0 : it->second;
    }
    void put(const std::string& section_name, uint32_t type, uint64_t flags, const void* data, size_t size,
             uint64_t align, uint64_t entsize, uint32_t info = 0, bool links_symtab = false) {
      out_.resize(align_up(out_.size(), std::max<uint64_t>(align, 1)));
      fe::Shdr h{};
      h.name = name(section_name);
      h.type = type;
      h.flags = flags;
      h.offset = out_.size();
      h.size = size;
      h.info = info;
      h.addralign = align;
      h.entsize = entsize;
      const auto* p = static_cast<const uint8_t*>(data);
      if (type != fe::SHT_NOBITS && size) out_.insert(out_.end(), p, p + size);
      if (links_symtab) to_symtab_.push_back(uint32_t(headers_.size()));
      headers_.push_back(h);
    }
    void put_relocations(size_t i) {
      const Section& s = o_.sections_[i];
      if (s.relocations.empty()) return;
      std::vector<fe::Rela> relas;
      for (const Relocation& r : s.relocations)
        relas.push_back({r.offset, r.type, r.section ? r.section : index_of(r.symbol), r.addend});
      put(".rela" + s.name, fe::SHT_RELA, fe::SHF_INFO_LINK, relas.data(), relas.size() * sizeof(fe::Rela), 8,
          sizeof(fe::Rela), uint32_t(i), true);
    }
    void finish_strings() {
      fe::Shdr& h = headers_.back();
      h.name = uint32_t(names_.size() - 8);  // ".strtab" was named last
      h.type = fe::SHT_STRTAB;
      h.offset = out_.size();
      h.size = names_.size();
      h.addralign = 1;
      out_.insert(out_.end(), names_.begin(), names_.end());
      out_.resize(align_up(out_.size(), 8));
      fe::Ehdr e{};
      std::memcpy(e.ident, "\177ELF\2\1\1", 7);
      e.type = fe::ET_REL;
      e.machine = o_.machine_;
      e.flags = o_.flags_;
      e.version = 1;
      e.ehsize = sizeof(fe::Ehdr);
      e.shentsize = sizeof(fe::Shdr);
      e.shnum = uint16_t(headers_.size());
      e.shstrndx = uint16_t(headers_.size() - 1);
      e.shoff = out_.size();
      const auto* p = reinterpret_cast<const uint8_t*>(headers_.data());
      out_.insert(out_.end(), p, p + headers_.size() * sizeof(fe::Shdr));
      std::memcpy(out_.data(), &e, sizeof e);
    }

    const ElfObject& o_;
    std::vector<uint8_t> out_;
    std::string names_ = std::string(1, '\0');
    std::vector<fe::Sym> syms_;
    std::vector<fe::Shdr> headers_;
    std::vector<uint32_t> to_symtab_;
    std::map<std::string, uint32_t> index_;
    uint32_t first_global_ = 1;
  };

  uint16_t machine_;
  uint32_t flags_;
  std::vector<Section> sections_;
  std::vector<Symbol> symbols_;
  std::vector<Group> groups_;
  std::vector<std::string> addrsig_;
  bool has_addrsig_ = false;
};

// A GNU archive with an index of `offered`: (name, number of the member).
inline std::string archive_of(const std::vector<std::pair<std::string, std::vector<uint8_t>>>& members,
                              const std::vector<std::pair<std::string, uint32_t>>& offered) {
  auto header = [](std::string name, size_t size) {
    std::string h = name + "/";
    h.resize(16, ' ');
    h += "0           0     0     644     ";
    std::string n = std::to_string(size);
    n.resize(10, ' ');
    return h + n + "`\n";
  };
  std::string index;
  auto big_endian = [&](uint32_t v) {
    for (int k = 24; k >= 0; k -= 8) index += char(v >> k);
  };
  std::string names;
  for (const auto& [name, member] : offered) names += name + '\0';
  const size_t index_size = 4 + 4 * offered.size() + names.size();
  std::vector<size_t> places;
  std::string body;
  for (const auto& [name, bytes] : members) {
    places.push_back(8 + 60 + align_up(index_size, 2) + body.size());
    body += header(name, bytes.size()) + std::string(bytes.begin(), bytes.end());
    if (body.size() % 2) body += '\n';
  }
  big_endian(uint32_t(offered.size()));
  for (const auto& [name, member] : offered) big_endian(uint32_t(places[member]));
  index += names;
  std::string head = header("", index.size());
  if (index.size() % 2) index += '\n';
  return "!<arch>\n" + head + index + body;
}

}  // namespace lode::test
