// Items of the text form: symbols, data, aliases, comdats, types, module properties; error recovery; diagnostics.
#include <xxhash.h>

#include <algorithm>
#include <bit>

#include "base/bytes.h"
#include "codegen/air/parser_impl.h"
#include "codegen/air/text_words.h"
#include "codegen/air/verifier.h"

namespace lode::air {

Hash128 declaration_hash(std::string_view kind, std::string_view name) {
  char buf[256];
  std::string big;
  size_t n = kind.size() + 1 + name.size();
  char* p = buf;
  if (n > sizeof buf) {
    big.resize(n);
    p = big.data();
  }
  std::copy(kind.begin(), kind.end(), p);
  p[kind.size()] = ':';
  std::copy(name.begin(), name.end(), p + kind.size() + 1);
  XXH128_hash_t h = XXH3_128bits(p, n);
  return {h.low64, h.high64};
}

Parser::Parser(std::string_view source, std::string file_name, ParsedModule& out)
    : source_(source), lexer_(source), out_(out), m_(out.module) {
  m_.name = std::move(file_name);
  m_.files.push_back("");
  budget_ = free_bytes + bytes_per_character * source.size();
}

// ---- tokens ---------------------------------------------------------------------------------------------------------

bool Parser::fail(const Token& t, std::string message) {
  if (out_.errors.size() < max_errors)
    out_.errors.push_back({lexer_.line_of(t.offset), lexer_.column_of(t.offset), std::move(message)});
  return false;
}

bool Parser::charge(const Token& where, uint64_t bytes) {
  if (bytes > budget_) return fail(where, "the constants are too large for a text of this size");
  budget_ -= bytes;
  return true;
}

std::string Parser::describe(const Token& t) const {
  if (t.kind == Tok::End) return "the end of the file";
  if (t.kind == Tok::Bad) return "a malformed token";
  std::string_view s = source_.substr(t.offset, std::min<uint32_t>(t.length, 40));
  return "'" + std::string(s) + (t.length > 40 ? "...'" : "'");
}

bool Parser::fail_here(const std::string& expected) {
  return fail(peek(), "expected " + expected + ", found " + describe(peek()));
}

bool Parser::expect(char punct, const char* where) {
  if (accept(punct)) return true;
  return fail_here(std::string("'") + punct + "' in " + where);
}

std::string Parser::name_of(const Token& t) {
  std::string_view s = lexer_.text(t);
  if (!t.quoted) return std::string(s);
  std::string out;
  if (!unescape(s, out)) fail(t, "malformed escape in the name");
  return out;
}

bool Parser::number(uint64_t& v, const char* what) {
  v = 0;
  if (peek().kind != Tok::Int) return fail_here(what);
  const Token& t = take();
  std::vector<uint32_t> w;
  if (!words_of(t, w)) return false;
  if (w.size() > 2) return fail(t, "the number is too large");
  for (size_t k = w.size(); k-- > 0;) v = v << 32 | w[k];
  return true;
}

bool Parser::integer(int64_t& v, const char* what) {
  bool minus = accept('-');
  uint64_t n;
  if (!number(n, what)) return false;
  v = int64_t(minus ? 0 - n : n);
  return true;
}

bool Parser::align(uint32_t& log2) {
  const Token t = peek();
  uint64_t n;
  if (!number(n, "an alignment in bytes")) return false;
  if (!is_power_of_two(n) || n > uint64_t{1} << 31)
    return fail(t, "an alignment is a power of two of at most 2147483648");
  log2 = uint32_t(std::countr_zero(n));
  return true;
}

bool Parser::item_word(std::string_view w) {
  static constexpr std::string_view all[] = {
      "declare", "func",      "data",   "const",     "alias",        "ifunc", "type",        "comdat",
      "target",  "processor", "layout", "file",      "library",      "asm",   "constructor", "destructor",
      "hidden",  "protected", "tls",    "dso_local", "unnamed_addr", "used",  "retain",      "export"};
  return std::find(std::begin(all), std::end(all), w) != std::end(all) || words::find(words::linkage, w);
}

bool Parser::at_item(uint32_t token) const {
  const Token& t = lexer_.tokens[token];
  if (t.kind != Tok::Ident || !t.first_on_line || !item_word(lexer_.text(t))) return false;
  // A block may be called the same.
  const Token& next = lexer_.tokens[std::min<size_t>(token + 1, lexer_.tokens.size() - 1)];
  return next.kind != Tok::Punct ||
         (next.punct != ':' && next.punct != '=' && !(next.punct == '(' && lexer_.text(t) != "tls"));
}

void Parser::skip_to_item() {
  while (peek().kind != Tok::End && !at_item(at_)) take();
}

// From '{' to behind its '}'; stops at an item in the first column too, which a function's body cannot contain.
void Parser::skip_braces() {
  const Token open = peek();
  unsigned depth = 0;
  while (peek().kind != Tok::End) {
    if (is('{')) depth++;
    if (is('}') && --depth == 0) {
      take();
      return;
    }
    take();
    if (at_item(at_) && lexer_.column_of(peek().offset) == 1) break;
  }
  fail(open, "this '{' is not closed");
}

// ---- declarations ---------------------------------------------------------------------------------------------------

class Parser::TextNames : public Names {
 public:
  TextNames(const Parser& parser, const Places& places) : parser_(parser), places_(places) {}
  std::string block(uint32_t index) const override {
    return index < places_.blocks.size() ? "'" + text(places_.blocks[index]) + "'" : Names::block(index);
  }
  std::string value(ValueId v) const override {
    return v.value < places_.values.size() && places_.values[v.value] != ~0u ? "'" + text(places_.values[v.value]) + "'"
                                                                             : Names::value(v);
  }

 private:
  std::string text(uint32_t token) const {
    const Token& t = parser_.lexer_.tokens[token];
    return std::string(parser_.source_.substr(t.offset, t.length));
  }
  const Parser& parser_;
  const Places& places_;
};

// The token that a problem is about: the operand, else the instruction, else the block's label, else the function's
// name.
uint32_t Parser::place_of(const Places& places, const Problem& p, uint32_t head) const {
  if (p.operand.valid() && p.inst != ~0u) {
    auto use = std::lower_bound(places.uses.begin(), places.uses.end(), p.inst,
                                [](const Use& u, uint32_t inst) { return u.inst < inst; });
    for (; use != places.uses.end() && use->inst == p.inst; ++use)
      if (use->value == p.operand.value) return use->token;
  }
  if (p.inst != ~0u && p.inst < places.insts.size()) return places.insts[p.inst];
  if (p.block != ~0u && p.block < places.blocks.size()) return places.blocks[p.block];
  return head;
}

Parser::Item* Parser::find(std::string_view kind, std::string_view name) {
  auto it = index_.find(declaration_hash(kind, name));
  return it == index_.end() ? nullptr : &items_[it->second];
}

Parser::Item* Parser::declare(std::string_view kind, const Token& name, Item item) {
  std::string n = name_of(name);
  auto [it, fresh] = index_.try_emplace(declaration_hash(kind, n), uint32_t(items_.size()));
  if (!fresh) {
    const Token& first = lexer_.tokens[items_[it->second].token];
    fail(name, "'" + n + "' is already declared in line " + std::to_string(lexer_.line_of(first.offset)));
    return nullptr;
  }
  items_.push_back(item);
  return &items_.back();
}

SymbolIndex Parser::symbol_ref(const Token& t) {
  std::string name = name_of(t);
  if (Item* item = find("symbol", name)) return SymbolIndex(item->index);
  fail(t, "'@" + name + "' is not declared");
  Item item{Item::Symbol};
  item.token = uint32_t(&t - lexer_.tokens.data());
  item.index = uint32_t(m_.symbols.size());
  item.placeholder = true;
  Symbol s;
  s.name = m_.add_string(name);
  s.type = TypeTable::ptr;
  m_.symbols.push_back(s);
  declare("symbol", t, item);
  return SymbolIndex(item.index);
}

void Parser::run() {
  const uint32_t n = uint32_t(lexer_.tokens.size());
  // Type aliases first: heads of functions use them.
  for (uint32_t k = 0; k + 2 < n; k++) {
    at_ = k;
    if (!peek().first_on_line || !is_word("type") || peek(1).kind != Tok::Ident || !is('=', 2)) continue;
    Item alias{Item::Type};
    alias.token = k + 1;
    alias.body = k + 3;
    if (starts_type() || (at_ = k + 1, starts_type() && !find("type", lexer_.text(lexer_.tokens[k + 1])))) {
      fail(lexer_.tokens[k + 1], "the name of a type that exists already");
      continue;
    }
    declare("type", lexer_.tokens[k + 1], alias);
  }
  at_ = 0;
  while (peek().kind != Tok::End) {
    uint32_t before = at_;
    item();
    if (at_ == before) take();
  }
  // Initialisers and bodies.
  for (size_t k = 0; k < items_.size(); k++) {
    Item& i = items_[k];
    if (i.kind != Item::Symbol || i.broken || i.placeholder || i.body == ~0u) continue;
    const Symbol& s = m_.symbols[i.index];
    at_ = i.body;
    const size_t errors = out_.errors.size();
    if (s.kind == SymbolKind::data) finish_data(i);
    else if (s.kind != SymbolKind::function) finish_alias(i);
    items_[k].broken = out_.errors.size() != errors;
  }
  for (InitEntry& e : m_.inits) {
    e.function = symbol_ref(lexer_.tokens[e.function.value]);
    if (e.associated.valid()) e.associated = symbol_ref(lexer_.tokens[e.associated.value]);
  }
  places_.resize(heads_.size());
  std::vector<uint8_t> clean(heads_.size(), 0);
  for (uint32_t f = 0; f < heads_.size(); f++) {
    size_t errors = out_.errors.size();
    const bool whole = body(f);
    clean[f] = whole && out_.errors.size() == errors && !heads_[f].broken;
  }
  // What is well-formed as text is verified; positions are those of the instructions.
  std::vector<Problem> problems;
  for (uint32_t f = 0; f < heads_.size(); f++) {
    if (!clean[f]) continue;
    problems.clear();
    verify_function(m_, m_.in_memory[f], problems, TextNames(*this, places_[f]));
    for (const Problem& p : problems)
      fail(lexer_.tokens[place_of(places_[f], p, items_[heads_[f].item].token)], p.message);
  }
  // Symbols are looked at even if some declarations are broken; of those nothing more is said.
  problems.clear();
  verify_symbols(m_, problems);
  if (!problems.empty()) {
    std::vector<uint32_t> item_of(m_.symbols.size(), ~0u);
    for (uint32_t k = 0; k < items_.size(); k++)
      if (items_[k].kind == Item::Symbol) item_of[items_[k].index] = k;
    for (const Problem& p : problems) {
      const uint32_t k = p.symbol.valid() ? item_of[p.symbol.value] : ~0u;
      if (k != ~0u && (items_[k].broken || items_[k].placeholder)) continue;
      if (p.symbol.valid() && k == ~0u) continue;  // declared twice
      fail(lexer_.tokens[k == ~0u ? 0 : items_[k].token], p.message);
    }
  }
  std::stable_sort(out_.errors.begin(), out_.errors.end(), [](const Diagnostic& a, const Diagnostic& b) {
    return std::pair(a.line, a.column) < std::pair(b.line, b.column);
  });
}

void Parser::item() {
  const Token t = peek();
  if (!at_item(at_)) {
    fail_here("a declaration");
    take();
    return skip_to_item();
  }
  std::string_view w = lexer_.text(t);
  auto string = [&](std::string& out) {
    if (peek().kind != Tok::String) return fail_here("a string");
    const Token& s = take();
    if (!unescape(lexer_.text(s), out)) return fail(s, "malformed escape in the string");
    return true;
  };
  std::string s;
  bool ok = true;
  if (w == "target") {
    take();
    ok = string(m_.triple);
  } else if (w == "processor") {
    take();
    TargetAttributes attributes;
    ok = string(attributes.processor) && string(attributes.features);
    if (ok) m_.processors.push_back(std::move(attributes));
  } else if (w == "file") {
    take();
    ok = string(s);
    if (ok) m_.files.push_back(s);
    m_.debug_information = true;
  } else if (w == "library") {
    take();
    ok = string(s);
    if (ok) m_.dependent_libraries.push_back(m_.add_string(s));
  } else if (w == "asm") {
    take();
    ok = string(s);
    m_.module_asm += s;
  } else if (w == "layout") {
    take();
    static constexpr struct { std::string_view word; uint8_t DataLayout::*field;
    } fields[] = {{"pointer_bytes", &DataLayout::pointer_bytes}, {"f80_align", &DataLayout::f80_align},
                  {"i64_align", &DataLayout::i64_align},         {"i128_align", &DataLayout::i128_align},
                  {"f128_align", &DataLayout::f128_align},       {"max_vector_align", &DataLayout::max_vector_align}};
    DataLayout layout = m_.types.layout();
    ok = false;
    std::string_view name = peek().kind == Tok::Ident ? lexer_.text(peek()) : std::string_view();
    for (auto& f : fields)
      if (f.word == name) {
        take();
        const Token at = peek();
        uint64_t v;
        ok = number(v, "a number");
        if (ok && (v > 128 || (v & (v - 1)) || (v == 0 && f.word != "max_vector_align") ||
                   (f.word == "pointer_bytes" && v != 4 && v != 8)))
          ok = fail(at, "not a possible " + std::string(f.word));
        if (ok) layout.*f.field = uint8_t(v);
        if (ok) m_.types.set_layout(layout);
        name = {};
        break;
      }
    if (!name.empty()) fail_here("a property of the data layout");
  } else if (w == "type") {
    take();
    if (peek().kind == Tok::Ident) {
      Item* alias = find("type", lexer_.text(take()));
      TypeId made;
      ok = expect('=', "the type declaration");
      if (ok && alias && !alias->broken && !alias->type.valid()) {
        uint32_t index = uint32_t(alias - items_.data());
        items_[index].visiting = true;
        ok = type(made);
        items_[index].visiting = false;
        items_[index].broken = !ok;
        if (ok) items_[index].type = made;
      } else if (ok) {
        size_t errors = out_.errors.size();
        ok = type(made);
        out_.errors.resize(errors);
      }
    } else {
      ok = fail_here("the type's name");
    }
  } else if (w == "comdat") {
    take();
    if (peek().kind == Tok::Comdat) {
      Item c{Item::Comdat};
      c.token = at_;
      c.index = uint32_t(m_.comdats.size());
      const Token& name = take();
      Comdat made;
      made.name = m_.add_string(name_of(name));
      if (peek().kind == Tok::Ident && !peek().first_on_line) {
        if (const words::Word* kind = words::find(words::comdat, lexer_.text(peek()))) {
          made.kind = ComdatKind(kind->value);
          take();
        } else {
          ok = fail_here("a comdat kind");
        }
      }
      if (declare("comdat", name, c)) m_.comdats.push_back(made);
    } else {
      ok = fail_here("the comdat's name, as $name");
    }
  } else if (w == "constructor" || w == "destructor") {
    take();
    // The names may come later: kept as tokens, put in below.
    InitEntry e;
    e.destructor = w == "destructor";
    if (peek().kind == Tok::Symbol) {
      e.function = SymbolIndex(at_);
      take();
      if (accept_word("priority")) {
        uint64_t p = 0;
        ok = number(p, "a priority");
        e.priority = uint32_t(std::min<uint64_t>(p, 65535));
      }
      if (ok && accept_word("associated")) {
        if (peek().kind == Tok::Symbol) {
          e.associated = SymbolIndex(at_);
          take();
        } else {
          ok = fail_here("a symbol");
        }
      }
      m_.inits.push_back(e);
    } else {
      ok = fail_here("a function");
    }
  } else {
    return symbol_item();
  }
  if (ok && peek().kind != Tok::End && !peek().first_on_line) ok = fail_here("the end of the line");
  if (!ok) skip_to_item();
}

void Parser::symbol_item() {
  Symbol s;
  Item item{Item::Symbol};
  bool declared = false, linkage_given = false;
  // The words in front, in any order.
  for (;;) {
    if (peek().kind != Tok::Ident) break;
    std::string_view w = lexer_.text(peek());
    if (w == "declare") declared = true;
    else if (w == "export") s.linkage = Linkage::external, linkage_given = true;
    else if (const words::Word* l = words::find(words::linkage, w)) s.linkage = Linkage(l->value), linkage_given = true;
    else if (w == "hidden") s.visibility = Visibility::hidden;
    else if (w == "protected") s.visibility = Visibility::protected_;
    else if (w == "dso_local") s.dso_local = true;
    else if (w == "unnamed_addr") s.unnamed_addr = true;
    else if (w == "used") s.used = true;
    else if (w == "retain") s.retain = true;
    else if (w == "const") s.constant = true;
    else if (w == "tls") {
      s.tls = TlsModel::general_dynamic;
      if (is('(', 1)) {
        take();
        take();
        const words::Word* model = peek().kind == Tok::Ident ? words::find(words::tls, lexer_.text(peek())) : nullptr;
        if (!model) {
          fail_here("a TLS model");
          return skip_to_item();
        }
        s.tls = TlsModel(model->value);
        take();
        if (!is(')')) {
          fail_here("')'");
          return skip_to_item();
        }
      }
    } else break;
    take();
  }
  if (!linkage_given) s.linkage = declared ? Linkage::external : Linkage::internal;
  std::string_view kind = peek().kind == Tok::Ident ? lexer_.text(peek()) : std::string_view();
  if (kind == "func") s.kind = SymbolKind::function;
  else if (kind == "data") s.kind = SymbolKind::data;
  else if (kind == "alias") s.kind = SymbolKind::alias;
  else if (kind == "ifunc") s.kind = SymbolKind::ifunc;
  else {
    fail_here("func, data, alias or ifunc");
    take();
    return skip_to_item();
  }
  take();
  if (peek().kind != Tok::Symbol) {
    fail_here("a name, as @name");
    return skip_to_item();
  }
  item.token = at_;
  item.index = uint32_t(m_.symbols.size());
  const Token name = take();
  s.name = m_.add_string(name_of(name));
  s.type = TypeTable::ptr;
  Item* known = declare("symbol", name, item);
  if (known) m_.symbols.push_back(s);
  const uint32_t at_item = known ? uint32_t(known - items_.data()) : ~0u;

  bool ok;
  if (s.kind == SymbolKind::function) {
    s.defined = !declared;
    ok = function_head(s, item, !declared);
  } else {
    ok = expect(':', "the declaration");
    if (ok) ok = type(s.type);
    if (ok && s.type == TypeTable::void_type) ok = fail(name, "data of type void");
    if (ok) ok = symbol_suffix(s, nullptr, nullptr, nullptr);
    if (ok && s.kind == SymbolKind::data) {
      if (m_.types[s.type].kind == TypeKind::Function) ok = fail(name, "data of a function type");
      s.defined = !declared;
      s.size = m_.types.size_of(s.type);
      if (is('=')) {
        if (declared) ok = fail_here("no initialiser after a 'declare'");
        take();
        item.body = at_;
      } else if (!declared) {
        ok = fail(name, "data without an initialiser: write = and one, or declare data");
      }
    } else if (ok) {
      s.defined = true;
      ok = expect('=', "the alias");
      item.body = at_;
    }
    // The initialiser is read when all names are known.
    if (ok && item.body != ~0u) {
      while (peek().kind != Tok::End && !this->at_item(at_)) take();
    }
  }
  if (at_item != ~0u) {
    items_[at_item].body = item.body;
    items_[at_item].broken = !ok;
    m_.symbols[item.index] = s;
    if (s.function.valid()) heads_[s.function.value].item = at_item;
  } else if (s.function.valid()) {
    heads_.pop_back();
    m_.functions.pop_back();
    m_.in_memory.pop_back();
  }
  if (ok && peek().kind != Tok::End && !peek().first_on_line) ok = fail_here("the end of the line");
  if (!ok) skip_to_item();
}

bool Parser::function_head(Symbol& s, Item&, bool defined) {
  Head head;
  const Token open = peek();
  bool ok = expect('(', "the function's head");
  bool vararg = false, first = true;
  while (ok && !is(')')) {
    if (!first) ok = expect(',', "the parameters");
    first = false;
    if (!ok) break;
    if (peek().kind == Tok::Dots) {
      take();
      vararg = true;
      break;
    }
    ParamAttr attrs;
    if (peek().kind == Tok::Value && is(':', 1)) {
      head.param_tokens.push_back(at_);
      take();
      take();
    } else if (defined) {
      ok = fail_here("a parameter, as %name: type");
      break;
    }
    const Token at = peek();
    TypeId t;
    ok = type(t) && param_attrs(attrs);
    if (ok && (t == TypeTable::void_type || m_.types[t].kind == TypeKind::Function))
      ok = fail(at, "a parameter of type " + type_text(t));
    head.param_types.push_back(t);
    head.param_attrs.push_back(attrs);
  }
  if (ok) ok = expect(')', "the function's head");
  TypeId result = TypeTable::void_type;
  ParamAttr result_attrs;
  if (ok && peek().kind == Tok::Arrow) {
    take();
    ok = param_attrs(result_attrs) && type(result);
    if (ok && m_.types[result].kind == TypeKind::Function) ok = fail(open, "a function that returns a function");
  }
  Function fn;
  fn.result_attrs = result_attrs.bits;
  TypeId whole;
  if (ok) ok = symbol_suffix(s, &fn, &head.personality, &whole);
  if (ok)
    s.type = whole.valid() ? whole
                           : m_.types.function_type(result, head.param_types.data(), head.param_types.size(), vararg);
  if (ok && m_.types[s.type].kind != TypeKind::Function)
    ok = fail(open, "the type after 'type' is not a function type");
  if (defined) {
    s.function = FunctionIndex(uint32_t(m_.functions.size()));
    FunctionDecl d;
    d.symbol = SymbolIndex(uint32_t(m_.symbols.size() - 1));
    d.has_personality = head.personality != ~0u;
    m_.functions.push_back(d);
    head.broken = !ok;
    // A body after a broken head is skipped as well.
    if (!ok)
      while (peek().kind != Tok::End && !at_item(at_) && !(is('{') && peek(1).first_on_line)) take();
    if (is('{')) {
      head.open = at_;
      skip_braces();
      head.end = at_;
    } else if (ok) {
      ok = fail_here("'{' and the function's body");
      head.broken = true;
    }
    fn.type = s.type;
    fn.symbol = d.symbol;
    fn.align_log2 = s.align_log2;
    if (ok && m_.types[s.type].vararg) fn.flags |= function_flags::vararg;
    heads_.push_back(std::move(head));
    m_.in_memory.push_back(std::move(fn));
  }
  return ok;
}

bool Parser::symbol_suffix(Symbol& s, Function* fn, uint32_t* personality, TypeId* whole) {
  auto string = [&](StringRef& out) {
    if (peek().kind != Tok::String) return fail_here("a string");
    const Token& t = take();
    std::string text;
    if (!unescape(lexer_.text(t), text)) return fail(t, "malformed escape in the string");
    out = m_.add_string(text);
    return true;
  };
  while (peek().kind == Tok::Ident && !at_item(at_)) {
    std::string_view w = lexer_.text(peek());
    const words::Word* flag = fn ? words::find(words::function_flag, w) : nullptr;
    if (w == "section") {
      take();
      if (!string(s.section)) return false;
    } else if (w == "align") {
      take();
      if (!align(s.align_log2)) return false;
    } else if (w == "import") {
      take();
      if (!string(s.wasm_import_module) || !string(s.wasm_import_name)) return false;
      s.wasm_import = true;
    } else if (w == "export_name") {
      take();
      if (!string(s.wasm_export_name)) return false;
    } else if (w == "comdat") {
      take();
      if (peek().kind != Tok::Comdat) return fail_here("a comdat, as $name");
      const Token& t = take();
      Item* c = find("comdat", name_of(t));
      // Comdats are declared before they are used, or are the symbol's own.
      if (!c) {
        Item made{Item::Comdat};
        made.token = uint32_t(&t - lexer_.tokens.data());
        made.index = uint32_t(m_.comdats.size());
        Comdat comdat;
        comdat.name = m_.add_string(name_of(t));
        m_.comdats.push_back(comdat);
        c = declare("comdat", t, made);
      }
      if (c) s.comdat = ComdatIndex(c->index);
    } else if (fn && w == "personality") {
      take();
      if (peek().kind != Tok::Symbol) return fail_here("a function");
      *personality = at_;
      take();
    } else if (fn && w == "cc") {
      take();
      if (!expect('(', "the calling convention")) return false;
      const words::Word* c = peek().kind == Tok::Ident ? words::find(words::conv, lexer_.text(peek())) : nullptr;
      if (!c) return fail_here("a calling convention");
      take();
      if (!expect(')', "the calling convention")) return false;
      fn->conv = CallConv(c->value);
    } else if (fn && w == "type") {
      take();
      if (!type(*whole)) return false;
    } else if (flag) {
      take();
      fn->flags |= flag->value;
    } else {
      return fail_here("a property of the symbol");
    }
  }
  return true;
}

// ---- the outside ----------------------------------------------------------------------------------------------------

bool parse_text(std::string_view source, std::string file_name, ParsedModule& out) {
  if (source.size() > uint32_t{1} << 30) {
    out.errors.push_back({0, 0, "the file is larger than 1 GiB"});
    return false;
  }
  Parser(source, std::move(file_name), out).run();
  return out.errors.empty();
}

std::string format_diagnostic(std::string_view file_name, std::string_view source, const Diagnostic& d) {
  std::string out(file_name);
  if (!d.line) return out + ": error: " + d.message;
  out += ':' + std::to_string(d.line) + ':' + std::to_string(d.column) + ": error: " + d.message;
  size_t start = 0;
  for (uint32_t line = 1; line < d.line; line++) {
    start = source.find('\n', start);
    if (start == std::string_view::npos) return out;
    start++;
  }
  std::string_view text = source.substr(start, source.find('\n', start) - start);
  if (!text.empty() && text.back() == '\r') text.remove_suffix(1);
  // Long lines are shown around the place.
  size_t column = d.column - 1, cut = 0;
  if (text.size() > 160) {
    cut = column > 60 ? std::min(column - 60, text.size()) : 0;
    text = text.substr(cut, 160);
  }
  std::string shown, caret;
  for (size_t k = 0; k < text.size(); k++) {
    shown += text[k] == '\t' ? ' ' : uint8_t(text[k]) < 32 ? '?' : text[k];
    if (k + cut < column && (uint8_t(text[k]) & 0xc0) != 0x80) caret += ' ';
  }
  return out + "\n  " + shown + "\n  " + caret + "^";
}

Result<Module> read_text(std::string_view source, std::string file_name) {
  ParsedModule parsed;
  if (parse_text(source, file_name, parsed)) return std::move(parsed.module);
  std::string all;
  for (const Diagnostic& d : parsed.errors) all += (all.empty() ? "" : "\n") + format_diagnostic(file_name, source, d);
  Error e = error(all);
  e.complete = true;
  return e;
}

bool looks_like_text(std::string_view source) {
  std::string_view head = source.substr(0, 1 << 16);
  for (char c : head.substr(0, 256))
    if (c == 0) return false;
  Lexer lexer(head);
  const Token& t = lexer.tokens[0];
  static constexpr std::string_view starts[] = {"declare", "func",   "data",        "const",      "alias",  "ifunc",
                                                "type",    "comdat", "target",      "processor",  "layout", "file",
                                                "library", "asm",    "constructor", "destructor", "hidden", "export"};
  if (t.kind != Tok::Ident) return false;
  std::string_view w = lexer.text(t);
  return std::find(std::begin(starts), std::end(starts), w) != std::end(starts) || words::find(words::linkage, w);
}

}  // namespace lode::air
