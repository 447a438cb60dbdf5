#include "codegen/native/asm_section_words.h"

#include "codegen/native/asm_expression.h"
#include "codegen/native/asm_text.h"
#include "formats/elf/elf.h"

namespace lode::codegen {

using namespace formats::elf;

namespace {

struct KnownSection {
  std::string_view name;
  uint32_t type;
  uint64_t flags;
};
// What a section is that was named without saying (LLVM, MCELFStreamer and ELFAsmParser).
constexpr KnownSection known_sections[] = {
    {".text", SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR},
    {".init", SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR},
    {".fini", SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR},
    {".rodata", SHT_PROGBITS, SHF_ALLOC},
    {".rodata1", SHT_PROGBITS, SHF_ALLOC},
    {".data", SHT_PROGBITS, SHF_ALLOC | SHF_WRITE},
    {".data1", SHT_PROGBITS, SHF_ALLOC | SHF_WRITE},
    {".bss", SHT_NOBITS, SHF_ALLOC | SHF_WRITE},
    {".tdata", SHT_PROGBITS, SHF_ALLOC | SHF_WRITE | SHF_TLS},
    {".tbss", SHT_NOBITS, SHF_ALLOC | SHF_WRITE | SHF_TLS},
    {".init_array", SHT_INIT_ARRAY, SHF_ALLOC | SHF_WRITE},
    {".fini_array", SHT_FINI_ARRAY, SHF_ALLOC | SHF_WRITE},
    {".preinit_array", SHT_PREINIT_ARRAY, SHF_ALLOC | SHF_WRITE},
    {".eh_frame", SHT_PROGBITS, SHF_ALLOC},
    {".note", SHT_NOTE, 0},
};
constexpr std::pair<std::string_view, uint32_t> section_types[] = {
    {"progbits", SHT_PROGBITS},     {"nobits", SHT_NOBITS},         {"note", SHT_NOTE},
    {"init_array", SHT_INIT_ARRAY}, {"fini_array", SHT_FINI_ARRAY}, {"preinit_array", SHT_PREINIT_ARRAY},
    {"unwind", SHT_PROGBITS},
};
constexpr uint64_t exclude = 0x80000000;  // SHF_EXCLUDE
constexpr std::pair<char, uint64_t> section_flags[] = {
    {'a', SHF_ALLOC}, {'w', SHF_WRITE}, {'x', SHF_EXECINSTR}, {'M', SHF_MERGE}, {'S', SHF_STRINGS}, {'T', SHF_TLS},
    {'R', SHF_GNU_RETAIN}, {'o', SHF_LINK_ORDER}, {'e', exclude},
};

}  // namespace

const char* parse_section_words(std::string_view rest, AsmSectionWords& out) {
  out.name = std::string(asm_unquoted(asm_field(rest)));
  if (out.name.empty()) return "a section without a name";
  for (const KnownSection& k : known_sections)
    if (out.name == k.name || (out.name.starts_with(k.name) && out.name[k.name.size()] == '.')) {
      out.type = k.type;
      out.flags = k.flags;
    }
  if (rest.empty()) {
    out.named_alone = true;
    return nullptr;
  }
  bool grouped = false;
  std::string_view word = asm_field(rest);
  if (word.size() >= 2 && word.front() == '"') {
    out.flags = 0;
    out.flags_given = true;
    for (char c : asm_unquoted(word)) {
      if (c == 'G') grouped = true;
      if (c == '?') out.same_group = true;
      if (c == 'G' || c == '?') continue;
      uint64_t flag = 0;
      for (auto [letter, value] : section_flags)
        if (letter == c) flag = value;
      if (!flag) return "unknown flag of a section";
      out.flags |= flag;
    }
    if (rest.empty()) return grouped || out.flags & SHF_MERGE ? "a section of this kind needs more words" : nullptr;
    word = asm_field(rest);
  }
  std::string_view type = asm_unquoted(word);
  if (!type.empty() && (type[0] == '@' || type[0] == '%')) type.remove_prefix(1);
  bool known = false;
  for (auto [name, value] : section_types)
    if (type == name) out.type = value, known = true;
  // By number those that no table of the file is made of.
  if (int64_t v; !known && evaluate_constant(type, v) && (v == SHT_PROGBITS || (v >= 0x60000000 && v <= 0xffffffff)))
    out.type = uint32_t(v), known = true;
  if (!known) return "unknown type of a section";
  if (out.flags & SHF_MERGE) {
    int64_t entsize;
    if (!evaluate_constant(asm_field(rest), entsize) || entsize <= 0 || entsize > 4096) return "the size of an entry";
    out.entsize = uint64_t(entsize);
  }
  if (out.flags & SHF_LINK_ORDER) out.linked = std::string(asm_unquoted(asm_field(rest)));
  if (grouped) {
    out.group = std::string(asm_unquoted(asm_field(rest)));
    if (out.group.empty() || asm_field(rest) != "comdat") return "a group that is no COMDAT";
  }
  if (!rest.empty()) {
    int64_t n;
    if (asm_field(rest) != "unique" || !evaluate_constant(asm_field(rest), n) || n < 0 || n > INT64_C(0xfffffffe))
      return "words that are not known here";
    out.unique = uint32_t(n) + 1;
  }
  return rest.empty() ? nullptr : "words that are not known here";
}

}  // namespace lode::codegen
