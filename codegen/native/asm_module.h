// Module-level assembly: text to AsmObject.
//
// Sections are lists of fragments: bytes, branches whose size depends on the distance, padding, and what a count or a
// place that is an expression makes. Names, also numeric labels and ".", are symbols by number; expressions are trees
// over them (asm_expression.h) and get their values when everything is laid out, unless a condition asks earlier.
// Layout begins with the smallest forms and grows what does not reach, until nothing does. What then is no constant
// becomes a relocation. Sources: GNU as manual, chapter 7; LLVM's MC layer, whose choices are followed where the manual
// is silent (a branch to a global or weak symbol is always left to the linker).
//
// A machine is an AsmMachine: it assembles instructions and knows relocation types, nops and DWARF's registers.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "codegen/native/asm_expression.h"
#include "codegen/native/asm_object.h"
#include "codegen/native/asm_text.h"

namespace lode::codegen {

class AsmModule;

enum class AsmFieldKind : uint8_t {
  word,           // data
  absolute,       // in an instruction, zero-extended or as wide as the value
  sign_extended,  // in an instruction
  pc_relative,    // in an instruction, from its end
  branch,         // the same, of a call or jump: may go through the PLT
  relaxable,      // pc_relative in an instruction that the linker may rewrite if it goes through the GOT
  relaxable_rex,  // the same with a REX prefix
};

struct AsmMachine {
  uint16_t elf_machine = 0;
  // The relocation type for a field; ~0u: there is none. `pc_relative` also for differences with the place in data.
  uint32_t (*relocation)(AsmFieldKind kind, AsmVariant variant, unsigned bytes, bool pc_relative) = nullptr;
  void (*nops)(uint8_t* p, size_t bytes) = nullptr;
  uint8_t nop = 0;  // a byte that as a filling of code means nops of any length
  bool (*dwarf_register)(std::string_view name, unsigned& number) = nullptr;
  // One statement that is no directive of these files; it may be one of the machine's (".intel_syntax").
  std::function<Result<void>(AsmModule&, std::string_view statement)> instruction;
  // Of the CIE: what holds at the start of a function.
  std::string cie_instructions;
  unsigned code_align = 1;
  int data_align = -8;
  unsigned return_register = 16;
  bool intel = false;  // expressions are read as Intel's syntax has them
};

// Null in `machine.instruction`: text of directives alone, as for machines whose instructions are not known.
Result<AsmObject> assemble_module(std::string_view text, AsmMachine machine);

class AsmModule {
 public:
  explicit AsmModule(AsmMachine& machine);
  Result<AsmObject> run(std::string_view text);

  // ---- for the machine's instructions
  AsmExpressions& expressions() { return expressions_; }
  Error error(std::string_view where, std::string message) const { return text_.error(where, std::move(message)); }
  // A value that is known now: numbers, and names that are set to them.
  bool constant(uint32_t expression, int64_t& value) const;
  struct Field {
    uint8_t at, bytes;        // in the instruction
    AsmFieldKind kind;
    uint32_t expression;
  };
  Result<void> instruction(const uint8_t* bytes, size_t size, const Field* fields, size_t count);
  // The shorter form has a distance of one byte at its end, the longer one of four.
  Result<void> branch(const uint8_t* shorter, size_t shorter_size, const uint8_t* longer, size_t longer_size,
                      uint32_t target);
  bool is_intel() const { return machine_.intel; }
  void set_intel(bool on) { machine_.intel = on; }

 private:
  static constexpr uint32_t none = ~0u;

  struct Fixup {
    uint32_t offset;           // in the fragment
    uint8_t bytes;
    AsmFieldKind kind;
    uint8_t from_end;          // pc_relative: the distance counts from the field's end plus this
    uint32_t expression;
    uint32_t line;             // in lines_
  };
  struct Fragment {
    enum class Kind : uint8_t { data, branch, align, fill, org, leb } kind = Kind::data;
    bool wide = false;                  // branch
    bool filled = false;                // align: with `value`, not with nops
    bool is_signed = false;             // leb
    uint8_t width = 1;                  // fill, align: of `value`
    uint8_t shorter = 0;                // branch: its bytes, of which the longer form's follow
    uint64_t align = 1, most = 0, value = 0;
    uint32_t expression = none;         // branch: target; fill: count; org: where
    uint32_t line = 0;
    uint64_t offset = 0, size = 0;      // in the section
    std::vector<uint8_t> bytes;
    std::vector<Fixup> fixups;
  };
  struct Section {
    AsmObjectSection out;
    uint32_t subsection = 0, main = none;  // of subsections other than 0: the section whose part it is
    std::vector<Fragment> fragments;
    uint64_t size = 0;
  };
  struct Symbol {
    std::string name;
    bool defined = false, temporary = false, referenced = false, has_bind = false, common = false,
         thread_local_use = false;
    uint32_t section = none, fragment = 0;
    uint64_t offset = 0;                // in the fragment
    uint32_t value = none;              // .set
    uint32_t size = none;               // expression
    uint64_t common_size = 0, common_align = 1;
    uint8_t bind = 0, visibility = 0, type = 0;
    uint32_t out = none;                // in the object
  };
  // What an expression comes to: constant + plus - minus.
  struct Sum {
    int64_t constant = 0;
    uint32_t plus = none, minus = none;
    AsmVariant variant = AsmVariant::none;
  };
  struct FrameOp {
    uint32_t at = none;                 // a symbol, from where on the rule holds
    std::string bytes;
  };
  struct Frame {
    uint32_t section = none, begin = none, end = none;  // symbols
    bool signal = false, simple = false;
    uint8_t personality_encoding = 0xff, lsda_encoding = 0xff;
    uint32_t personality = none, lsda = none;           // symbols
    unsigned return_register = 0;
    int64_t cfa_offset = 0;
    std::vector<int64_t> remembered;
    std::vector<FrameOp> ops;
  };
  using Handler = Result<void> (AsmModule::*)(std::string_view name, std::string_view rest, std::string_view s);
  struct Directive {
    std::string_view name;
    Handler handler;
  };
  static const Directive directives[];

  // asm_module.cpp
  uint32_t number_of_name(std::string_view name);
  uint32_t symbol(std::string_view name);
  uint32_t temporary();
  Result<void> define(std::string_view name);
  void place(Symbol& s);
  Result<void> statement(std::string_view s);
  Result<void> set(std::string_view name, std::string_view value, std::string_view s);
  Result<int64_t> number(std::string_view text, std::string_view s);
  Result<uint32_t> expression(std::string_view text, std::string_view s);
  Section& current() { return sections_[section_]; }
  Fragment& data();
  Fragment& fragment(Fragment::Kind kind);
  uint32_t note_line();
  Result<void> put(const void* bytes, size_t size, std::string_view s);
  Result<void> put_number(uint64_t value, unsigned bytes, std::string_view s);
  Result<void> put_expression(uint32_t e, unsigned bytes, AsmFieldKind kind, std::string_view s);
  bool is_code() const;

  // asm_module_directives.cpp
  Result<void> directive(std::string_view name, std::string_view rest, std::string_view s);
  Result<void> data_directive(unsigned bytes, std::string_view rest, std::string_view s);
  Result<void> string_directive(std::string_view name, std::string_view rest, std::string_view s);
  Result<void> float_directive(std::string_view name, std::string_view rest, std::string_view s);
  Result<void> align_directive(std::string_view name, std::string_view rest, std::string_view s);
  Result<void> skip_directive(std::string_view name, std::string_view rest, std::string_view s);
  Result<void> fill_directive(std::string_view name, std::string_view rest, std::string_view s);
  Result<void> org_directive(std::string_view name, std::string_view rest, std::string_view s);
  Result<void> leb_directive(std::string_view name, std::string_view rest, std::string_view s);
  Result<void> bind_directive(std::string_view name, std::string_view rest, std::string_view s);
  Result<void> type_directive(std::string_view name, std::string_view rest, std::string_view s);
  Result<void> size_directive(std::string_view name, std::string_view rest, std::string_view s);
  Result<void> set_directive(std::string_view name, std::string_view rest, std::string_view s);
  Result<void> common_directive(std::string_view name, std::string_view rest, std::string_view s);
  Result<void> version_directive(std::string_view name, std::string_view rest, std::string_view s);
  Result<void> section_directive(std::string_view name, std::string_view rest, std::string_view s);
  Result<void> stack_directive(std::string_view name, std::string_view rest, std::string_view s);
  Result<void> refused_directive(std::string_view name, std::string_view rest, std::string_view s);
  Result<void> weakref_directive(std::string_view name, std::string_view rest, std::string_view s);
  Result<void> error_directive(std::string_view name, std::string_view rest, std::string_view s);
  Result<void> reloc_directive(std::string_view name, std::string_view rest, std::string_view s);
  Result<void> no_effect(std::string_view name, std::string_view rest, std::string_view s);
  Result<void> choose_section(std::string_view rest, std::string_view s);
  Result<void> enter(AsmObjectSection wanted, uint32_t subsection, bool named_alone, std::string_view s);

  // asm_frames.cpp
  Result<void> frame_directive(std::string_view name, std::string_view rest, std::string_view s);
  Result<void> frame_rule(std::string_view name, std::string_view rest, std::string_view s);
  Result<void> frame_tables(std::string_view name, std::string_view rest, std::string_view s);
  Result<unsigned> frame_register(std::string_view text, std::string_view s);
  Result<void> write_frames(AsmObject& out);

  // asm_layout.cpp
  bool evaluate(uint32_t e, Sum& out, unsigned depth = 0) const;
  bool evaluate_symbol(uint32_t symbol, AsmVariant variant, Sum& out, unsigned depth) const;
  bool add(Sum& to, const Sum& x, bool minus, unsigned depth) const;
  uint32_t base_of(uint32_t symbol, int64_t& more, unsigned depth) const;
  bool distance(uint32_t a, uint32_t b, int64_t& out, unsigned depth) const;
  bool known(uint32_t e, int64_t& out) const;
  bool known_number(uint32_t e, int64_t& out) const;
  uint64_t offset_of(const Symbol& s) const;
  Result<void> lay_out();
  Result<bool> lay_out_section(uint32_t section);
  Result<void> join_subsections();
  Result<void> write_section(uint32_t section, AsmObject& out);
  Result<void> write_fixup(const Fixup& f, uint32_t section, uint64_t at, std::vector<uint8_t>& bytes,
                           AsmObjectSection& out);
  Result<void> relocate(const Sum& sum, const Fixup& f, uint32_t section, uint64_t at, AsmObjectSection& out);
  AsmRelocation refer_to(uint32_t symbol, int64_t addend, AsmVariant variant);
  void number_symbols();
  Result<void> write_symbols(AsmObject& out);
  Result<void> put_local_common(const Symbol& s, AsmObjectSymbol& out, AsmObject& object);
  Error error_on(uint32_t line, std::string message) const;

  AsmMachine& machine_;
  AsmText text_;
  AsmExpressions expressions_;
  std::vector<Section> sections_;
  std::vector<Symbol> symbols_;
  std::unordered_map<std::string, uint32_t> numbers_;
  std::unordered_map<std::string, unsigned> counts_;   // definitions so far of a numeric label
  std::vector<std::string> lines_;                     // of what is worked out later, for messages
  std::vector<Frame> frames_;
  std::vector<AsmVersion> versions_;
  struct Explicit {                                    // .reloc
    uint32_t section, place, target, type, line;
  };
  std::vector<Explicit> explicit_;
  uint32_t section_ = 0, previous_ = 0;
  std::vector<std::pair<uint32_t, uint32_t>> stack_;   // (section, previous)
  bool in_frame_ = false, frames_off_ = false, laid_out_ = false;
  mutable uint32_t steps_ = 0;                         // of the evaluation that runs: names may stand for names
  uint64_t total_ = 0;                                 // bytes so far
  uint32_t next_symbol_ = 0;                           // in the object
};

}  // namespace lode::codegen
