// Function bodies of the text form.
//
// A label stands first on its line, as does an instruction; that is how a first look at the body finds all names, so
// that values and blocks may be used before they are defined.
#include <algorithm>
#include <bit>

#include "codegen/air/parser_impl.h"
#include "codegen/air/text_words.h"
#include "codegen/air/simd.h"

namespace lode::air {

using T = TypeTable;

static const OpInfo* find_op(std::string_view name, Op& op) {
  static const auto* table = [] {
    auto* t = new std::unordered_map<std::string_view, unsigned>;
    for (unsigned k = 0; k < op_count; k++) t->emplace(op_table[k].name, k);
    return t;
  }();
  auto it = table->find(name);
  if (it == table->end()) return nullptr;
  op = Op(it->second);
  return &op_table[it->second];
}

// Blocks, their parameters and all results get their numbers.
bool Parser::prescan(Function& fn, const Head& head) {
  bool whole = true;
  auto define = [&](const Token& name, TypeId t, ValueKind kind, uint32_t index) {
    if (!value_ids_.try_emplace(lexer_.text(name), uint32_t(fn.values.size())).second)
      fail(name, "'" + std::string(source_.substr(name.offset, name.length)) + "' is defined twice");
    here_->values.resize(fn.values.size(), ~0u);
    here_->values.push_back(uint32_t(&name - lexer_.tokens.data()));
    fn.values.push_back(Value::make(t, kind, index));
    broken_values_.push_back(0);
  };
  std::vector<uint32_t>& labels = here_->blocks;
  for (uint32_t k = head.open + 1; k + 1 < head.end; k++) {
    at_ = k;
    const Token& t = peek();
    if (t.kind == Tok::Ident && t.first_on_line && (is(':', 1) || is('(', 1))) labels.push_back(k);
  }
  for (uint32_t b = 0; b < labels.size(); b++) {
    at_ = labels[b];
    const Token& name = take();
    if (!block_ids_.try_emplace(lexer_.text(name), b).second)
      fail(name, "the block '" + std::string(lexer_.text(name)) + "' is defined twice");
    Block block;
    block.first_param = uint32_t(fn.values.size());
    if (b == 0) {
      for (size_t p = 0; p < head.param_tokens.size(); p++)
        define(lexer_.tokens[head.param_tokens[p]], head.param_types[p], ValueKind::Param, 0);
      if (is('(')) fail(peek(), "the first block's parameters are the function's; it has none of its own");
    } else if (accept('(')) {
      while (!is(')')) {
        if (fn.values.size() > block.first_param && !expect(',', "the block's parameters")) break;
        if (peek().kind != Tok::Value || !is(':', 1)) {
          fail_here("a parameter, as %name: type");
          break;
        }
        const Token& p = take();
        take();
        TypeId t;
        if (!type(t)) {
          // The parameter keeps its place; nobody's use of it is judged.
          whole = false;
          define(p, T::void_type, ValueKind::Param, b);
          broken_values_.back() = 1;
          while (peek().kind != Tok::End && !peek().first_on_line && !is(',') && !is(')')) take();
          if (is(',') || is(')')) continue;
          break;
        }
        if (t == T::void_type || m_.types[t].kind == TypeKind::Function) fail(p, "a parameter of type " + type_text(t));
        define(p, t, ValueKind::Param, b);
      }
    }
    block.param_count = uint32_t(fn.values.size()) - block.first_param;
    fn.blocks.push_back(block);
  }
  for (uint32_t k = head.open + 1; k + 1 < head.end; k++) {
    at_ = k;
    if (peek().kind == Tok::Value && peek().first_on_line && is('=', 1))
      define(peek(), T::void_type, ValueKind::Inst, 0);
  }
  return whole;
}

// To the first token of another line.
void Parser::skip_line() {
  while (peek().kind != Tok::End && !peek().first_on_line) take();
}

bool Parser::body(uint32_t index) {
  const Head& head = heads_[index];
  Function& fn = m_.in_memory[index];
  if (!head.open) return false;
  value_ids_.clear();
  block_ids_.clear();
  reported_.clear();
  slot_ids_.clear();
  claims_.clear();
  broken_values_.clear();
  location_ids_.clear();
  here_ = &places_[index];
  if (head.personality != ~0u) fn.personality = symbol_ref(lexer_.tokens[head.personality]);
  bool whole = prescan(fn, head);
  bool have_attrs = false;
  for (const ParamAttr& a : head.param_attrs) have_attrs |= a.bits || a.align_log2 || a.size;
  // The function's own attributes stand first; calls that have some need the place even if these are empty.
  fn.param_attrs = head.param_attrs;

  at_ = head.open + 1;
  uint32_t block = ~0u;
  std::vector<uint32_t>& tokens = here_->insts;
  bool label_missing = false;
  auto close = [&] {
    if (block == ~0u) return;
    fn.blocks[block].inst_count = uint32_t(fn.insts.size()) - fn.blocks[block].first_inst;
  };
  while (at_ + 1 < head.end) {
    const Token t = peek();
    if (!t.first_on_line && at_ != head.open + 1) {
      fail_here("the end of the line");
      take();
      skip_line();
      continue;
    }
    if (t.kind == Tok::Ident && t.first_on_line && (is(':', 1) || is('(', 1))) {
      close();
      block = block == ~0u ? 0 : block + 1;
      fn.blocks[block].first_inst = uint32_t(fn.insts.size());
      take();
      if (is('(')) {
        while (at_ + 1 < head.end && !is(')')) take();
        take();
      }
      if (!expect(':', "the label")) {
        take();
        skip_line();
      }
      continue;
    }
    if (is_word("slot") && peek(1).kind == Tok::Ident && peek(2).kind == Tok::Int) {
      if (block != ~0u) fail(t, "a slot is declared before the first block");
      take();
      const Token& name = take();
      StackSlot s;
      uint64_t size;
      bool ok = number(size, "a size in bytes");
      s.size = size;
      if (ok && accept_word("align")) ok = align(s.align_log2);
      for (const words::Word& w : words::slot_array)
        if (ok && accept_word(w.text)) s.array = SlotArray(w.value);
      if (!slot_ids_.try_emplace(lexer_.text(name), uint32_t(fn.slots.size())).second)
        fail(name, "the slot '" + std::string(lexer_.text(name)) + "' is declared twice");
      if (ok && size > uint64_t{1} << 47) fail(name, "the slot is too large");
      fn.slots.push_back(s);
      if (!ok) skip_line();
      continue;
    }
    if (block == ~0u) {
      if (!label_missing) fail_here("the first block's label, as name:");
      label_missing = true;
      take();
      skip_line();
      continue;
    }
    tokens.push_back(at_);
    fn.insts.push_back({Op::unreachable});
    if (!fn.inst_locations.empty()) fn.inst_locations.resize(fn.insts.size());
    uint32_t line_start = at_;
    if (!instruction(fn)) {
      whole = false;
      if (at_ == line_start) take();
      skip_line();
    }
  }
  close();
  if (fn.blocks.empty() && !label_missing) fail(lexer_.tokens[head.open], "the function has no block");
  // What a mention of a value said about its type.
  for (const TypeClaim& c : claims_) {
    TypeId t = fn.values[c.value.value].type;
    if (t != c.type && !(c.value.value < broken_values_.size() && broken_values_[c.value.value]) && t != T::void_type)
      fail(lexer_.tokens[c.token],
           describe(lexer_.tokens[c.token]) + " has type " + type_text(t) + ", not " + type_text(c.type));
  }
  bool calls_have_attrs = false;
  for (const CallSite& c : fn.calls) calls_have_attrs |= c.attrs != ~0u;
  if (!have_attrs && !calls_have_attrs) fn.param_attrs.clear();
  m_.functions[index].size_hint = uint32_t(fn.insts.size() * 4);
  return whole;
}

bool Parser::instruction(Function& fn) {
  const uint32_t index = uint32_t(fn.insts.size() - 1);
  uint32_t result = ~0u;
  Token result_token;
  if (peek().kind == Tok::Value && is('=', 1)) {
    result_token = peek();
    result = value_ids_[lexer_.text(peek())];
    // Until the type is known, uses of it are not judged.
    broken_values_[result] = 1;
    fn.values[result] = Value::make(T::void_type, ValueKind::Inst, index);
    take();
    take();
  }
  const Token name = peek();
  Op op{};
  if (name.kind != Tok::Ident) return fail_here("an instruction");
  if (!find_op(lexer_.text(name), op))
    return fail(name, "'" + std::string(lexer_.text(name)) + "' is not an instruction");
  take();
  Inst i{op};
  i.type = T::void_type;
  while (peek().kind == Tok::Ident) {
    const words::Word* w = words::find(words::inst_flag, lexer_.text(peek()));
    if (!w) break;
    i.flags |= uint8_t(w->value);
    take();
  }
  if (!inst_rest(fn, i, name)) return false;
  if (is('!')) {
    uint32_t location_index;
    if (!location(fn, location_index)) return false;
    fn.inst_locations.resize(fn.insts.size());
    fn.inst_locations[index] = location_index;
  }
  if (i.type != T::void_type) {
    if (result == ~0u) {
      // A result that nobody names.
      if (op != Op::call && op != Op::invoke && !(info(op).traits & (traits::Effect)))
        return fail(name,
                    "the result of '" + std::string(info(op).name) + "' is not used; write %name = " + info(op).name);
      result = uint32_t(fn.values.size());
      fn.values.push_back({});
      broken_values_.resize(fn.values.size(), 0);
    }
    i.result = ValueId(result);
    fn.values[result] = Value::make(i.type, ValueKind::Inst, index);
    broken_values_[result] = 0;
  } else if (result != ~0u) {
    return fail(result_token, "'" + std::string(info(op).name) + "' has no result here");
  }
  fn.insts[index] = i;
  if (peek().kind != Tok::End && !peek().first_on_line) return fail_here("the end of the line");
  return true;
}

bool Parser::location(Function& fn, uint32_t& index) {
  take();
  uint64_t file, line, column;
  const Token at = peek();
  if (!number(file, "the number of a file") || !expect(':', "the location") || !number(line, "a line") ||
      !expect(':', "the location") || !number(column, "a column"))
    return false;
  if (file >= m_.files.size()) return fail(at, "there are " + std::to_string(m_.files.size() - 1) + " files");
  if (line > 0xffffffff || column > 0xffff) return fail(at, "not a possible location");
  uint64_t key = (file * 0x9e3779b97f4a7c15ull) ^ line << 16 ^ column;
  if (fn.locations.empty()) fn.locations.push_back({});
  SourceLocation l{uint32_t(file), uint32_t(line), uint32_t(column)};
  auto [it, fresh] = location_ids_.try_emplace(key, uint32_t(fn.locations.size()));
  const SourceLocation* known = fresh ? nullptr : &fn.locations[it->second];
  if (!fresh && (known->file != l.file || known->line != l.line || known->column != l.column)) {
    index = uint32_t(fn.locations.size());
    fn.locations.push_back(l);
    return true;
  }
  index = it->second;
  if (fresh) fn.locations.push_back(l);
  return true;
}

// ---- operands -------------------------------------------------------------------------------------------------------

bool Parser::value_ref(const Token& t, TypeId expected, ValueId& v) {
  auto it = value_ids_.find(lexer_.text(t));
  if (it == value_ids_.end()) {
    if (reported_.try_emplace(lexer_.text(t), true).second) return fail(t, describe(t) + " is not defined");
    return false;
  }
  v = ValueId(it->second);
  here_->uses.push_back({uint32_t(here_->insts.size()) - 1, v.value, uint32_t(&t - lexer_.tokens.data())});
  if (expected.valid()) claims_.push_back({v, expected, uint32_t(&t - lexer_.tokens.data())});
  return true;
}

ValueId Parser::make_constant(Function& fn, const ConstNode& c) {
  Constant k{c.kind, c.type, c.symbol, c.bits};
  if (c.kind == ConstantKind::WideInt || c.kind == ConstantKind::WideFloat) {
    k.bits = fn.extra.size();
    fn.extra.insert(fn.extra.end(), c.words.begin(), c.words.end());
  } else if (c.kind == ConstantKind::Aggregate) {
    std::vector<uint32_t> ids;
    for (const ConstNode& m : c.members) ids.push_back(make_constant(fn, m).value);
    k.bits = fn.extra.size();
    fn.extra.insert(fn.extra.end(), ids.begin(), ids.end());
  }
  ValueId v(uint32_t(fn.values.size()));
  fn.values.push_back(Value::make(c.type, ValueKind::Const, uint32_t(fn.constants.size())));
  broken_values_.push_back(0);
  fn.constants.push_back(k);
  return v;
}

bool Parser::constant_operand(Function& fn, TypeId t, ValueId& v) {
  ConstNode c;
  const uint32_t token = at_;
  if (!constant(t, c)) return false;
  v = make_constant(fn, c);
  here_->uses.push_back({uint32_t(here_->insts.size()) - 1, v.value, token});
  return true;
}

// [type] value. Without a type a constant takes the expected one. The type of a value is checked when all are known.
bool Parser::operand(Function& fn, TypeId expected, ValueId& v, TypeId* type_out) {
  TypeId t = expected;
  if (starts_type() && !type(t)) return false;
  if (type_out) *type_out = t;
  if (peek().kind == Tok::Value) return value_ref(take(), t, v);
  if (!t.valid()) return fail_here("a type");
  return constant_operand(fn, t, v);
}

bool Parser::typed_operand(Function& fn, ValueId& v, TypeId& t) {
  if (!starts_type()) return fail_here("the operand's type");
  return operand(fn, TypeId{}, v, &t);
}

bool Parser::block_ref(const Token& t, BlockId& b) {
  auto it = block_ids_.find(lexer_.text(t));
  if (it == block_ids_.end()) return fail(t, "there is no block '" + std::string(lexer_.text(t)) + "'");
  b = BlockId(it->second);
  return true;
}

bool Parser::edge(Function& fn, uint32_t& e) {
  if (peek().kind != Tok::Ident) return fail_here("a block");
  const Token& name = take();
  Edge made;
  if (!block_ref(name, made.target)) return false;
  std::vector<uint32_t> args;
  if (accept('(')) {
    const Block target = fn.blocks[made.target.value];
    while (!is(')')) {
      if (!args.empty() && !expect(',', "the block's arguments")) return false;
      TypeId expected;
      if (args.size() < target.param_count && broken_values_[target.first_param + args.size()])
        return false;  // reported there
      if (args.size() < target.param_count) expected = fn.values[target.first_param + args.size()].type;
      else return fail_here("')': the block has " + std::to_string(target.param_count) + " parameters");
      ValueId v;
      if (!operand(fn, expected, v)) return false;
      args.push_back(v.value);
    }
    take();
  }
  made.args = uint32_t(fn.extra.size());
  made.arg_count = uint32_t(args.size());
  fn.extra.insert(fn.extra.end(), args.begin(), args.end());
  e = uint32_t(fn.edges.size());
  fn.edges.push_back(made);
  return true;
}

bool Parser::memory_flags(uint16_t& aux) {
  bool is_volatile = false;
  AtomicOrdering order = AtomicOrdering::not_atomic;
  uint32_t log2 = 0;
  unsigned rmw = aux >> 9 & 31;
  while (peek().kind == Tok::Ident && !peek().first_on_line) {
    if (accept_word("volatile")) {
      is_volatile = true;
    } else if (accept_word("align")) {
      if (!align(log2)) return false;
    } else if (const words::Word* w = words::find(words::ordering, lexer_.text(peek()))) {
      order = AtomicOrdering(w->value);
      take();
    } else {
      return fail_here("volatile, an ordering, or align");
    }
  }
  aux = MemoryFlags::pack(is_volatile, order, log2, RmwOp(rmw));
  return true;
}

bool Parser::path(Function& fn, uint32_t& x) {
  std::vector<uint32_t> list{0};
  if (!expect('[', "the path")) return false;
  while (!is(']')) {
    if (list.size() > 1 && !expect(',', "the path")) return false;
    uint64_t n;
    if (!number(n, "an index")) return false;
    list.push_back(uint32_t(std::min<uint64_t>(n, ~0u)));
  }
  take();
  list[0] = uint32_t(list.size() - 1);
  x = uint32_t(fn.extra.size());
  fn.extra.insert(fn.extra.end(), list.begin(), list.end());
  return true;
}

// [flags] [cc(...)] [result attributes] type callee(type [attributes] value, ...) [as type] [fixed n]
bool Parser::call(Function& fn, Inst& i) {
  CallSite site;
  while (peek().kind == Tok::Ident) {
    std::string_view w = lexer_.text(peek());
    if (w == "cc") {
      take();
      if (!expect('(', "the calling convention")) return false;
      const words::Word* c = peek().kind == Tok::Ident ? words::find(words::conv, lexer_.text(peek())) : nullptr;
      if (!c) return fail_here("a calling convention");
      take();
      if (!expect(')', "the calling convention")) return false;
      site.conv = CallConv(c->value);
    } else if (const words::Word* f = words::find(words::call_flag, w)) {
      site.flags |= uint16_t(f->value);
      take();
    } else if (const words::Word* a = words::find(words::param_attr, w)) {
      site.result_attrs |= uint16_t(a->value);
      take();
    } else {
      break;
    }
  }
  if (!type(i.type)) return false;
  SymbolIndex direct;
  if (is_word("asm")) {
    take();
    InlineAsm a;
    uint32_t bits = 0;
    while (peek().kind == Tok::Ident) {
      const words::Word* f = words::find(words::asm_flag, lexer_.text(peek()));
      if (!f) return fail_here("a string");
      bits |= f->value;
      take();
    }
    a.side_effects = bits & 1;
    a.align_stack = bits & 2;
    a.intel = bits & 4;
    a.can_throw = bits & 8;
    auto string = [&](uint32_t& at, uint32_t& n) {
      if (peek().kind != Tok::String) return fail_here("a string");
      const Token& t = take();
      std::string text;
      if (!unescape(lexer_.text(t), text)) return fail(t, "malformed escape in the string");
      at = uint32_t(fn.strings.size());
      n = uint32_t(text.size());
      fn.strings += text;
      return true;
    };
    if (!string(a.text, a.text_len) || !expect(',', "the inline assembly") || !string(a.constraints, a.constraints_len))
      return false;
    site.inline_asm = uint32_t(fn.inline_asms.size());
    fn.inline_asms.push_back(a);
  } else {
    if (peek().kind == Tok::Symbol) {
      SymbolIndex s = symbol_ref(peek());
      if (!(is('+', 1) || is('-', 1))) direct = s;
    }
    if (!operand(fn, T::ptr, site.callee)) return false;
  }
  if (!expect('(', "the arguments")) return false;
  // A known function's parameters give constants their types.
  const bool known = direct.valid() && m_.symbols[direct.value].kind == SymbolKind::function &&
                     m_.types[m_.symbols[direct.value].type].kind == TypeKind::Function;
  std::vector<uint32_t> args;
  std::vector<TypeId> types;
  std::vector<ParamAttr> attrs;
  bool have_attrs = false;
  while (!is(')')) {
    if (!args.empty() && !expect(',', "the arguments")) return false;
    TypeId t;
    if (known) {
      const Type& f = m_.types[m_.symbols[direct.value].type];
      if (args.size() < f.field_count) t = m_.types.member(f, uint32_t(args.size()));
    }
    if (starts_type() && !type(t)) return false;
    ParamAttr a;
    if (!param_attrs(a)) return false;
    have_attrs |= a.bits || a.align_log2 || a.size;
    ValueId v;
    if (peek().kind == Tok::Value) {
      if (!value_ref(take(), t, v)) return false;
      if (!t.valid()) t = fn.values[v.value].type;
      if (t == T::void_type) return fail_here("the argument's type before it");
    } else {
      if (!t.valid()) return fail_here("a type");
      if (!constant_operand(fn, t, v)) return false;
    }
    args.push_back(v.value);
    types.push_back(t);
    attrs.push_back(a);
  }
  take();
  site.args = uint32_t(fn.extra.size());
  site.arg_count = uint32_t(args.size());
  fn.extra.insert(fn.extra.end(), args.begin(), args.end());
  if (have_attrs) {
    site.attrs = uint32_t(fn.param_attrs.size());
    fn.param_attrs.insert(fn.param_attrs.end(), attrs.begin(), attrs.end());
  }
  bool given = false;
  if (accept_word("as")) {
    if (!type(site.function_type)) return false;
    given = true;
  }
  if (accept_word("fixed")) {
    uint64_t n;
    if (!number(n, "a number of arguments")) return false;
    site.fixed_args = uint32_t(std::min<uint64_t>(n, ~0u));
  }
  if (!given) {
    if (known) site.function_type = m_.symbols[direct.value].type;
    else if (site.callee.valid() && fn.constant(site.callee) && fn.constant(site.callee)->kind == ConstantKind::Runtime)
      site.function_type = {};
    else site.function_type = m_.types.function_type(i.type, types.data(), types.size(), false);
  }
  i.a = uint32_t(fn.calls.size());
  fn.calls.push_back(site);
  return true;
}

// ---- one instruction ------------------------------------------------------------------------------------------------

bool Parser::inst_rest(Function& fn, Inst& i, const Token& op_token) {
  TypeId t, u;
  ValueId a, b, c;
  auto comma = [&] { return expect(',', "the instruction"); };
  auto to = [&] {
    if (!accept_word("to")) return fail_here("'to' and the result's type");
    return type(i.type);
  };
  auto set = [&](ValueId x, ValueId y = {}, ValueId z = {}) {
    i.a = x.value;
    i.b = y.value;
    i.c = z.value;
    return true;
  };
  const ResultRule rule = info(i.op).result;
  if (i.op == Op::simd1 || i.op == Op::simd2) {
    unsigned op = 0;
    while (op < simd_op_count && !accept_word(simd_op_table[op].name)) op++;
    if (op == simd_op_count) return fail_here("an operation on vectors");
    uint64_t immediate = 0;
    if (peek().kind == Tok::Int && !number(immediate, "the operation's number")) return false;
    if (immediate > 255) return fail(op_token, "the operation's number is above 255");
    i.aux = simd_aux(SimdOp(op), unsigned(immediate));
  }
  switch (info(i.op).shape) {
    case Shape::None: return rule != ResultRule::Explicit || to();
    case Shape::Unary: {
      if (!typed_operand(fn, a, t)) return false;
      set(a);
      if (i.op == Op::alloca && accept_word("align")) {
        uint32_t log2;
        if (!align(log2)) return false;
        i.aux = uint16_t(log2);
      }
      if (i.op == Op::prefetch)
        for (const words::Word& w : words::prefetch)
          if (accept_word(w.text)) i.aux = uint16_t(w.value);
      if (rule == ResultRule::Explicit) return to();
      if (rule == ResultRule::Same) i.type = t;
      return true;
    }
    case Shape::Binary:
      if (!typed_operand(fn, a, t) || !comma() || !operand(fn, t, b)) return false;
      set(a, b);
      if (rule == ResultRule::Explicit) return to();
      if (rule == ResultRule::Same) i.type = t;
      if (rule == ResultRule::Pair) {
        TypeId flag = m_.types[t].kind == TypeKind::Vector ? m_.types.vector_type(T::i1, m_.types[t].count) : T::i1;
        TypeId pair[] = {t, flag};
        i.type = m_.types.struct_type(pair, 2);
      }
      return true;
    case Shape::Ternary: {
      if (!typed_operand(fn, a, t) || !comma()) return false;
      if (i.op == Op::select || i.op == Op::insert_element) {
        if (!typed_operand(fn, b, u) || !comma() || !operand(fn, u, c)) return false;
        i.type = i.op == Op::select ? u : t;
      } else {
        if (!operand(fn, t, b) || !comma() || !operand(fn, t, c)) return false;
        i.type = t;
      }
      return set(a, b, c);
    }
    case Shape::Compare: {
      const words::Word* w = nullptr;
      if (peek().kind == Tok::Ident)
        w = i.op == Op::icmp ? words::find(words::int_predicate, lexer_.text(peek()))
                             : words::find(words::float_predicate, lexer_.text(peek()));
      if (!w) return fail_here("a predicate");
      take();
      i.aux = uint16_t(w->value);
      if (!typed_operand(fn, a, t) || !comma() || !operand(fn, t, b)) return false;
      i.type = m_.types[t].kind == TypeKind::Vector ? m_.types.vector_type(T::i1, m_.types[t].count) : T::i1;
      return set(a, b);
    }
    case Shape::Load: return type(i.type) && comma() && operand(fn, T::ptr, a) && set(a) && memory_flags(i.aux);
    case Shape::Store:
      return typed_operand(fn, b, t) && comma() && operand(fn, T::ptr, a) && set(a, b) && memory_flags(i.aux);
    case Shape::PtrAdd: {
      if (!operand(fn, T::ptr, a, &t)) return false;
      i.type = t;
      i.a = a.value;
      uint64_t scale = 1, offset = 0;
      if (accept(',')) {
        if (!operand(fn, m_.types.layout().pointer_bytes == 4 ? T::i32 : T::i64, b)) return false;
        i.b = b.value;
        if (accept('*')) {
          int64_t n;
          if (!integer(n, "a scale")) return false;
          scale = uint64_t(n);
        }
      }
      if (is('+') || is('-')) {
        bool minus = take().punct == '-';
        if (!number(offset, "an offset")) return false;
        if (minus) offset = 0 - offset;
      }
      i.c = uint32_t(fn.extra.size());
      fn.extra.insert(fn.extra.end(),
                      {uint32_t(scale), uint32_t(scale >> 32), uint32_t(offset), uint32_t(offset >> 32)});
      return true;
    }
    case Shape::Block3:
      return operand(fn, T::ptr, a) && comma() && operand(fn, i.op == Op::memset ? T::i8 : T::ptr, b) && comma() &&
             operand(fn, m_.types.layout().pointer_bytes == 4 ? T::i32 : T::i64, c) && set(a, b, c) &&
             memory_flags(i.aux);
    case Shape::Rmw: {
      const words::Word* w = peek().kind == Tok::Ident ? words::find(words::rmw, lexer_.text(peek())) : nullptr;
      if (!w) return fail_here("an operation");
      take();
      i.aux = MemoryFlags::pack(false, AtomicOrdering::not_atomic, 0, RmwOp(w->value));
      if (!operand(fn, T::ptr, a) || !comma() || !typed_operand(fn, b, i.type)) return false;
      return set(a, b) && memory_flags(i.aux);
    }
    case Shape::Cmpxchg: {
      if (!operand(fn, T::ptr, a) || !comma() || !typed_operand(fn, b, t) || !comma() || !operand(fn, t, c))
        return false;
      TypeId pair[] = {t, T::i1};
      i.type = m_.types.struct_type(pair, 2);
      return set(a, b, c) && memory_flags(i.aux);
    }
    case Shape::Call: return call(fn, i);
    case Shape::Path: return typed_operand(fn, a, t) && (i.a = a.value, path(fn, i.b)) && to();
    case Shape::InsertPath:
      if (!typed_operand(fn, a, t) || !comma() || !typed_operand(fn, b, u)) return false;
      i.type = t;
      set(a, b);
      return path(fn, i.c);
    case Shape::List: {
      std::vector<uint32_t> list{0};
      while (!peek().first_on_line && peek().kind != Tok::End && !is('!') && !is('}')) {
        if (list.size() > 1 && !comma()) return false;
        ValueId v;
        if (!typed_operand(fn, v, t)) return false;
        list.push_back(v.value);
      }
      list[0] = uint32_t(list.size() - 1);
      i.a = uint32_t(fn.extra.size());
      fn.extra.insert(fn.extra.end(), list.begin(), list.end());
      return true;
    }
    case Shape::Shuffle: {
      if (!typed_operand(fn, a, t) || !comma() || !operand(fn, t, b) || !expect('[', "the lanes")) return false;
      if (m_.types[t].kind != TypeKind::Vector) return fail(op_token, "shuffle takes vectors, not " + type_text(t));
      std::vector<uint32_t> list{0};
      while (!is(']')) {
        if (list.size() > 1 && !expect(',', "the lanes")) return false;
        if (accept_word("undef")) {
          list.push_back(~0u);
          continue;
        }
        uint64_t n;
        if (!number(n, "a lane")) return false;
        list.push_back(uint32_t(std::min<uint64_t>(n, ~0u - 1)));
      }
      take();
      list[0] = uint32_t(list.size() - 1);
      if (!list[0]) return fail(op_token, "a vector without lanes");
      i.type = m_.types.vector_type(m_.types[t].element, list[0]);
      set(a, b);
      i.c = uint32_t(fn.extra.size());
      fn.extra.insert(fn.extra.end(), list.begin(), list.end());
      return true;
    }
    case Shape::Slot: {
      if (peek().kind != Tok::Ident) return fail_here("a slot");
      const Token& s = take();
      auto it = slot_ids_.find(lexer_.text(s));
      if (it == slot_ids_.end())
        return fail(s, "there is no slot '" + std::string(lexer_.text(s)) + "'; declare it before its use");
      i.a = it->second;
      if (i.op == Op::slot_addr) i.type = T::ptr;
      else fn.lifetime_markers = true;
      return true;
    }
    case Shape::Fixed: {
      if (i.op == Op::landing_pad) {
        if (!type(i.type)) return false;
        LandingPad pad;
        pad.cleanup = accept_word("cleanup");
        std::vector<uint32_t> clauses;
        while (is_word("catch") || is_word("filter")) {
          bool filter = lexer_.text(take()) == "filter";
          if (!expect('(', "the clause")) return false;
          size_t head = clauses.size();
          clauses.push_back(filter);
          clauses.push_back(0);
          while (!is(')')) {
            if (clauses[head + 1] && !expect(',', "the clause")) return false;
            ValueId v;
            if (!operand(fn, T::ptr, v)) return false;
            clauses.push_back(v.value);
            clauses[head + 1]++;
          }
          take();
          pad.clause_count++;
        }
        pad.clauses = uint32_t(fn.extra.size());
        fn.extra.insert(fn.extra.end(), clauses.begin(), clauses.end());
        i.a = uint32_t(fn.landing_pads.size());
        fn.landing_pads.push_back(pad);
        return true;
      }
      if (i.op == Op::fence) {
        const words::Word* w = peek().kind == Tok::Ident ? words::find(words::ordering, lexer_.text(peek())) : nullptr;
        if (!w) return fail_here("an ordering");
        take();
        i.a = w->value;
        return true;
      }
      uint64_t n;
      if (!number(n, "a number")) return false;
      i.a = uint32_t(std::min<uint64_t>(n, ~0u - 1));
      return to();
    }
    case Shape::Br: return edge(fn, i.a);
    case Shape::CondBr:
      return operand(fn, T::i1, a) && (i.a = a.value, comma()) && edge(fn, i.b) && comma() && edge(fn, i.c);
    case Shape::Switch: {
      if (!typed_operand(fn, a, t) || !comma()) return false;
      i.a = a.value;
      if (m_.types[t].kind != TypeKind::Int || m_.types[t].bits > 64)
        return fail(op_token, "switch takes integers of at most 64 bits");
      if (!edge(fn, i.b) || !expect('[', "the cases")) return false;
      std::vector<uint32_t> list{0};
      while (!is(']')) {
        if (list[0] && !expect(',', "the cases")) return false;
        ConstNode value;
        if (!constant(t, value)) return false;
        if (value.kind != ConstantKind::Int) return fail_here("a number");
        if (!expect(':', "the case")) return false;
        uint32_t e;
        if (!edge(fn, e)) return false;
        list.insert(list.end(), {uint32_t(value.bits), uint32_t(value.bits >> 32), e});
        list[0]++;
      }
      take();
      i.c = uint32_t(fn.extra.size());
      fn.extra.insert(fn.extra.end(), list.begin(), list.end());
      return true;
    }
    case Shape::IndirectBr: {
      if (!operand(fn, T::ptr, a) || !expect('[', "the targets")) return false;
      i.a = a.value;
      std::vector<uint32_t> list{0};
      while (!is(']')) {
        if (list[0] && !expect(',', "the targets")) return false;
        uint32_t e;
        if (!edge(fn, e)) return false;
        list.push_back(e);
        list[0]++;
      }
      take();
      i.b = uint32_t(fn.extra.size());
      fn.extra.insert(fn.extra.end(), list.begin(), list.end());
      return true;
    }
    case Shape::Invoke: {
      if (!call(fn, i)) return false;
      if (!accept_word("to")) return fail_here("'to' and the block to go on in");
      if (!edge(fn, i.b)) return false;
      if (!accept_word("unwind")) return fail_here("'unwind' and the block of the landing pad");
      return edge(fn, i.c);
    }
  }
  return false;
}

}  // namespace lode::air
