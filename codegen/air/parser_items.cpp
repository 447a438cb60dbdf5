// Declarations of the text form: symbols' heads, comdats, types, properties of the module; recovery from errors.
//
// An item is read up to the first thing that is wrong in it, and reading goes on with the next: with what begins a line
// and can begin an item. Of a body or an initialiser only the extent is found here. A declaration that is broken keeps
// its name, so that uses of it are no errors of their own.
#include <algorithm>
#include <array>

#include "codegen/air/parser_impl.h"
#include "codegen/air/text_hints.h"
#include "codegen/air/text_words.h"

namespace lode::air {

void ModuleParser::skip_to_item() {
  while (peek().kind != Tok::End && !at_item()) take();
}

// From '{' to behind its '}', by characters; stops at an item in the first column too, which a function's body cannot
// contain.
bool ModuleParser::skip_braces(Head& head) {
  static constexpr std::array<bool, 256> plain = [] {
    std::array<bool, 256> table{};
    table.fill(true);
    for (char c : {'{', '}', '"', '/', '\n'}) table[uint8_t(c)] = false;
    return table;
  }();
  const std::string_view s = d_.source;
  head.open = peek().offset;
  unsigned depth = 1;
  for (size_t p = head.open + 1; p < s.size(); p++) {
    while (p < s.size() && plain[uint8_t(s[p])]) p++;
    if (p == s.size()) break;
    switch (s[p]) {
      case '{': depth++; break;
      case '}':
        if (--depth) break;
        head.end = uint32_t(p);
        go_to(uint32_t(p + 1));
        return true;
      case '"':
        for (p++; p < s.size() && s[p] != '"' && s[p] != '\n';) p += s[p] == '\\' && s.substr(p + 1, 1) != "\n" ? 2 : 1;
        if (p < s.size() && s[p] == '\n') p--;
        break;
      case '/':
        if (s.substr(p + 1, 1) != "/") break;
        p = std::min(s.find('\n', p), s.size()) - 1;
        break;
      case '\n': {
        const size_t word = word_length(s, p + 1);
        if (!word || !item_word(s.substr(p + 1, word))) break;
        head.end = uint32_t(p + 1);
        go_to(head.end);
        lexer_.go_to(head.end, true);
        if (at_item()) return fail(head.open, "this '{' is not closed");
        break;
      }
    }
  }
  head.end = uint32_t(s.size());
  go_to(head.end);
  return fail(head.open, "this '{' is not closed");
}

// What LLVM's text has at the beginning of a line.
std::string ModuleParser::item_hint() {
  const Token t = peek();
  if (t.kind == Tok::Symbol && is('=', 1)) return "; data is strong data @name : i32 = 0";
  if (t.kind == Tok::Value && is('=', 1)) return "; a type is type name = {i32, ptr}";
  return t.kind == Tok::Ident ? hints::after(hints::item, text(t)) : std::string();
}

void ModuleParser::item() {
  struct Row {
    std::string_view word;
    bool (ModuleParser::*read)();
  };
  static constexpr Row rows[] = {
      {"target", &ModuleParser::target_item},    {"processor", &ModuleParser::processor_item},
      {"file", &ModuleParser::file_item},        {"library", &ModuleParser::library_item},
      {"asm", &ModuleParser::asm_item},          {"layout", &ModuleParser::layout_item},
      {"type", &ModuleParser::type_item},        {"comdat", &ModuleParser::comdat_item},
      {"constructor", &ModuleParser::init_item}, {"destructor", &ModuleParser::init_item}};
  if (!at_item()) {
    if (is_word("air") && peek(1).kind == Tok::Int)
      fail(peek(), "the version stands in the first line, and only there");
    else fail(peek(), "expected a declaration, found " + describe(peek()) + item_hint());
    take();
    return skip_to_item();
  }
  const std::string_view w = text(peek());
  const Row* row = std::find_if(std::begin(rows), std::end(rows), [&](const Row& r) { return r.word == w; });
  if (row == std::end(rows)) return symbol_item();
  if (row->read != &ModuleParser::init_item) take();
  bool ok = (this->*row->read)();
  if (ok && peek().kind != Tok::End && !peek().first_on_line) ok = fail_here("the end of the line");
  if (!ok) skip_to_item();
}

bool ModuleParser::target_item() {
  if (is_word("triple") || is_word("datalayout"))
    return fail(peek(), "write target \"triple\", and layout pointer_bytes 4 and the like for what differs");
  return string(m_.triple);
}

bool ModuleParser::processor_item() {
  TargetAttributes attributes;
  if (!string(attributes.processor) || !string(attributes.features)) return false;
  m_.processors.push_back(std::move(attributes));
  return true;
}

bool ModuleParser::file_item() {
  m_.debug_information = true;
  std::string s;
  if (!string(s)) return false;
  m_.files.push_back(std::move(s));
  return true;
}

bool ModuleParser::library_item() {
  std::string s;
  if (!string(s)) return false;
  m_.dependent_libraries.push_back(m_.add_string(s));
  return true;
}

bool ModuleParser::asm_item() {
  std::string s;
  const bool ok = string(s);
  m_.module_asm += s;
  return ok;
}

bool ModuleParser::layout_item() {
  static constexpr struct {
    std::string_view word;
    uint8_t DataLayout::*field;
  } fields[] = {{"pointer_bytes", &DataLayout::pointer_bytes}, {"f80_align", &DataLayout::f80_align},
                {"i64_align", &DataLayout::i64_align},         {"i128_align", &DataLayout::i128_align},
                {"f128_align", &DataLayout::f128_align},       {"max_vector_align", &DataLayout::max_vector_align}};
  DataLayout layout = m_.types.layout();
  const std::string_view name = peek().kind == Tok::Ident ? text(peek()) : std::string_view();
  for (auto& f : fields) {
    if (f.word != name) continue;
    take();
    const Token at = peek();
    uint64_t v;
    if (!number(v, "a number")) return false;
    if (v > 128 || (v & (v - 1)) || (v == 0 && f.word != "max_vector_align") ||
        (f.word == "pointer_bytes" && v != 4 && v != 8))
      return fail(at, "not a possible " + std::string(f.word));
    layout.*f.field = uint8_t(v);
    m_.types.set_layout(layout);
    return true;
  }
  return fail_here("a property of the data layout");
}

bool ModuleParser::type_item() {
  if (peek().kind != Tok::Ident) return fail_here("the type's name");
  Item* alias = find("type", text(take()));
  if (!expect('=', "the type declaration")) return false;
  TypeId made;
  if (alias && !alias->broken && !alias->type.valid()) {
    const size_t index = size_t(alias - d_.items.data());
    alias->visiting = true;
    const bool ok = type(made);
    d_.items[index].visiting = false;
    d_.items[index].broken = !ok;
    if (ok) d_.items[index].type = made;
    return ok;
  }
  // Read already, where it was used; what is wrong with it was said then.
  const size_t errors = errors_.size();
  const bool ok = type(made);
  errors_.resize(errors);
  return ok;
}

bool ModuleParser::comdat_item() {
  if (peek().kind != Tok::Comdat) return fail_here("the comdat's name, as $name");
  const Token name = take();
  Item c{Item::Comdat};
  c.name = name.offset;
  c.index = uint32_t(m_.comdats.size());
  Comdat made;
  made.name = m_.add_string(name_of(name));
  bool ok = true;
  if (peek().kind == Tok::Ident && !peek().first_on_line) {
    if (const words::Word* kind = word_of(words::comdat)) made.kind = ComdatKind(kind->value);
    else ok = fail_here("a comdat kind");
  }
  if (declare("comdat", name, c)) m_.comdats.push_back(made);
  return ok;
}

// The names may come later: kept as places, read by initialisers().
bool ModuleParser::init_item() {
  InitEntry e;
  e.destructor = text(take()) == "destructor";
  if (peek().kind != Tok::Symbol) return fail_here("a function");
  e.function = SymbolIndex(take().offset);
  bool ok = true;
  if (accept_word("priority")) {
    uint64_t p = 0;
    ok = number(p, "a priority");
    e.priority = uint32_t(std::min<uint64_t>(p, 65535));
  }
  if (ok && accept_word("associated")) {
    if (peek().kind == Tok::Symbol) e.associated = SymbolIndex(take().offset);
    else ok = fail_here("a symbol");
  }
  m_.inits.push_back(e);
  return ok;
}

// The words in front, in any order.
bool ModuleParser::symbol_words(Symbol& s, bool& declared) {
  bool linkage_given = false;
  for (; peek().kind == Tok::Ident; take()) {
    const std::string_view w = text(peek());
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
      if (!is('(', 1)) continue;
      take();
      take();
      const words::Word* model = word_of(words::tls);
      if (!model) return fail_here("a TLS model");
      s.tls = TlsModel(model->value);
      if (!is(')')) return fail_here("')'");
    } else break;
  }
  if (!linkage_given) s.linkage = declared ? Linkage::external : Linkage::internal;
  return true;
}

void ModuleParser::symbol_item() {
  Symbol s;
  Item item{Item::Symbol};
  bool declared = false;
  if (!symbol_words(s, declared)) return skip_to_item();
  static constexpr words::Word kinds[] = {{"func", uint32_t(SymbolKind::function)},
                                          {"data", uint32_t(SymbolKind::data)},
                                          {"alias", uint32_t(SymbolKind::alias)},
                                          {"ifunc", uint32_t(SymbolKind::ifunc)}};
  const words::Word* kind = word_of(kinds);
  if (!kind) {
    TypeId t;
    const Token at = peek();
    const size_t errors = errors_.size();
    std::string message = "expected func, data, alias or ifunc, found " + describe(at);
    if (declared && (type_if_any(t) != Found::no || !hints::find(hints::type, text(at)).empty()))
      message += "; the result comes last, as declare func @name(ptr) -> i32";
    errors_.resize(errors);
    fail(at, message);
    take();
    return skip_to_item();
  }
  s.kind = SymbolKind(kind->value);
  if (peek().kind != Tok::Symbol) {
    fail_here("a name, as @name");
    return skip_to_item();
  }
  const Token name = take();
  item.name = name.offset;
  item.index = uint32_t(m_.symbols.size());
  s.name = m_.add_string(name_of(name));
  s.type = TypeTable::ptr;
  Item* known = declare("symbol", name, item);
  if (known) m_.symbols.push_back(s);
  const uint32_t number = known ? uint32_t(known - d_.items.data()) : ~0u;

  bool ok;
  if (s.kind == SymbolKind::function) {
    s.defined = !declared;
    ok = function_head(s, !declared);
  } else {
    ok = data_head(s, item, name, declared);
  }
  if (number != ~0u) {
    d_.items[number].body = item.body;
    d_.items[number].broken = !ok;
    m_.symbols[item.index] = s;
    if (s.function.valid()) d_.heads[s.function.value].item = number;
  } else if (s.function.valid()) {
    d_.heads.pop_back();
    m_.functions.pop_back();
  }
  if (ok && peek().kind != Tok::End && !peek().first_on_line) ok = fail_here("the end of the line");
  if (!ok) skip_to_item();
}

// Of data, aliases and ifuncs. The initialiser is read when all names are known.
bool ModuleParser::data_head(Symbol& s, Item& item, const Token& name, bool declared) {
  if (!expect(':', "the declaration") || !type(s.type)) return false;
  if (s.type == TypeTable::void_type) return fail(name, "data of type void");
  if (!symbol_suffix(s, nullptr, nullptr)) return false;
  if (s.kind == SymbolKind::data) {
    bool ok = true;
    if (m_.types[s.type].kind == TypeKind::Function) ok = fail(name, "data of a function type");
    s.defined = !declared;
    s.size = m_.types.size_of(s.type);
    if (is('=')) {
      if (declared) ok = fail_here("no initialiser after a 'declare'");
      take();
      item.body = peek().offset;
    } else if (!declared) {
      ok = fail(name, "data without an initialiser: write = and one, or declare data");
    }
    if (!ok) return false;
  } else {
    s.defined = true;
    const bool ok = expect('=', "the alias");
    item.body = peek().offset;
    if (!ok) return false;
  }
  if (item.body != ~0u) skip_to_item();
  return true;
}

bool ModuleParser::parameters(Head& head, bool defined, bool& vararg) {
  if (!expect('(', "the function's head")) return false;
  for (bool first = true; !is(')'); first = false) {
    if (!first && !expect(',', "the parameters")) return false;
    if (peek().kind == Tok::Dots) {
      take();
      vararg = true;
      break;
    }
    Declarations::Param p;
    if (peek().kind == Tok::Value && is(':', 1)) {
      p.name = take();
      take();
    } else if (defined) {
      return fail_here("a parameter, as %name: type");
    }
    const Token at = peek();
    bool ok = type(p.type) && param_attrs(p.attr);
    if (ok && (p.type == TypeTable::void_type || m_.types[p.type].kind == TypeKind::Function))
      ok = fail(at, "a parameter of type " + type_text(p.type));
    d_.params.push_back(p);
    head.param_count++;
    if (!ok) return false;
  }
  return expect(')', "the function's head");
}

bool ModuleParser::function_head(Symbol& s, bool defined) {
  Head head;
  head.params = uint32_t(d_.params.size());
  const Token open = peek();
  bool vararg = false;
  bool ok = parameters(head, defined, vararg);
  TypeId result = TypeTable::void_type, whole_type;
  ParamAttr result_attrs;
  if (ok && peek().kind == Tok::Arrow) {
    take();
    ok = param_attrs(result_attrs) && type(result);
    if (ok && m_.types[result].kind == TypeKind::Function) ok = fail(open, "a function that returns a function");
  }
  head.result_attrs = result_attrs.bits;
  if (ok) ok = symbol_suffix(s, &head, &whole_type);
  if (ok) {
    std::vector<TypeId> types(head.param_count);
    for (uint32_t k = 0; k < head.param_count; k++) types[k] = d_.params[head.params + k].type;
    s.type = whole_type.valid() ? whole_type : m_.types.function_type(result, types.data(), types.size(), vararg);
  }
  if (ok && m_.types[s.type].kind != TypeKind::Function)
    ok = fail(open, "the type after 'type' is not a function type");
  if (!defined) {
    d_.params.resize(head.params);
    return ok;
  }
  s.function = FunctionIndex(uint32_t(m_.functions.size()));
  FunctionDecl d;
  d.symbol = SymbolIndex(uint32_t(m_.symbols.size() - 1));
  d.has_personality = head.personality != ~0u;
  m_.functions.push_back(d);
  head.broken = !ok;
  // A body after a broken head is skipped as well.
  if (!ok)
    while (peek().kind != Tok::End && !at_item() && !(is('{') && peek(1).first_on_line)) take();
  if (is('{')) {
    head.broken |= !skip_braces(head);
  } else if (ok) {
    ok = fail_here("'{' and the function's body");
    head.broken = true;
  }
  head.type = s.type;
  head.align_log2 = s.align_log2;
  if (ok && m_.types[s.type].vararg) head.flags |= function_flags::vararg;
  d_.heads.push_back(head);
  return ok;
}

bool ModuleParser::comdat_suffix(Symbol& s) {
  if (peek().kind != Tok::Comdat) return fail_here("a comdat, as $name");
  const Token t = take();
  Item* c = find("comdat", name_of(t));
  // Comdats are declared before they are used, or are the symbol's own.
  if (!c) {
    Item made{Item::Comdat};
    made.name = t.offset;
    made.index = uint32_t(m_.comdats.size());
    Comdat comdat;
    comdat.name = m_.add_string(name_of(t));
    m_.comdats.push_back(comdat);
    c = declare("comdat", t, made);
  }
  if (c) s.comdat = ComdatIndex(c->index);
  return true;
}

// `head`: of a function.
bool ModuleParser::symbol_suffix(Symbol& s, Head* head, TypeId* whole_type) {
  auto kept = [&](StringRef& out) {
    std::string bytes;
    if (!string(bytes)) return false;
    out = m_.add_string(bytes);
    return true;
  };
  while (peek().kind == Tok::Ident && !at_item()) {
    const std::string_view w = text(peek());
    const words::Word* flag = head ? words::find(words::function_flag, w) : nullptr;
    bool ok = true;
    if (flag) {
      take();
      head->flags |= flag->value;
    } else if (accept_word("section")) {
      ok = kept(s.section);
    } else if (accept_word("align")) {
      ok = align(s.align_log2);
    } else if (accept_word("import")) {
      ok = kept(s.wasm_import_module) && kept(s.wasm_import_name);
      s.wasm_import = ok;
    } else if (accept_word("export_name")) {
      ok = kept(s.wasm_export_name);
    } else if (accept_word("comdat")) {
      ok = comdat_suffix(s);
    } else if (head && accept_word("personality")) {
      if (peek().kind != Tok::Symbol) return fail_here("a function");
      head->personality = take().offset;
    } else if (head && accept_word("cc")) {
      ok = convention(head->conv);
    } else if (head && accept_word("type")) {
      ok = type(*whole_type);
    } else {
      return fail_here("a property of the symbol");
    }
    if (!ok) return false;
  }
  return true;
}

}  // namespace lode::air
