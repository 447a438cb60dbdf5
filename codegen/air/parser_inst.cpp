// Instructions of the text form: operands, edges, calls, and what each operation has behind its name.
//
// The body's names are known before its first instruction is read (parser_body.cpp), so an operand is a value that
// exists, or a constant that is made here. What is read is well-formed, but need not be well-typed: that is the
// verifier's to say, who knows the rules of all operations.
#include <algorithm>

#include "codegen/air/parser_impl.h"
#include "codegen/air/simd.h"
#include "codegen/air/text_words.h"

namespace lode::air {

using T = TypeTable;

// ---- operands -------------------------------------------------------------------------------------------------------

bool BodyParser::value_ref(const Token& t, TypeId expected, ValueId& v) {
  const uint32_t known = value_ids_.find(text(t));
  if (known == NameTable::none) {
    if (reported_.insert(text(t), 0)) fail(t, describe(t) + " is not defined");
    return false;
  }
  v = ValueId(known);
  mention(v, t);
  if (expected.valid()) claims_.push_back({v, expected, t.offset});
  return true;
}

uint32_t BodyParser::append(const std::vector<uint32_t>& list) {
  const uint32_t at = uint32_t(fn_.extra.size());
  fn_.extra.insert(fn_.extra.end(), list.begin(), list.end());
  return at;
}

ValueId BodyParser::make_constant(const ConstNode& c) {
  Constant k{c.kind, c.type, c.symbol, c.bits};
  if (c.kind == ConstantKind::WideInt || c.kind == ConstantKind::WideFloat) {
    k.bits = append(c.words);
  } else if (c.kind == ConstantKind::Aggregate) {
    std::vector<uint32_t> ids;
    for (const ConstNode& m : c.members) ids.push_back(make_constant(m).value);
    k.bits = append(ids);
  }
  ValueId v(uint32_t(fn_.values.size()));
  fn_.values.push_back(Value::make(c.type, ValueKind::Const, uint32_t(fn_.constants.size())));
  broken_values_.push_back(0);
  fn_.constants.push_back(k);
  return v;
}

bool BodyParser::constant_operand(TypeId t, ValueId& v) {
  ConstNode c;
  const Token at = peek();
  if (!constant(t, c)) return false;
  v = make_constant(c);
  mention(v, at);
  return true;
}

// [type] value. Without a type a constant takes the expected one. The type of a value is checked when all are known.
bool BodyParser::operand(TypeId expected, ValueId& v, TypeId* type_out) {
  TypeId t = expected;
  if (peek().kind != Tok::Value && type_if_any(t) == Found::broken) return false;
  if (type_out) *type_out = t;
  if (peek().kind == Tok::Value) return value_ref(take(), t, v);
  if (!t.valid()) return fail_here("a type");
  return constant_operand(t, v);
}

bool BodyParser::typed_operand(ValueId& v, TypeId& t) {
  t = {};
  const Found found = type_if_any(t);
  if (found == Found::no) return fail_here("the operand's type");
  if (found == Found::broken) return false;
  if (peek().kind == Tok::Value) return value_ref(take(), t, v);
  return constant_operand(t, v);
}

bool BodyParser::block_ref(const Token& t, BlockId& b) {
  const uint32_t known = block_ids_.find(text(t));
  if (known == NameTable::none) {
    std::string hint;
    if (text(t) == "label") hint = "; a block's name stands alone, without 'label' and '%'";
    else if (text(t) == "i1") hint = "; a branch by a condition is cond_br %c, yes, no";
    return fail(t, "there is no block '" + std::string(text(t)) + "'" + hint);
  }
  b = BlockId(known);
  return true;
}

bool BodyParser::edge(uint32_t& e) {
  if (peek().kind == Tok::Value && block_ids_.find(text(peek())) != NameTable::none)
    return fail_here("a block, whose name has no '%'");
  if (peek().kind != Tok::Ident) return fail_here("a block");
  const Token name = take();
  Edge made;
  if (!block_ref(name, made.target)) return false;
  std::vector<uint32_t>& args = list_;
  args.clear();
  if (accept('(')) {
    const Block target = fn_.blocks[made.target.value];
    while (!is(')')) {
      if (!args.empty() && !expect(',', "the block's arguments")) return false;
      TypeId expected;
      if (args.size() < target.param_count && broken_values_[target.first_param + args.size()])
        return false;  // reported there
      if (args.size() < target.param_count) expected = fn_.values[target.first_param + args.size()].type;
      else return fail_here("')': the block has " + std::to_string(target.param_count) + " parameters");
      ValueId v;
      if (!operand(expected, v)) return false;
      args.push_back(v.value);
    }
    take();
  }
  made.arg_count = uint32_t(args.size());
  made.args = append(args);
  e = uint32_t(fn_.edges.size());
  fn_.edges.push_back(made);
  places_.edges.resize(e);
  places_.edges.push_back(name.offset);
  return true;
}

bool BodyParser::memory_flags(uint16_t& aux) {
  bool is_volatile = false;
  AtomicOrdering order = AtomicOrdering::not_atomic;
  uint32_t log2 = 0;
  unsigned rmw = aux >> 9 & 31;
  if (is(',') && (is_word("align", 1) || is_word("volatile", 1)))
    return fail(peek(), "no comma stands in front of '" + std::string(text(peek(1))) + "'");
  while (peek().kind == Tok::Ident && !peek().first_on_line) {
    if (accept_word("volatile")) {
      is_volatile = true;
    } else if (accept_word("align")) {
      if (!align(log2)) return false;
    } else if (const words::Word* w = word_of(words::ordering)) {
      order = AtomicOrdering(w->value);
    } else {
      return fail_here("volatile, an ordering, or align");
    }
  }
  aux = MemoryFlags::pack(is_volatile, order, log2, RmwOp(rmw));
  return true;
}

bool BodyParser::path(uint32_t& x) {
  std::vector<uint32_t>& list = list_;
  list.assign(1, 0);
  if (!expect('[', "the path")) return false;
  while (!is(']')) {
    if (list.size() > 1 && !expect(',', "the path")) return false;
    uint64_t n;
    if (!number(n, "an index")) return false;
    list.push_back(uint32_t(std::min<uint64_t>(n, ~0u)));
  }
  take();
  list[0] = uint32_t(list.size() - 1);
  x = append(list);
  return true;
}

// asm [words] "text", "constraints"
bool BodyParser::inline_assembly(CallSite& site) {
  take();
  InlineAsm a;
  uint32_t bits = 0;
  while (peek().kind == Tok::Ident) {
    const words::Word* f = word_of(words::asm_flag);
    if (!f) return fail_here("a string");
    bits |= f->value;
  }
  a.side_effects = bits & 1;
  a.align_stack = bits & 2;
  a.intel = bits & 4;
  a.can_throw = bits & 8;
  a.any_encoding = bits & 16;
  auto kept = [&](uint32_t& at, uint32_t& n) {
    std::string bytes;
    if (!string(bytes)) return false;
    at = uint32_t(fn_.strings.size());
    n = uint32_t(bytes.size());
    fn_.strings += bytes;
    return true;
  };
  if (!kept(a.text, a.text_len) || !expect(',', "the inline assembly") || !kept(a.constraints, a.constraints_len))
    return false;
  site.inline_asm = uint32_t(fn_.inline_asms.size());
  fn_.inline_asms.push_back(a);
  return true;
}

// (type [attributes] value, ...); a known function's parameters give constants their types.
bool BodyParser::arguments(SymbolIndex direct, CallSite& site) {
  if (!expect('(', "the arguments")) return false;
  const Type* known = direct.valid() ? &(*types_)[m_.symbols[direct.value].type] : nullptr;
  std::vector<uint32_t>& args = list_;
  std::vector<TypeId>& types = types_of_arguments_;
  std::vector<ParamAttr>& attrs = attrs_;
  args.clear();
  types.clear();
  attrs.clear();
  bool have_attrs = false;
  while (!is(')')) {
    if (!args.empty() && !expect(',', "the arguments")) return false;
    TypeId t;
    if (known && args.size() < known->field_count) t = types_->member(*known, uint32_t(args.size()));
    if (peek().kind != Tok::Value) {
      if (type_if_any(t) == Found::broken) return false;
      if (known) known = &(*types_)[m_.symbols[direct.value].type];  // the table may have moved
    }
    ParamAttr a;
    if (!param_attrs(a)) return false;
    have_attrs |= a.bits || a.align_log2 || a.size;
    ValueId v;
    if (peek().kind == Tok::Value) {
      if (!value_ref(take(), t, v)) return false;
      if (!t.valid()) t = fn_.values[v.value].type;
      if (t == T::void_type) return fail_here("the argument's type before it");
    } else {
      if (!t.valid()) return fail_here("a type");
      if (!constant_operand(t, v)) return false;
    }
    args.push_back(v.value);
    types.push_back(t);
    attrs.push_back(a);
  }
  take();
  site.arg_count = uint32_t(args.size());
  site.args = append(args);
  if (have_attrs) {
    site.attrs = uint32_t(fn_.param_attrs.size());
    fn_.param_attrs.insert(fn_.param_attrs.end(), attrs.begin(), attrs.end());
  }
  return true;
}

// [flags] [cc(...)] [result attributes] type callee(type [attributes] value, ...) [as type] [fixed n]
bool BodyParser::call(Inst& i) {
  CallSite site;
  while (peek().kind == Tok::Ident) {
    if (accept_word("cc")) {
      if (!convention(site.conv)) return false;
    } else if (const words::Word* f = word_of(words::call_flag)) {
      site.flags |= uint16_t(f->value);
    } else if (const words::Word* a = word_of(words::param_attr)) {
      site.result_attrs |= uint16_t(a->value);
    } else {
      break;
    }
  }
  if (!type(i.type)) return false;
  SymbolIndex direct;
  if (is_word("asm")) {
    if (!inline_assembly(site)) return false;
  } else {
    const bool named = peek().kind == Tok::Symbol && !is('+', 1) && !is('-', 1);
    if (!operand(T::ptr, site.callee)) return false;
    const Constant* callee = named ? fn_.constant(site.callee) : nullptr;
    if (callee && m_.symbols[callee->symbol].kind == SymbolKind::function &&
        (*types_)[m_.symbols[callee->symbol].type].kind == TypeKind::Function)
      direct = SymbolIndex(callee->symbol);
  }
  if (!arguments(direct, site)) return false;
  const bool given = accept_word("as");
  if (given && !type(site.function_type)) return false;
  if (accept_word("fixed")) {
    uint64_t n;
    if (!number(n, "a number of arguments")) return false;
    site.fixed_args = uint32_t(std::min<uint64_t>(n, ~0u));
  }
  if (!given) {
    const Constant* callee = site.callee.valid() ? fn_.constant(site.callee) : nullptr;
    if (direct.valid()) site.function_type = m_.symbols[direct.value].type;
    else if (callee && callee->kind == ConstantKind::Runtime) site.function_type = {};
    else
      site.function_type = interned(
          types_->function_type(i.type, types_of_arguments_.data(), types_of_arguments_.size(), false));
  }
  i.a = uint32_t(fn_.calls.size());
  fn_.calls.push_back(site);
  return true;
}

// ---- one instruction ------------------------------------------------------------------------------------------------

// As LLVM has it: alloca TYPE, where a number of bytes should be.
bool BodyParser::alloca_of_type() {
  const uint32_t start = at_;
  const size_t errors = errors_.size();
  const Token at = peek();
  TypeId t;
  const Found found = type_if_any(t);
  const bool ends = found == Found::yes && (peek().first_on_line || peek().kind == Tok::End || is(','));
  errors_.resize(errors);  // what is wrong is said when the operand is read
  if (ends)
    fail(at, "alloca takes a number of bytes, as alloca i64 %n align 8 to ptr; a variable is a slot, as slot name 8 "
             "align 8 before the first label, and %p = slot_addr name");
  else at_ = start;
  return ends;
}

bool BodyParser::landing_pad(Inst& i) {
  if (!type(i.type)) return false;
  LandingPad pad;
  pad.cleanup = accept_word("cleanup");
  std::vector<uint32_t> clauses;
  while (is_word("catch") || is_word("filter")) {
    const bool filter = text(take()) == "filter";
    if (!expect('(', "the clause")) return false;
    const size_t head = clauses.size();
    clauses.push_back(filter);
    clauses.push_back(0);
    while (!is(')')) {
      if (clauses[head + 1] && !expect(',', "the clause")) return false;
      ValueId v;
      if (!operand(T::ptr, v)) return false;
      clauses.push_back(v.value);
      clauses[head + 1]++;
    }
    take();
    pad.clause_count++;
  }
  pad.clauses = append(clauses);
  i.a = uint32_t(fn_.landing_pads.size());
  fn_.landing_pads.push_back(pad);
  return true;
}

bool BodyParser::shuffle(Inst& i, const Token& op) {
  TypeId t;
  ValueId a, b;
  const Token at = peek();
  if (!typed_operand(a, t)) return false;
  if ((*types_)[t].kind != TypeKind::Vector) return fail(at, "shuffle takes vectors, not " + type_text(t));
  if (!expect(',', "the instruction") || !operand(t, b) || !expect('[', "the lanes")) return false;
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
  if (!list[0]) return fail(op, "a vector without lanes");
  i.type = interned(types_->vector_type((*types_)[t].element, list[0]));
  i.a = a.value;
  i.b = b.value;
  i.c = append(list);
  return true;
}

bool BodyParser::switch_cases(Inst& i) {
  TypeId t;
  ValueId a;
  const Token at = peek();
  if (!typed_operand(a, t)) return false;
  if ((*types_)[t].kind != TypeKind::Int || (*types_)[t].bits > 64)
    return fail(at, "switch takes integers of at most 64 bits, not " + type_text(t));
  if (!expect(',', "the instruction")) return false;
  i.a = a.value;
  if (!edge(i.b) || !expect('[', "the cases")) return false;
  std::vector<uint32_t> list{0};
  while (!is(']')) {
    if (list[0] && !expect(',', "the cases")) return false;
    ConstNode value;
    if (!constant(t, value)) return false;
    if (value.kind != ConstantKind::Int) return fail_here("a number");
    if (!expect(':', "the case")) return false;
    uint32_t e;
    if (!edge(e)) return false;
    list.insert(list.end(), {uint32_t(value.bits), uint32_t(value.bits >> 32), e});
    list[0]++;
  }
  take();
  i.c = append(list);
  return true;
}

bool BodyParser::inst_rest(Inst& i, const Token& op_token) {
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
  if (i.op == Op::simd1 || i.op == Op::simd2 || i.op == Op::simd3) {
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
      if (i.op == Op::alloca && alloca_of_type()) return false;
      if (!typed_operand(a, t)) return false;
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
      if (!typed_operand(a, t) || !comma() || !operand(t, b)) return false;
      set(a, b);
      if (rule == ResultRule::Explicit) return to();
      if (rule == ResultRule::Same) i.type = t;
      if (rule == ResultRule::Pair) {
        TypeId flag =
            (*types_)[t].kind == TypeKind::Vector ? interned(types_->vector_type(T::i1, (*types_)[t].count)) : T::i1;
        TypeId pair[] = {t, flag};
        i.type = interned(types_->struct_type(pair, 2));
      }
      return true;
    case Shape::Ternary: {
      if (!typed_operand(a, t) || !comma()) return false;
      if (i.op == Op::select || i.op == Op::insert_element) {
        if (!typed_operand(b, u) || !comma() || !operand(u, c)) return false;
        i.type = i.op == Op::select ? u : t;
      } else {
        if (!operand(t, b) || !comma() || !operand(t, c)) return false;
        i.type = t;
      }
      return set(a, b, c);
    }
    case Shape::Compare: {
      const words::Word* w = i.op == Op::icmp ? word_of(words::int_predicate) : word_of(words::float_predicate);
      if (!w) return fail_here("a predicate");
      i.aux = uint16_t(w->value);
      if (!typed_operand(a, t) || !comma() || !operand(t, b)) return false;
      i.type = (*types_)[t].kind == TypeKind::Vector ? interned(types_->vector_type(T::i1, (*types_)[t].count)) : T::i1;
      return set(a, b);
    }
    case Shape::Load: return type(i.type) && comma() && operand(T::ptr, a) && set(a) && memory_flags(i.aux);
    case Shape::Store:
      return typed_operand(b, t) && comma() && operand(T::ptr, a) && set(a, b) && memory_flags(i.aux);
    case Shape::PtrAdd: {
      if (!operand(T::ptr, a, &t)) return false;
      i.type = t;
      i.a = a.value;
      uint64_t scale = 1, offset = 0;
      if (accept(',')) {
        if (!operand(types_->layout().pointer_bytes == 4 ? T::i32 : T::i64, b)) return false;
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
      i.c = uint32_t(fn_.extra.size());
      fn_.extra.insert(fn_.extra.end(),
                      {uint32_t(scale), uint32_t(scale >> 32), uint32_t(offset), uint32_t(offset >> 32)});
      return true;
    }
    case Shape::Block3:
      return operand(T::ptr, a) && comma() && operand(i.op == Op::memset ? T::i8 : T::ptr, b) && comma() &&
             operand(types_->layout().pointer_bytes == 4 ? T::i32 : T::i64, c) && set(a, b, c) &&
             memory_flags(i.aux);
    case Shape::Rmw: {
      const words::Word* w = word_of(words::rmw);
      if (!w) return fail_here("an operation");
      i.aux = MemoryFlags::pack(false, AtomicOrdering::not_atomic, 0, RmwOp(w->value));
      if (!operand(T::ptr, a) || !comma() || !typed_operand(b, i.type)) return false;
      return set(a, b) && memory_flags(i.aux);
    }
    case Shape::Cmpxchg: {
      if (!operand(T::ptr, a) || !comma() || !typed_operand(b, t) || !comma() || !operand(t, c))
        return false;
      TypeId pair[] = {t, T::i1};
      i.type = interned(types_->struct_type(pair, 2));
      return set(a, b, c) && memory_flags(i.aux);
    }
    case Shape::Call: return call(i);
    case Shape::Path: return typed_operand(a, t) && (i.a = a.value, path(i.b)) && to();
    case Shape::InsertPath:
      if (!typed_operand(a, t) || !comma() || !typed_operand(b, u)) return false;
      i.type = t;
      set(a, b);
      return path(i.c);
    case Shape::List: {
      std::vector<uint32_t>& list = list_;
      list.assign(1, 0);
      while (!peek().first_on_line && peek().kind != Tok::End && !is('!') && !is('}')) {
        if (list.size() > 1 && !comma()) return false;
        ValueId v;
        if (!typed_operand(v, t)) return false;
        list.push_back(v.value);
      }
      list[0] = uint32_t(list.size() - 1);
      i.a = append(list);
      return true;
    }
    case Shape::Shuffle: return shuffle(i, op_token);
    case Shape::Slot: {
      if (peek().kind != Tok::Ident) return fail_here("a slot");
      const Token s = take();
      const uint32_t known = slot_ids_.find(text(s));
      if (known == NameTable::none)
        return fail(s, "there is no slot '" + std::string(text(s)) + "'; declare it before its use");
      i.a = known;
      if (i.op == Op::slot_addr) i.type = T::ptr;
      else fn_.lifetime_markers = true;
      return true;
    }
    case Shape::Fixed: {
      if (i.op == Op::landing_pad) return landing_pad(i);
      if (i.op == Op::fence) {
        const words::Word* w = word_of(words::ordering);
        if (!w) return fail_here("an ordering");
        i.a = w->value;
        return true;
      }
      uint64_t n;
      if (!number(n, "a number")) return false;
      i.a = uint32_t(std::min<uint64_t>(n, ~0u - 1));
      return to();
    }
    case Shape::Br: return edge(i.a);
    case Shape::CondBr:
      return operand(T::i1, a) && (i.a = a.value, comma()) && edge(i.b) && comma() && edge(i.c);
    case Shape::Switch: return switch_cases(i);
    case Shape::IndirectBr: {
      if (!operand(T::ptr, a) || !expect('[', "the targets")) return false;
      i.a = a.value;
      std::vector<uint32_t> list{0};
      while (!is(']')) {
        if (list[0] && !expect(',', "the targets")) return false;
        uint32_t e;
        if (!edge(e)) return false;
        list.push_back(e);
        list[0]++;
      }
      take();
      i.b = append(list);
      return true;
    }
    case Shape::Invoke: {
      if (!call(i)) return false;
      if (!accept_word("to")) return fail_here("'to' and the block to go on in");
      if (!edge(i.b)) return false;
      if (!accept_word("unwind")) return fail_here("'unwind' and the block of the landing pad");
      return edge(i.c);
    }
  }
  return false;
}

}  // namespace lode::air
