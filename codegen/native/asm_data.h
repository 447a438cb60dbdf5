// The part of inline assembly that stands in other sections: .pushsection, what data directives put there, and labels
// everywhere.
//
// A statement starts and ends in the function's text. Data of other sections is collected in AsmSections
// (codegen/native/asm_sections.h), joined by name with what other statements of the function put there. Expressions of
// data are sums: constants, labels of the text or of those sections, symbols, and '.', so that what is left is a
// constant, an address, or a distance from the place or between two labels. They are worked out when the statement
// ends, because labels may follow. Source: GNU as manual, "Pseudo Ops"; LLVM's ELFAsmParser.
//
// Operands of the statement that are symbols stand in the text as marks: \x01 number \x02.
//
// Not here, and refused by name: instructions in another section, symbols that are defined in the text, subsections.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "codegen/native/mir_writer.h"

namespace lode::codegen {

// What the names of symbols in the text stand for: a reference of kind call, or direct with an addend; no_symbol when
// there is none or it cannot be had in this way.
inline constexpr uint32_t no_symbol = ~0u;
using AsmSymbols = std::function<uint32_t(std::string_view name, mir::ReferenceKind kind, int64_t addend)>;

Error unsupported_asm(std::string_view text, const char* why = nullptr);

class AsmData {
 public:
  static constexpr uint32_t text = ~0u;  // the section of a label in the function's text

  AsmData(MirWriter& w, std::vector<uint32_t> references, const AsmSymbols& symbols)
      : w_(w), references_(std::move(references)), symbols_(symbols) {}

  bool in_text() const { return section_ == text; }
  // A label of the statement; numeric ones ("1") may be defined again. A reference ("1b", "1f", "name") is a label of
  // the text.
  Result<void> define(std::string_view name);
  Label text_label(std::string_view name);
  bool knows(std::string_view name) const { return labels_.count(std::string(name)) != 0; }
  // Directives that choose a section, and all data directives while another section than the text is chosen. False:
  // something else.
  Result<bool> directive(std::string_view name, std::string_view rest, std::string_view whole);
  // The statement is over: all expressions get their value. Error: a label is missing, or the text is not the current
  // section.
  Result<void> finish(std::string_view statement);

 private:
  struct Place {
    Label label;            // in the text
    uint32_t section = text, offset = 0;
    bool defined = false;
  };
  struct Term {
    enum class Kind : uint8_t { place, label, symbol, reference } kind = Kind::label;
    bool minus = false;
    std::string name;       // label (key of labels_) or symbol
    uint32_t section = 0, offset = 0;  // place
    uint32_t reference = 0;
  };
  struct Expression {
    std::vector<Term> terms;
    int64_t constant = 0;
  };
  struct Pending {
    Expression value;
    uint32_t section, offset;
    uint8_t bytes;
    std::string text;
  };

  std::string key(std::string_view name, bool define);
  Result<void> choose(std::string_view rest, std::string_view whole);
  Result<bool> data(std::string_view name, std::string_view rest, std::string_view whole);
  Result<void> strings(std::string_view rest, bool terminated, std::string_view whole);
  Result<void> fill(uint64_t count, uint8_t value, std::string_view whole);
  Result<void> symbol_directive(std::string_view name, std::string_view rest, std::string_view whole);
  Result<Expression> parse(std::string_view s, std::string_view whole, bool minus = false, unsigned depth = 0);
  Result<void> resolve(const Pending& p);
  AsmSection& section() { return w_.asm_sections()[section_]; }

  MirWriter& w_;
  const std::vector<uint32_t> references_;  // by operand: the symbol that it is, or no_symbol
  const AsmSymbols& symbols_;
  uint32_t section_ = text, previous_ = text;
  std::vector<std::pair<uint32_t, uint32_t>> stack_;  // (section, previous)
  std::unordered_map<std::string, Place> labels_;
  std::unordered_map<std::string, unsigned> counts_;  // definitions so far of a numeric label
  std::vector<Pending> pending_;
  struct Attributes {
    uint8_t bind = 0, visibility = 0, type = 0;
    Expression size;
    bool has_size = false;
  };
  std::map<std::string, Attributes> attributes_;  // of symbols, by name
};

}  // namespace lode::codegen
