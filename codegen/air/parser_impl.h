// The parser of the text form: what all of it shares here; declarations in parser.cpp and parser_data.cpp, types and
// constants in parser_types.cpp, function bodies in parser_body.cpp.
//
// Two passes. The first (ModuleParser) reads every declaration's head and goes over the bodies by their braces, so that
// names may be used before they are declared; the second reads initialisers, and then the bodies (BodyParser), by all
// threads at once. After an error inside a body the parser goes on at the next line, after an error in an item at the
// next item. A value whose definition is broken still counts as defined.
//
// What bodies share they only read, so that neither the module nor a message depends on who read what, and when:
//   types    a thread makes those that the declarations did not bring in a table of its own, and notes them by
//            function; they enter the module's in the order of the functions, which is where one thread would have made
//            them, and the functions' numbers follow.
//   the rest a body that would change (a name that nobody declares becomes a symbol, so that it is reported once; a
//            budget that is used up) is given up and read again when its turn in that order has come.
// Places are offsets in the source; lines are counted when there is something to say of them.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "codegen/air/name_table.h"
#include "codegen/air/text.h"
#include "codegen/air/text_lexer.h"
#include "codegen/air/text_words.h"
#include "codegen/air/verifier.h"

namespace lode::air {

struct Hash128 {
  uint64_t low, high;
  bool operator==(const Hash128&) const = default;
};
struct Hash128Hash {
  size_t operator()(const Hash128& h) const { return h.low; }
};
Hash128 declaration_hash(std::string_view kind, std::string_view name);

// A parsed constant, before it becomes a Constant of a function or bytes of data.
struct ConstNode {
  ConstantKind kind = ConstantKind::Zero;
  TypeId type;
  uint32_t symbol = ~0u;
  uint64_t bits = 0;
  std::vector<uint32_t> words;      // WideInt, WideFloat
  std::vector<ConstNode> members;   // Aggregate
};

struct TextError {
  uint32_t offset;
  std::string message;
};

// What the first pass finds.
struct Declarations {
  struct Item {
    enum Kind : uint8_t { Type, Comdat, Symbol } kind;
    bool broken = false;      // its head had errors
    bool visiting = false;    // while an alias is resolved
    bool placeholder = false; // used, not declared
    uint32_t name = 0;        // where
    uint32_t index = ~0u;     // symbol, comdat
    TypeId type;              // of a type alias, when known
    uint32_t body = ~0u;      // behind the head: alias type, initialiser
  };
  struct Param {
    Token name;
    TypeId type;
    ParamAttr attr;
  };
  // A defined function, by FunctionIndex.
  struct Head {
    uint32_t item = 0;
    uint32_t open = ~0u;               // '{'; none: there is no body
    uint32_t end = 0;                  // its '}', or the item that stands in its place
    uint32_t personality = ~0u;
    uint32_t params = 0, param_count = 0;
    TypeId type;
    uint32_t flags = 0, align_log2 = 0;
    uint16_t result_attrs = 0;
    CallConv conv = CallConv::c;
    bool broken = false;
  };
  // What numbers and zeros may take beyond the text that asks for them.
  static constexpr uint64_t free_bytes = uint64_t{256} << 20, bytes_per_character = 64;

  Declarations(std::string_view text, Module& m)
      : source(text), module(m), budget(free_bytes + bytes_per_character * text.size()) {}

  std::string_view source;
  Module& module;
  std::unordered_map<Hash128, uint32_t, Hash128Hash> index;
  NameTable types;                     // the aliases among the items
  std::vector<Item> items;
  std::vector<Param> params;
  std::vector<Head> heads;
  uint64_t budget;                     // bytes that text of this size may still ask for
  std::atomic<int64_t> lent{0};        // of the budget, what threads may still take while bodies are read
};

// Tokens, types and constants.
class Parser {
 public:
  Parser(Declarations& declarations, bool alone);
  virtual ~Parser() = default;

 protected:
  using Item = Declarations::Item;
  using Head = Declarations::Head;
  static constexpr unsigned max_depth = TypeTable::max_nesting;
  static constexpr size_t max_errors = 1000;

  // ---- tokens, made when they are looked at
  Token peek(uint32_t n = 0) {
    if (at_ + n < tokens_.size()) [[likely]] return tokens_[at_ + n];
    return make(n);
  }
  Token take() {
    const Token t = peek();
    at_ += t.kind != Tok::End;
    return t;
  }
  Token make(uint32_t n);
  void go_to(uint32_t offset);
  Token token_at(uint32_t offset) const { return Lexer(d_.source, offset, false).next(); }
  std::string_view text(const Token& t) const { return token_text(d_.source, t); }
  std::string_view whole(const Token& t) const { return d_.source.substr(t.offset, t.length); }  // sigil and all
  bool is(char punct, uint32_t n = 0) { return peek(n).punct == punct; }
  bool is_word(std::string_view w, uint32_t n = 0) {
    const Token t = peek(n);
    return t.kind == Tok::Ident && text(t) == w;
  }
  bool accept(char punct) { return is(punct) ? (at_++, true) : false; }
  bool accept_word(std::string_view w) { return is_word(w) ? (at_++, true) : false; }
  bool expect(char punct, const char* where);
  bool fail(uint32_t offset, std::string message);       // records an error; always false
  bool fail(const Token& t, std::string message) { return fail(t.offset, std::move(message)); }
  bool fail_here(const std::string& expected);           // "expected ..., found ..."
  std::string describe(const Token& t) const;
  std::string name_of(const Token& t);                   // decoded
  bool string(std::string& out);                         // a string's bytes
  bool number(uint64_t& v, const char* what);            // an unsigned integer token
  bool integer(int64_t& v, const char* what);            // with an optional minus
  bool align(uint32_t& log2);                            // after `align`: a power of two
  bool convention(CallConv& conv);                       // after `cc`
  template <size_t N>
  const words::Word* word_of(const words::Word (&table)[N]) {  // takes it, if it is one
    const Token t = peek();
    const words::Word* w = t.kind == Tok::Ident ? words::find(table, text(t)) : nullptr;
    at_ += w != nullptr;
    return w;
  }
  static bool item_word(std::string_view w);
  bool at_item();                                        // a token that starts an item

  // ---- names
  SymbolIndex symbol_ref(const Token& t);                // reports an undeclared name once
  Item* find(std::string_view kind, std::string_view name);
  Item* declare(std::string_view kind, const Token& name, Item item);
  bool charge(const Token& where, uint64_t bytes);       // takes them from the budget, or reports that it is spent

  // ---- types and constants
  enum class Found : uint8_t { no, yes, broken };
  Found type_if_any(TypeId& t, unsigned depth = 0);
  bool type(TypeId& t, unsigned depth = 0);
  bool array_or_vector(TypeId& t, unsigned depth);
  bool struct_type(TypeId& t, unsigned depth);
  bool function_type(TypeId& t, unsigned depth);
  bool alias_type(Item& alias, const Token& name, TypeId& t, unsigned depth);
  bool sized(const Token& at, TypeId made, TypeId& t);
  TypeId interned(TypeId t) {
    if (t.value >= shared_types_) note(t);
    return t;
  }
  bool constant(TypeId expected, ConstNode& out, unsigned depth = 0);
  bool number_constant(TypeId expected, ConstNode& out);
  bool string_constant(TypeId expected, ConstNode& out);
  bool address_constant(TypeId expected, ConstNode& out);
  bool word_constant(TypeId expected, ConstNode& out);
  bool list_constant(TypeId expected, ConstNode& out, unsigned depth);
  bool mismatch(const Token& t, const char* what, TypeId expected);
  bool int_literal(TypeId t, const Token& token, bool negative, ConstNode& out);
  bool float_literal(TypeId t, const Token& token, bool negative, ConstNode& out);
  bool bits_literal(TypeId t, ConstNode& out);
  bool words_of(const Token& token, std::vector<uint32_t>& words);
  bool param_attrs(ParamAttr& a);
  std::string type_text(TypeId t) const { return type_name(*types_, t); }
  bool is_float(TypeId t) const {
    const TypeKind k = (*types_)[t].kind;
    return k >= TypeKind::F16 && k <= TypeKind::F128;
  }
  // A block of the function that is read, if one is.
  virtual bool block_ref(const Token& t, BlockId& b);

  Declarations& d_;
  Module& m_;
  TypeTable* types_;        // the module's, or the thread's own
  const bool alone_;        // no other thread looks at the declarations
  bool again_ = false;      // not alone, and something would have to change
  uint32_t shared_types_ = ~0u;  // how many types the thread's table has in common with the module's
  std::vector<TextError> errors_;
  uint64_t charged_ = 0, credit_ = 0;  // not alone: of the budget, taken by this body; lent and not taken yet

  std::vector<Token> tokens_;
  uint32_t at_ = 0;
  Lexer lexer_;

 private:
  void note(TypeId t);
  std::vector<uint32_t> noted_;     // by type of the thread's own: the function that noted it last

 protected:
  uint32_t function_ = 0;           // that is read, and 1
  std::vector<TypeId> new_types_;   // that functions noted, one function after the other
};

class BodyParser : public Parser {
 public:
  // Alone: types and symbols go straight to the module.
  BodyParser(Declarations& declarations, bool alone);

  // What there is to know of a body that was read.
  struct Outcome {
    const BodyParser* reader = nullptr;
    uint32_t types = 0, type_count = 0;              // in the reader's new_types()
    uint32_t errors = 0, error_count = 0;            // in the reader's texts()
    uint32_t problems = 0, problem_count = 0;        // of the verifier, in the same
    uint64_t charged = 0;
    bool again = false;                              // to be read alone
  };
  // Reads and verifies a body into Module::in_memory.
  Outcome read(uint32_t function);
  const TypeTable& types() const { return *types_; }
  const std::vector<TypeId>& new_types() const { return new_types_; }
  std::vector<TextError>& texts() { return texts_; }

 private:
  // What errors of a function later than others are good for depends on how many these have; see keep().
  struct Kept {
    uint32_t function, count;
  };
  void keep(uint32_t function, std::vector<TextError>& from, std::vector<Kept>& kept, uint32_t& at, uint32_t& count);
  void verify(uint32_t function);

  bool body(const Head& head);  // false: not all of it could be read, whether or not that was an error of its own
  void lex(const Head& head);
  bool prescan(const Head& head);
  bool block_params(uint32_t block, Block& made);
  void define(const Token& name, TypeId t, ValueKind kind, uint32_t index);
  void label();
  bool slot();
  bool instruction();
  bool inst_rest(Inst& i, const Token& op);
  bool operand(TypeId expected, ValueId& v, TypeId* type_out = nullptr);
  bool constant_operand(TypeId t, ValueId& v);
  bool typed_operand(ValueId& v, TypeId& t);
  bool value_ref(const Token& t, TypeId expected, ValueId& v);
  ValueId make_constant(const ConstNode& c);
  bool edge(uint32_t& e);
  bool block_ref(const Token& t, BlockId& b) override;
  bool memory_flags(uint16_t& aux);
  bool call(Inst& i);
  bool inline_assembly(CallSite& site);
  bool arguments(SymbolIndex direct, CallSite& site);
  bool path(uint32_t& x);
  bool landing_pad(Inst& i);
  bool shuffle(Inst& i, const Token& op);
  bool switch_cases(Inst& i);
  bool alloca_of_type();
  bool location(uint32_t& index);
  uint32_t append(const std::vector<uint32_t>& list);   // to Function::extra
  bool at_label(uint32_t token) const {
    return tokens_[token].kind == Tok::Ident && tokens_[token].first_on_line &&
           (tokens_[token + 1].punct == ':' || tokens_[token + 1].punct == '(');
  }
  void skip_line();

  // Of the function that is read. One object is used for many, and what it has allocated stays.
  Function fn_;
  uint32_t body_end_ = 0;             // the token behind the body
  NameTable value_ids_, block_ids_, slot_ids_, reported_;
  std::vector<uint32_t> line_starts_; // tokens that stand first in their lines
  struct TypeClaim {
    ValueId value;
    TypeId type;
    uint32_t place;
  };
  std::vector<TypeClaim> claims_;
  std::vector<uint8_t> broken_values_;  // the definition had an error
  std::unordered_map<uint64_t, uint32_t> location_ids_;
  std::vector<uint32_t> list_;  // scratch
  std::vector<TypeId> types_of_arguments_;
  std::vector<ParamAttr> attrs_;
  // For the verifier's problems: where instructions begin, where blocks and values have their names, and where an
  // instruction mentions a value.
  struct Use {
    uint32_t inst, value, place;
  };
  struct Places {
    std::vector<uint32_t> insts, blocks, values;  // none: ~0
    std::vector<uint32_t> edges;                  // where they name their targets
    std::vector<Use> uses;                        // by instruction
  };
  class TextNames;
  Places places_;
  uint32_t place_of(const Problem& p, uint32_t head) const;
  void mention(ValueId v, const Token& t) {
    places_.uses.push_back({uint32_t(places_.insts.size()) - 1, v.value, t.offset});
  }
  std::vector<Problem> problems_;
  TypeTable own_types_;
  VerifierScratch verifier_;

  std::vector<TextError> texts_;      // of all functions that this object has read
  std::vector<Kept> kept_errors_, kept_problems_;
};

class ModuleParser : public Parser {
 public:
  ModuleParser(Declarations& declarations, ParsedModule& out);
  void run();

 private:
  bool has_version();
  bool version();
  void find_type_aliases();
  void initialisers();
  void bodies();
  void bodies_at_once(std::vector<BodyParser::Outcome>& outcomes, std::vector<std::unique_ptr<BodyParser>>& readers);
  void symbols_verified();
  void deliver();                                        // errors, in the order of the text

  // Items: each returns whether all went well.
  void item();
  std::string item_hint();
  bool target_item();
  bool processor_item();
  bool file_item();
  bool library_item();
  bool asm_item();
  bool layout_item();
  bool type_item();
  bool comdat_item();
  bool init_item();
  void symbol_item();
  bool symbol_words(Symbol& s, bool& declared);
  bool data_head(Symbol& s, Item& item, const Token& name, bool declared);
  bool function_head(Symbol& s, bool defined);
  bool parameters(Head& head, bool defined, bool& vararg);
  bool symbol_suffix(Symbol& s, Head* head, TypeId* type);
  bool comdat_suffix(Symbol& s);
  void skip_to_item();
  bool skip_braces(Head& head);

  void finish_data(Item& item);
  void finish_alias(Item& item);
  bool data_piece(Symbol& s);
  bool address_piece(Symbol& s);
  bool place(Symbol& s, const ConstNode& c, const Token& where, unsigned depth);
  bool place_aggregate(Symbol& s, const ConstNode& c, const Token& where, unsigned depth);
  bool place_zeros(Symbol& s, uint64_t n, const Token& where);
  void place_bytes(Symbol& s, const void* p, size_t n);

  ParsedModule& out_;
};

}  // namespace lode::air
