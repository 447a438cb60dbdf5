// The parser of the text form: items here, function bodies in parser_body.cpp, types and constants in parser_types.cpp.
//
// Two passes: the first reads every declaration's head and skips the bodies, so that names may be used before they are
// declared; the second reads initialisers and bodies. After an error inside a body the parser goes on at the next line,
// after an error in an item at the next item. A value whose definition is broken still counts as defined.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "codegen/air/text.h"
#include "codegen/air/text_lexer.h"
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

class Parser {
 public:
  Parser(std::string_view source, std::string file_name, ParsedModule& out);
  void run();

 private:
  static constexpr unsigned max_depth = TypeTable::max_nesting;
  static constexpr size_t max_errors = 1000;
  // What numbers and zeros may take beyond the text that asks for them.
  static constexpr uint64_t free_bytes = uint64_t{256} << 20, bytes_per_character = 64;

  // ---- tokens
  const Token& peek(uint32_t n = 0) const { return lexer_.tokens[std::min<size_t>(at_ + n, lexer_.tokens.size() - 1)]; }
  const Token& take() { return lexer_.tokens[at_ + 1 < lexer_.tokens.size() ? at_++ : at_]; }
  bool is(char punct, uint32_t n = 0) const { return peek(n).kind == Tok::Punct && peek(n).punct == punct; }
  bool is_word(std::string_view w, uint32_t n = 0) const {
    return peek(n).kind == Tok::Ident && lexer_.text(peek(n)) == w;
  }
  bool accept(char punct) { return is(punct) ? (take(), true) : false; }
  bool accept_word(std::string_view w) { return is_word(w) ? (take(), true) : false; }
  bool expect(char punct, const char* where);
  bool fail(const Token& t, std::string message);        // records an error; always false
  bool fail_here(const std::string& expected);           // "expected ..., found ..."
  std::string describe(const Token& t) const;
  std::string name_of(const Token& t);                   // decoded
  bool number(uint64_t& v, const char* what);            // an unsigned integer token
  bool integer(int64_t& v, const char* what);            // with an optional minus
  template <size_t N, class TableT>
  bool word_of(const TableT (&table)[N], uint32_t& value, const char* what);
  bool align(uint32_t& log2);                            // after `align`: a power of two
  static bool item_word(std::string_view w);
  bool at_item(uint32_t token) const;                    // a token that starts an item
  void skip_to_item();
  void skip_braces();

  // ---- items
  struct Item {
    enum Kind : uint8_t { Type, Comdat, Symbol } kind;
    uint32_t token = 0;       // of the name
    uint32_t index = ~0u;     // symbol, comdat
    TypeId type;              // of a type alias, when known
    uint32_t body = ~0u;      // token after the head: alias type, initialiser, function body
    bool broken = false;      // its head had errors
    bool visiting = false;    // while an alias is resolved
    bool placeholder = false; // used, not declared
  };
  void item();
  void symbol_item();
  bool function_head(Symbol& s, Item& item, bool defined);
  bool symbol_suffix(Symbol& s, Function* fn, uint32_t* personality, TypeId* type);
  void finish_data(Item& item);
  void finish_alias(Item& item);
  void initialiser(Symbol& s, TypeId type);
  bool data_piece(Symbol& s);
  bool place(Symbol& s, const ConstNode& c, const Token& where, unsigned depth);
  bool place_zeros(Symbol& s, uint64_t n, const Token& where);
  bool charge(const Token& where, uint64_t bytes);       // takes them from budget_, or reports that it is spent
  void place_bytes(Symbol& s, const void* p, size_t n);
  SymbolIndex symbol_ref(const Token& t);                // reports an undeclared name once
  Item* find(std::string_view kind, std::string_view name);
  Item* declare(std::string_view kind, const Token& name, Item item);

  // ---- types and constants
  bool starts_type() const;
  bool type(TypeId& t, unsigned depth = 0);
  bool constant(TypeId expected, ConstNode& out, unsigned depth = 0);
  bool int_literal(TypeId t, const Token& token, bool negative, ConstNode& out);
  bool float_literal(TypeId t, const Token& token, bool negative, ConstNode& out);
  bool bits_literal(TypeId t, ConstNode& out);
  bool words_of(const Token& token, std::vector<uint32_t>& words);
  bool param_attrs(ParamAttr& a);
  std::string type_text(TypeId t) const { return type_name(m_.types, t); }

  // ---- bodies
  // What the first pass keeps of a defined function, by FunctionIndex.
  struct Head {
    uint32_t item = 0;
    uint32_t open = 0;                 // token of '{'
    uint32_t end = 0;                  // token after '}'
    uint32_t personality = ~0u;        // token
    std::vector<uint32_t> param_tokens;
    std::vector<TypeId> param_types;
    std::vector<ParamAttr> param_attrs;
    bool broken = false;
  };
  bool body(uint32_t function);  // false: not all of it could be read, whether or not that was an error of its own
  bool prescan(Function& fn, const Head& head);
  bool instruction(Function& fn);
  bool inst_rest(Function& fn, Inst& i, const Token& op);
  bool operand(Function& fn, TypeId expected, ValueId& v, TypeId* type_out = nullptr);
  bool constant_operand(Function& fn, TypeId t, ValueId& v);
  bool typed_operand(Function& fn, ValueId& v, TypeId& t);
  bool value_ref(const Token& t, TypeId expected, ValueId& v);
  ValueId make_constant(Function& fn, const ConstNode& c);
  bool edge(Function& fn, uint32_t& e);
  bool block_ref(const Token& t, BlockId& b);
  bool memory_flags(uint16_t& aux);
  bool call(Function& fn, Inst& i);
  bool path(Function& fn, uint32_t& x);
  bool location(Function& fn, uint32_t& index);
  void skip_line();

  std::string_view source_;
  Lexer lexer_;
  ParsedModule& out_;
  Module& m_;
  uint32_t at_ = 0;
  std::unordered_map<Hash128, uint32_t, Hash128Hash> index_;  // declarations
  std::vector<Item> items_;

  // of the function being read
  std::unordered_map<std::string_view, uint32_t> value_ids_;
  std::unordered_map<std::string_view, uint32_t> block_ids_;
  std::unordered_map<std::string_view, bool> reported_;
  std::unordered_map<std::string_view, uint32_t> slot_ids_;
  struct TypeClaim {
    ValueId value;
    TypeId type;
    uint32_t token;
  };
  std::vector<TypeClaim> claims_;
  std::vector<uint8_t> broken_values_;  // the definition had an error
  std::unordered_map<uint64_t, uint32_t> location_ids_;
  // Of each function, for the verifier's problems: the first tokens of its instructions, the names of its blocks and
  // values, and where an instruction mentions a value.
  struct Use {
    uint32_t inst, value, token;
  };
  struct Places {
    std::vector<uint32_t> insts, blocks, values;  // tokens; none: ~0
    std::vector<Use> uses;                        // by instruction
  };
  class TextNames;
  std::vector<Places> places_;
  Places* here_ = nullptr;  // of the function being read
  uint32_t place_of(const Places& places, const Problem& p, uint32_t head) const;
  std::vector<Head> heads_;
  uint64_t budget_ = 0;  // bytes that text of this size may still ask for
};

}  // namespace lode::air
