// Reading the text form: what bodies and declarations share (tokens, names, budgets), and the order in which a module
// is read.
//
// Everything may be used before it stands in the text, so the order is: names of types, all declarations
// (parser_items.cpp), initialisers (parser_data.cpp), then bodies (parser_body.cpp). They need nothing but declarations
// and are therefore read by several threads. Errors are put in the order of the text at the end, whoever found them.
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>
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

Parser::Parser(Declarations& declarations, bool alone)
    : d_(declarations),
      m_(declarations.module),
      types_(&declarations.module.types),
      alone_(alone),
      lexer_(declarations.source, 0, true) {}

// ---- tokens ---------------------------------------------------------------------------------------------------------

Token Parser::make(uint32_t n) {
  while (at_ + n >= tokens_.size()) lexer_.next(tokens_.emplace_back());
  return tokens_[at_ + n];
}

void Parser::go_to(uint32_t offset) {
  tokens_.clear();
  at_ = 0;
  lexer_.go_to(offset, false);
}

bool Parser::fail(uint32_t offset, std::string message) {
  if (errors_.size() < max_errors) errors_.push_back({offset, std::move(message)});
  return false;
}

// A thread that shares the budget takes it in pieces. What it cannot have is found out by reading the body again,
// alone.
bool Parser::charge(const Token& where, uint64_t bytes) {
  if (alone_) {
    if (bytes > d_.budget) return fail(where, "the constants are too large for a text of this size");
    d_.budget -= bytes;
    return true;
  }
  charged_ += bytes;
  while (credit_ < bytes) {
    const int64_t piece = std::max<int64_t>(int64_t(bytes - credit_), 1 << 16);
    if (d_.lent.fetch_sub(piece, std::memory_order_relaxed) < piece) {
      d_.lent.fetch_add(piece, std::memory_order_relaxed);
      again_ = true;
      return false;
    }
    credit_ += uint64_t(piece);
  }
  credit_ -= bytes;
  return true;
}

std::string Parser::describe(const Token& t) const {
  if (t.kind == Tok::End) return "the end of the file";
  if (t.kind == Tok::Bad) return "a malformed token";
  std::string_view s = d_.source.substr(t.offset, std::min<uint32_t>(t.length, 40));
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
  std::string_view s = text(t);
  if (!t.quoted) return std::string(s);
  std::string out;
  if (!unescape(s, out)) fail(t, "malformed escape in the name");
  return out;
}

bool Parser::string(std::string& out) {
  if (peek().kind != Tok::String) return fail_here("a string");
  const Token t = take();
  if (!unescape(text(t), out)) return fail(t, "malformed escape in the string");
  return true;
}

bool Parser::number(uint64_t& v, const char* what) {
  v = 0;
  if (peek().kind != Tok::Int) return fail_here(what);
  const Token t = take();
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

bool Parser::convention(CallConv& conv) {
  if (!expect('(', "the calling convention")) return false;
  const words::Word* c = word_of(words::conv);
  if (!c) return fail_here("a calling convention");
  conv = CallConv(c->value);
  return expect(')', "the calling convention");
}

bool Parser::item_word(std::string_view w) {
  static const NameTable table = [] {
    NameTable t;
    for (std::string_view word :
         {"declare", "func",   "data",    "const", "alias",       "ifunc",      "type",   "comdat",
          "target",  "processor", "layout", "file", "library",    "asm",        "constructor", "destructor",
          "hidden",  "protected", "tls",  "dso_local", "unnamed_addr", "used",  "retain", "export"})
      t.insert(word, 0);
    for (const words::Word& word : words::linkage) t.insert(word.text, 0);
    return t;
  }();
  return table.find(w) != NameTable::none;
}

bool Parser::at_item() {
  const Token t = peek();
  if (t.kind != Tok::Ident || !t.first_on_line || !item_word(text(t))) return false;
  // A block may be called the same.
  const char next = peek(1).punct;
  return next != ':' && next != '=' && (next != '(' || text(t) == "tls");
}

// ---- names ----------------------------------------------------------------------------------------------------------

Parser::Item* Parser::find(std::string_view kind, std::string_view name) {
  auto it = d_.index.find(declaration_hash(kind, name));
  return it == d_.index.end() ? nullptr : &d_.items[it->second];
}

Parser::Item* Parser::declare(std::string_view kind, const Token& name, Item item) {
  std::string n = name_of(name);
  auto [it, fresh] = d_.index.try_emplace(declaration_hash(kind, n), uint32_t(d_.items.size()));
  if (!fresh) {
    const std::string_view before = d_.source.substr(0, d_.items[it->second].name);
    fail(name, "'" + n + "' is already declared in line " +
                   std::to_string(std::count(before.begin(), before.end(), '\n') + 1));
    return nullptr;
  }
  d_.items.push_back(item);
  return &d_.items.back();
}

SymbolIndex Parser::symbol_ref(const Token& t) {
  std::string decoded;
  std::string_view name = text(t);
  if (t.quoted) {
    if (!unescape(name, decoded)) fail(t, "malformed escape in the name");
    name = decoded;
  }
  if (Item* item = find("symbol", name)) return SymbolIndex(item->index);
  if (!alone_) {
    again_ = true;
    return {};
  }
  fail(t, "'@" + std::string(name) + "' is not declared");
  Item item{Item::Symbol};
  item.name = t.offset;
  item.index = uint32_t(m_.symbols.size());
  item.placeholder = true;
  Symbol s;
  s.name = m_.add_string(name);
  s.type = TypeTable::ptr;
  m_.symbols.push_back(s);
  declare("symbol", t, item);
  return SymbolIndex(item.index);
}

void Parser::note(TypeId t) {
  const size_t k = t.value - shared_types_;
  if (k >= noted_.size()) noted_.resize(k + 1, 0);
  if (noted_[k] == function_) return;
  noted_[k] = function_;
  new_types_.push_back(t);
}

// ---- the order of reading -------------------------------------------------------------------------------------------

ModuleParser::ModuleParser(Declarations& declarations, ParsedModule& out) : Parser(declarations, true), out_(out) {}

void ModuleParser::run() {
  if (!version()) return deliver();
  find_type_aliases();
  while (peek().kind != Tok::End) {
    // Nobody looks at tokens of earlier items.
    tokens_.erase(tokens_.begin(), tokens_.begin() + at_);
    at_ = 0;
    const uint32_t before = peek().offset;
    item();
    if (peek().offset == before) take();
  }
  initialisers();
  bodies();
  symbols_verified();
  deliver();
}

bool ModuleParser::has_version() {
  return is_word("air") && peek(1).kind == Tok::Int && !peek(1).first_on_line;
}

// The first line may say which version of the language follows.
bool ModuleParser::version() {
  if (!has_version()) return true;
  take();
  const Token at = peek();
  uint64_t n;
  if (!number(n, "the version of AIR")) return false;
  if (n == 0 || n > text_version)
    return fail(at, "the text is of version " + std::to_string(n) + " of AIR; this lode reads version " +
                        std::to_string(text_version));
  if (peek().kind != Tok::End && !peek().first_on_line) return fail_here("the end of the line");
  return true;
}

// Type aliases come first, since heads of functions use them. A line that begins with `type NAME =` is one.
void ModuleParser::find_type_aliases() {
  const std::string_view source = d_.source;
  for (size_t line = 0; line < source.size();) {
    size_t p = line;
    while (p < source.size() && (source[p] == ' ' || source[p] == '\t' || source[p] == '\r')) p++;
    const size_t end = source.find('\n', p);
    line = end == std::string_view::npos ? source.size() : end + 1;
    if (source.substr(p, 4) != "type") continue;
    go_to(uint32_t(p));
    if (!is_word("type") || peek(1).kind != Tok::Ident || !is('=', 2)) continue;
    take();
    const Token name = peek();
    TypeId known;
    Item alias{Item::Type};
    alias.name = name.offset;
    alias.body = peek(2).offset;
    if (d_.types.find(text(name)) == NameTable::none && type_if_any(known) != Found::no) {
      fail(name, "the name of a type that exists already");
      continue;
    }
    if (declare("type", name, alias)) d_.types.insert(text(name), uint32_t(d_.items.size() - 1));
  }
  tokens_.clear();
  at_ = 0;
  lexer_.go_to(0, true);
  if (has_version()) at_ = 2;
}

// Initialisers, aliases and constructors, now that all names are known.
void ModuleParser::initialisers() {
  for (size_t k = 0; k < d_.items.size(); k++) {
    Item& i = d_.items[k];
    if (i.kind != Item::Symbol || i.broken || i.placeholder || i.body == ~0u) continue;
    const Symbol& s = m_.symbols[i.index];
    go_to(i.body);
    const size_t errors = errors_.size();
    if (s.kind == SymbolKind::data) finish_data(i);
    else if (s.kind != SymbolKind::function) finish_alias(i);
    d_.items[k].broken = errors_.size() != errors;
  }
  for (InitEntry& e : m_.inits) {
    e.function = symbol_ref(token_at(e.function.value));
    if (e.associated.valid()) e.associated = symbol_ref(token_at(e.associated.value));
  }
}

namespace {
// What a thread's own types are in the module.
class TypeMap {
 public:
  explicit TypeMap(uint32_t shared) : shared_(shared) {}
  // What could not be read has no type.
  TypeId of(TypeId t) const { return t.value < shared_ || !t.valid() ? t : ids_[t.value - shared_]; }
  // Makes it in the module; its members are there.
  void add(TypeTable& to, const TypeTable& from, TypeId t) {
    const size_t k = t.value - shared_;
    if (k >= ids_.size()) ids_.resize(k + 1);
    if (ids_[k].valid()) return;
    const Type& type = from[t];
    std::vector<TypeId> members(type.field_count);
    for (uint32_t i = 0; i < type.field_count; i++) members[i] = of(from.member(type, i));
    switch (type.kind) {
      case TypeKind::Int: ids_[k] = to.int_type(type.bits); break;
      case TypeKind::Vector: ids_[k] = to.vector_type(of(type.element), type.count); break;
      case TypeKind::Array: ids_[k] = to.array_type(of(type.element), type.count); break;
      case TypeKind::Struct: ids_[k] = to.struct_type(members.data(), members.size(), type.packed); break;
      default: ids_[k] = to.function_type(of(type.element), members.data(), members.size(), type.vararg); break;
    }
    same_ &= ids_[k] == t;
  }
  bool same() const { return same_; }
  void rename(Function& fn) const {
    for (Inst& i : fn.insts) i.type = of(i.type);
    for (Value& v : fn.values) v.type = of(v.type);
    for (Constant& c : fn.constants) c.type = of(c.type);
    for (CallSite& c : fn.calls)
      if (c.function_type.valid()) c.function_type = of(c.function_type);
  }

 private:
  uint32_t shared_;
  std::vector<TypeId> ids_;
  bool same_ = true;
};
}  // namespace

// Every body by whichever thread comes to it, each thread with a reader of its own.
void ModuleParser::bodies_at_once(std::vector<BodyParser::Outcome>& outcomes,
                                  std::vector<std::unique_ptr<BodyParser>>& readers) {
  d_.lent = int64_t(std::min<uint64_t>(d_.budget, INT64_MAX));
  readers.resize(size_t(tbb::this_task_arena::max_concurrency()));
  tbb::parallel_for(tbb::blocked_range<uint32_t>(0, uint32_t(d_.heads.size()), 64),
                    [&](const tbb::blocked_range<uint32_t>& range) {
                      auto& reader = readers[size_t(tbb::this_task_arena::current_thread_index())];
                      if (!reader) reader = std::make_unique<BodyParser>(d_, false);
                      for (uint32_t f = range.begin(); f < range.end(); f++) outcomes[f] = reader->read(f);
                    });
}

void ModuleParser::bodies() {
  constexpr size_t few = 64;  // not worth other threads
  const uint32_t n = uint32_t(d_.heads.size());
  m_.in_memory.resize(n);
  std::vector<BodyParser::Outcome> outcomes(n);
  std::vector<std::unique_ptr<BodyParser>> readers;
  const uint32_t shared = uint32_t(m_.types.size());
  const bool at_once = n >= few && tbb::this_task_arena::max_concurrency() > 1;
  if (at_once) bodies_at_once(outcomes, readers);

  std::unordered_map<const BodyParser*, TypeMap> maps;
  std::vector<std::pair<const TypeMap*, uint32_t>> renamed;
  std::vector<TextError> problems;
  auto take = [](std::vector<TextError>& to, const BodyParser::Outcome& o, uint32_t from, uint32_t count) {
    auto& texts = const_cast<BodyParser*>(o.reader)->texts();
    for (uint32_t k = from; k < from + count && to.size() < max_errors; k++) to.push_back(std::move(texts[k]));
  };
  std::unique_ptr<BodyParser> alone;
  for (uint32_t f = 0; f < n; f++) {
    BodyParser::Outcome o = outcomes[f];
    if (!at_once || o.again || o.charged > d_.budget) {
      if (!alone) alone = std::make_unique<BodyParser>(d_, true);
      o = alone->read(f);
    } else {
      d_.budget -= o.charged;
      TypeMap& map = maps.try_emplace(o.reader, shared).first->second;
      for (uint32_t k = 0; k < o.type_count; k++)
        map.add(m_.types, o.reader->types(), o.reader->new_types()[o.types + k]);
      if (o.type_count && !map.same()) renamed.push_back({&map, f});
    }
    take(errors_, o, o.errors, o.error_count);
    take(problems, o, o.problems, o.problem_count);
  }
  tbb::parallel_for(size_t{0}, renamed.size(),
                    [&](size_t k) { renamed[k].first->rename(m_.in_memory[renamed[k].second]); });
  for (TextError& p : problems) fail(p.offset, std::move(p.message));
}

// Symbols are looked at even if some declarations are broken; of those nothing more is said.
void ModuleParser::symbols_verified() {
  std::vector<Problem> problems;
  verify_symbols(m_, problems);
  if (problems.empty()) return;
  std::vector<uint32_t> item_of(m_.symbols.size(), ~0u);
  for (uint32_t k = 0; k < d_.items.size(); k++)
    if (d_.items[k].kind == Item::Symbol) item_of[d_.items[k].index] = k;
  tokens_.clear();
  at_ = 0;
  lexer_.go_to(0, true);
  for (const Problem& p : problems) {
    const uint32_t k = p.symbol.valid() ? item_of[p.symbol.value] : ~0u;
    if (k != ~0u && (d_.items[k].broken || d_.items[k].placeholder)) continue;
    if (p.symbol.valid() && k == ~0u) continue;  // declared twice
    fail(k == ~0u ? peek().offset : d_.items[k].name, p.message);
  }
}

void ModuleParser::deliver() {
  std::stable_sort(errors_.begin(), errors_.end(),
                   [](const TextError& a, const TextError& b) { return a.offset < b.offset; });
  uint32_t line = 1, start = 0, at = 0;
  for (TextError& e : errors_) {
    for (; at < e.offset; at++)
      if (d_.source[at] == '\n') line++, start = at + 1;
    out_.errors.push_back({line, e.offset - start + 1, std::move(e.message)});
  }
}

// ---- the outside ----------------------------------------------------------------------------------------------------

bool parse_text(std::string_view source, std::string file_name, ParsedModule& out) {
  if (source.size() > uint32_t{1} << 30) {
    out.errors.push_back({0, 0, "the file is larger than 1 GiB"});
    return false;
  }
  out.module.name = std::move(file_name);
  out.module.files.push_back("");
  Declarations declarations(source, out.module);
  ModuleParser(declarations, out).run();
  return out.errors.empty();
}

namespace {
// Where a line begins, for one diagnostic after the other.
struct LineCursor {
  uint32_t line = 1;
  size_t start = 0;
};
}  // namespace

static std::string format(std::string_view file_name, std::string_view source, const Diagnostic& d, LineCursor& at) {
  std::string out(file_name);
  if (!d.line) return out + ": error: " + d.message;
  out += ':' + std::to_string(d.line) + ':' + std::to_string(d.column) + ": error: " + d.message;
  if (d.line < at.line) at = {};
  for (; at.line < d.line; at.line++) {
    const size_t end = source.find('\n', at.start);
    if (end == std::string_view::npos) return out;
    at.start = end + 1;
  }
  const size_t start = at.start;
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

std::string format_diagnostic(std::string_view file_name, std::string_view source, const Diagnostic& d) {
  LineCursor at;
  return format(file_name, source, d, at);
}

Result<Module> read_text(std::string_view source, std::string file_name) {
  ParsedModule parsed;
  if (parse_text(source, file_name, parsed)) return std::move(parsed.module);
  std::string all;
  LineCursor at;
  for (const Diagnostic& d : parsed.errors) all += (all.empty() ? "" : "\n") + format(file_name, source, d, at);
  Error e = error(all);
  e.complete = true;
  return e;
}

bool looks_like_text(std::string_view source) {
  std::string_view head = source.substr(0, 1 << 16);
  for (char c : head.substr(0, 256))
    if (c == 0) return false;
  Lexer lexer(head, 0, true);
  const Token t = lexer.next();
  static constexpr std::string_view starts[] = {"declare", "func",   "data",        "const",      "alias",  "ifunc",
                                                "type",    "comdat", "target",      "processor",  "layout", "file",
                                                "library", "asm",    "constructor", "destructor", "hidden", "export"};
  if (t.kind != Tok::Ident) return false;
  std::string_view w = token_text(head, t);
  if (w == "air") return lexer.next().kind == Tok::Int;
  return std::find(std::begin(starts), std::end(starts), w) != std::end(starts) || words::find(words::linkage, w);
}

}  // namespace lode::air
