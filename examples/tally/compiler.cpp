#include "examples/tally/compiler.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <map>

#include "lode/codegen/air/builder.h"

namespace tally {

using namespace lode::air;

namespace {

struct Token {
  enum Kind : uint8_t { end, name, number, mark } kind = end;
  std::string_view text;
  uint32_t line = 1, column = 1;
};

class Lexer {
 public:
  explicit Lexer(std::string_view source, uint32_t line = 1) : source_(source), line_(line) {}

  // Where the last token ends.
  size_t position() const { return at_; }

  Token next() {
    for (;;) {
      while (at_ < source_.size() && std::isspace(uint8_t(source_[at_]))) step();
      if (source_.substr(at_, 2) != "//") break;
      while (at_ < source_.size() && source_[at_] != '\n') step();
    }
    Token t;
    t.line = line_;
    t.column = column_;
    size_t begin = at_;
    if (at_ == source_.size()) return t;
    if (is_word(source_[at_])) {
      t.kind = std::isdigit(uint8_t(source_[at_])) ? Token::number : Token::name;
      while (at_ < source_.size() && is_word(source_[at_])) step();
    } else {
      t.kind = Token::mark;
      step();
      std::string_view two = source_.substr(begin, 2);
      if (two == "<=" || two == ">=" || two == "==" || two == "!=") step();
    }
    t.text = source_.substr(begin, at_ - begin);
    return t;
  }

 private:
  static bool is_word(char c) { return std::isalnum(uint8_t(c)) || c == '_'; }
  void step() {
    column_++;
    if (source_[at_++] == '\n') {
      line_++;
      column_ = 1;
    }
  }
  std::string_view source_;
  size_t at_ = 0;
  uint32_t line_, column_ = 1;
};

// An expression's value: a number or a slice, told apart by the AIR type.
class Compiler {
 public:
  // `others`: the functions that are defined elsewhere; null: none is.
  Compiler(std::string_view source, const std::string& file, uint32_t line = 1,
           const std::vector<Function>* others = nullptr)
      : lexer_(source, line), file_name_(file), m_(file), others_(others) {
    file_ = m_.file(file);
    slice_ = m_.slice();
    printf_ = m_.declare_function("printf", m_.function_type(m_.i32(), {m_.ptr()}, true));
    calloc_ = m_.declare_function("calloc", m_.function_type(m_.ptr(), {m_.i64(), m_.i64()}));
    format_ = m_.define_bytes("", "%lld\n", Linkage::internal, true);
    make_failure();
    advance();
  }

  Compiled run() {
    while (token_.kind != Token::end) {
      if (!take("fn")) {
        error("expected 'fn'");
        break;
      }
      if (!function()) break;
    }
    for (auto& [name, f] : functions_)
      if (!f.defined && errors_.empty() && !elsewhere(name))
        report(f.first_use, "function '" + std::string(name) + "' is called but not defined");
    Compiled out;
    out.errors = std::move(errors_);
    if (!out.errors.empty()) return out;
    auto module = m_.take();
    if (module.ok()) out.module = std::move(*module);
    else out.errors.push_back(file_name_ + ": error: " + module.error().text());
    return out;
  }

 private:
  struct Callee {
    SymbolIndex symbol;
    size_t parameters = 0;
    bool defined = false;
    Token first_use;
  };
  struct Variable {
    ValueId slot;
    TypeId type;
  };

  // What checked arithmetic and bounds call instead of trapping.
  void make_failure() {
    SymbolIndex puts = m_.declare_function("puts", m_.function_type(m_.i32(), {m_.ptr()}));
    SymbolIndex exit = m_.declare_function("exit", m_.function_type(m_.void_type(), {m_.i32()}));
    SymbolIndex text = m_.define_bytes("", "tally: a number too large, a division by zero, or an index out of bounds",
                                       Linkage::internal, true);
    failure_ = m_.declare_function("tally_failure", m_.function_type(m_.void_type(), {}), Linkage::internal);
    FunctionBuilder f(m_, failure_);
    f.call(puts, {f.address(text)});
    f.call(exit, {f.integer(m_.i32(), 1)});
    f.unreachable();
    f.finish();
  }

  void report(const Token& at, const std::string& what) {
    errors_.push_back(file_name_ + ":" + std::to_string(at.line) + ":" + std::to_string(at.column) +
                      ": error: " + what);
  }
  bool error(const std::string& what) {
    report(token_, token_.kind == Token::end ? what + ", not the end of the file"
                                             : what + ", not '" + std::string(token_.text) + "'");
    return false;
  }
  void advance() { token_ = lexer_.next(); }
  bool is(std::string_view text) const { return token_.kind != Token::end && token_.text == text; }
  bool take(std::string_view text) {
    if (!is(text)) return false;
    advance();
    return true;
  }
  bool expect(std::string_view text) { return take(text) || error("expected '" + std::string(text) + "'"); }
  bool name(std::string_view& out) {
    if (token_.kind != Token::name) return error("expected a name");
    out = token_.text;
    advance();
    return true;
  }

  const Function* elsewhere(std::string_view name) const {
    if (!others_) return nullptr;
    auto it = std::find_if(others_->begin(), others_->end(), [&](const Function& f) { return f.name == name; });
    return it == others_->end() ? nullptr : &*it;
  }

  Callee& callee(std::string_view name, size_t parameters, const Token& at) {
    auto [it, is_new] = functions_.try_emplace(name);
    if (const Function* other = elsewhere(name); is_new && other && other->parameters != parameters) {
      report(at, "function '" + std::string(name) + "' has " + std::to_string(other->parameters) + " parameters, not " +
                     std::to_string(parameters));
    }
    if (is_new) {
      std::vector<TypeId> types(parameters, m_.i64());
      // The C start code wants an i32 from main.
      TypeId result = name == "main" ? m_.i32() : m_.i64();
      it->second = {m_.declare_function(name, m_.function_type(result, types)), parameters, false, at};
    } else if (it->second.parameters != parameters) {
      report(at, "function '" + std::string(name) + "' has " + std::to_string(it->second.parameters) +
                     " parameters, not " + std::to_string(parameters));
    }
    return it->second;
  }

  bool function() {
    Token at = token_;
    std::string_view own, parameter;
    std::vector<std::string_view> parameters;
    if (!name(own) || !expect("(")) return false;
    while (!is(")")) {
      if (!name(parameter)) return false;
      parameters.push_back(parameter);
      if (!take(",")) break;
    }
    if (!expect(")")) return false;
    Callee& self = callee(own, parameters.size(), at);
    if (self.defined) report(at, "function '" + std::string(own) + "' is defined twice");
    if (!errors_.empty()) return false;
    self.defined = true;
    FunctionBuilder builder(m_, self.symbol);
    f_ = &builder;
    builder.on_failure(failure_);
    is_main_ = own == "main";
    variables_.clear();
    for (size_t k = 0; k < parameters.size(); k++) declare(parameters[k], builder.param(uint32_t(k)));
    if (!block()) return false;
    if (!builder.terminated()) give_back(builder.integer(m_.i64(), 0));
    builder.finish();
    return true;
  }

  void declare(std::string_view name, ValueId value) {
    Variable v = {f_->slot_of(f_->type_of(value)), f_->type_of(value)};
    f_->store(value, v.slot);
    variables_[name] = v;
  }
  void give_back(ValueId v) { f_->ret(is_main_ ? f_->convert(Op::trunc, v, m_.i32()) : v); }

  bool block() {
    if (!expect("{")) return false;
    while (!is("}")) {
      if (token_.kind == Token::end) return error("expected '}'");
      if (f_->terminated())
        return error("expected '}': nothing behind a return is reached");  // AIR has no unreachable blocks
      if (!statement()) return false;
    }
    advance();
    return true;
  }

  bool statement() {
    f_->location(file_, token_.line, token_.column);
    Token at = token_;
    ValueId v;
    if (take("return")) {
      if (!number(v) || !expect(";")) return false;
      give_back(v);
      return true;
    }
    if (take("print")) {
      if (!number(v) || !expect(";")) return false;
      f_->call(printf_, {f_->address(format_), v});
      return true;
    }
    if (take("if")) return conditional();
    if (take("while")) return loop();
    std::string_view target;
    bool is_new = take("var");
    if (!name(target)) return false;
    if (!is_new && is("(")) return call(at, target, v) && expect(";");
    auto known = variables_.find(target);
    if (!is_new && known == variables_.end()) {
      report(at, "'" + std::string(target) + "' is not a variable");
      return false;
    }
    if (!is_new && is("[")) {
      ValueId place;
      if (!element(known->second, place) || !expect("=") || !number(v) || !expect(";")) return false;
      f_->store(v, place);
      return true;
    }
    if (!expect("=") || !expression(v) || !expect(";")) return false;
    if (is_new) {
      declare(target, v);
    } else if (f_->type_of(v) != known->second.type) {
      report(at, "'" + std::string(target) + "' is a number here and an array there");
      return false;
    } else {
      f_->store(v, known->second.slot);
    }
    return true;
  }

  bool conditional() {
    ValueId c;
    if (!number(c)) return false;
    BlockId yes = f_->add_block(), no = f_->add_block();
    f_->cond_br(f_->icmp(IntPredicate::ne, c, f_->integer(m_.i64(), 0)), yes, no);
    f_->switch_to(yes);
    if (!block()) return false;
    if (!is("else")) {
      if (!f_->terminated()) f_->br(no);
      f_->switch_to(no);
      return true;
    }
    advance();
    BlockId end_of_yes = f_->current();
    bool yes_goes_on = !f_->terminated();
    f_->switch_to(no);
    bool nested = take("if");
    if (nested ? !conditional() : !block()) return false;
    bool no_goes_on = !f_->terminated();
    if (!yes_goes_on && !no_goes_on) return true;
    BlockId next = f_->add_block();
    if (no_goes_on) f_->br(next);
    f_->switch_to(end_of_yes);
    if (yes_goes_on) f_->br(next);
    f_->switch_to(next);
    return true;
  }

  bool loop() {
    BlockId head = f_->add_block(), body = f_->add_block(), done = f_->add_block();
    f_->br(head);
    f_->switch_to(head);
    ValueId c;
    if (!number(c)) return false;
    f_->cond_br(f_->icmp(IntPredicate::ne, c, f_->integer(m_.i64(), 0)), body, done);
    f_->switch_to(body);
    if (!block()) return false;
    if (!f_->terminated()) f_->br(head);
    f_->switch_to(done);
    return true;
  }

  // ---- expressions, by precedence: comparison, sum, product, unary, primary

  bool number(ValueId& v) {
    Token at = token_;
    if (!expression(v)) return false;
    if (f_->type_of(v) == m_.i64()) return true;
    report(at, "an array is not a number");
    return false;
  }

  bool expression(ValueId& v) {
    if (!sum(v)) return false;
    struct Row {
      std::string_view text;
      IntPredicate predicate;
    };
    static constexpr Row rows[] = {{"<", IntPredicate::slt},  {"<=", IntPredicate::sle}, {">", IntPredicate::sgt},
                                   {">=", IntPredicate::sge}, {"==", IntPredicate::eq},  {"!=", IntPredicate::ne}};
    for (const Row& row : rows) {
      if (!is(row.text)) continue;
      ValueId right;
      if (!operands(v, right, &Compiler::sum)) return false;
      v = f_->convert(Op::zext, f_->icmp(row.predicate, v, right), m_.i64());
      break;
    }
    return true;
  }

  // The operator's right side; both sides must be numbers.
  bool operands(ValueId left, ValueId& right, bool (Compiler::*parse)(ValueId&)) {
    Token at = token_;
    advance();
    if (!(this->*parse)(right)) return false;
    if (f_->type_of(left) == m_.i64() && f_->type_of(right) == m_.i64()) return true;
    report(at, "'" + std::string(at.text) + "' wants numbers");
    return false;
  }

  bool sum(ValueId& v) {
    if (!product(v)) return false;
    while (is("+") || is("-")) {
      auto op = is("+") ? FunctionBuilder::Arithmetic::add : FunctionBuilder::Arithmetic::sub;
      ValueId right;
      if (!operands(v, right, &Compiler::product)) return false;
      v = f_->checked(op, true, v, right);
    }
    return true;
  }

  bool product(ValueId& v) {
    if (!unary(v)) return false;
    while (is("*") || is("/") || is("%")) {
      char op = token_.text[0];
      ValueId right;
      if (!operands(v, right, &Compiler::unary)) return false;
      v = op == '*' ? f_->checked(FunctionBuilder::Arithmetic::mul, true, v, right)
                    : f_->checked_divide(true, op == '%', v, right);
    }
    return true;
  }

  bool unary(ValueId& v) {
    unsigned minuses = 0;
    while (take("-")) minuses++;
    if (!primary(v)) return false;
    if (minuses && f_->type_of(v) != m_.i64()) return error("expected a number behind '-'");
    for (; minuses; minuses--) v = f_->checked(FunctionBuilder::Arithmetic::sub, true, f_->integer(m_.i64(), 0), v);
    return true;
  }

  bool primary(ValueId& v) {
    if (++depth_ > 200) return error("an expression is nested too deeply");
    bool ok = primary_inside(v);
    depth_--;
    return ok;
  }

  bool primary_inside(ValueId& v) {
    Token at = token_;
    if (token_.kind == Token::number) {
      int64_t n = 0;
      auto [end, problem] = std::from_chars(at.text.data(), at.text.data() + at.text.size(), n);
      if (problem != std::errc() || end != at.text.data() + at.text.size())
        return error("expected a number of 64 bits");
      advance();
      v = f_->integer(m_.i64(), uint64_t(n));
      return true;
    }
    if (take("(")) return expression(v) && expect(")");
    std::string_view word;
    if (!name(word)) return false;
    if (is("(")) return call(at, word, v);
    auto it = variables_.find(word);
    if (it == variables_.end()) {
      report(at, "'" + std::string(word) + "' is not a variable");
      return false;
    }
    if (is("[")) {
      ValueId place;
      if (!element(it->second, place)) return false;
      v = f_->load(m_.i64(), place);
      return true;
    }
    v = f_->load(it->second.type, it->second.slot);
    return true;
  }

  // The address of variable[index].
  bool element(const Variable& variable, ValueId& place) {
    if (variable.type != slice_) return error("expected a number without index");
    advance();
    ValueId index;
    if (!number(index) || !expect("]")) return false;
    place = f_->slice_element(m_.i64(), f_->load(slice_, variable.slot), index);
    return true;
  }

  bool call(const Token& at, std::string_view word, ValueId& v) {
    advance();
    std::vector<ValueId> arguments;
    while (!is(")")) {
      ValueId a;
      if (!number(a)) return false;
      arguments.push_back(a);
      if (!take(",")) break;
    }
    if (!expect(")")) return false;
    f_->location(file_, at.line, at.column);
    if (word == "array" && arguments.size() == 1) {
      ValueId pointer = f_->call(calloc_, {arguments[0], f_->integer(m_.i64(), 8)});
      // No memory, no elements.
      ValueId length =
          f_->select(f_->icmp(IntPredicate::eq, pointer, f_->zero(m_.ptr())), f_->integer(m_.i64(), 0), arguments[0]);
      v = f_->make_slice(pointer, length);
      return true;
    }
    Callee& c = callee(word, arguments.size(), at);
    if (!errors_.empty()) return false;
    v = f_->call(c.symbol, arguments);
    if (word == "main") v = f_->convert(Op::sext, v, m_.i64());
    return true;
  }

  Lexer lexer_;
  Token token_;
  std::string file_name_;
  ModuleBuilder m_;
  const std::vector<Function>* others_;
  FunctionBuilder* f_ = nullptr;
  uint32_t file_ = 0;
  TypeId slice_;
  SymbolIndex printf_, calloc_, format_, failure_;
  std::map<std::string_view, Callee> functions_;
  std::map<std::string_view, Variable> variables_;
  std::vector<std::string> errors_;
  bool is_main_ = false;
  unsigned depth_ = 0;
};

}  // namespace

Compiled compile(std::string_view source, const std::string& file_name) { return Compiler(source, file_name).run(); }

Compiled compile_function(const Function& function, const std::vector<Function>& all, const std::string& file_name) {
  return Compiler(function.text, file_name, function.line, &all).run();
}

Functions split(std::string_view source, const std::string& file_name) {
  Functions out;
  Lexer lexer(source);
  auto error = [&](const Token& at, const std::string& what) {
    out.errors.push_back(file_name + ":" + std::to_string(at.line) + ":" + std::to_string(at.column) +
                         ": error: " + what);
  };
  for (Token t = lexer.next(); t.kind != Token::end; t = lexer.next()) {
    if (t.text != "fn") return error(t, "expected 'fn'"), out;
    Function f;
    f.line = t.line;
    const size_t begin = lexer.position() - t.text.size();
    const Token name = lexer.next();
    f.name = name.text;
    for (const Function& other : out.functions)
      if (other.name == f.name) error(name, "function '" + f.name + "' is defined twice");
    size_t depth = 0;
    bool in_body = false;
    while (!in_body || depth) {
      const Token part = lexer.next();
      if (part.kind == Token::end) return error(part, "expected '}', not the end of the file"), out;
      in_body |= part.text == "{";
      depth += part.text == "{";
      depth -= part.text == "}" && depth;
      f.parameters += !in_body && part.kind == Token::name;
    }
    f.text = source.substr(begin, lexer.position() - begin);
    out.functions.push_back(std::move(f));
  }
  return out;
}

}  // namespace tally
