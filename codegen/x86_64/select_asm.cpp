// Inline assembly. See selector.h and inline_asm.h.
//
// The statement becomes one VInst whose operands are what the constraints ask for: fixed registers by copies around it,
// ties by `mod`, clobbers as early definitions that nobody reads. The template is assembled when the registers are
// known. x87 operands are pushed directly in front and popped directly behind, through slots. Behind the statement the
// outputs are on top and below them the inputs that are neither tied nor, as a clobber of the x87 stack says, popped by
// the statement.
#include "codegen/x86_64/asm_use.h"

#include <algorithm>
#include <bit>

#include "base/bytes.h"
#include "codegen/x86_64/widths.h"

namespace lode::x86_64 {

namespace {
constexpr uint32_t none = ~0u;
}

// A statement on its way through the steps of select_asm(). A step is false when it cannot be done; fail() knows why.
struct Selector::AsmCall {
  const air::Inst& inst;
  const air::CallSite& site;
  AsmStatement s;
  std::vector<TypeId> types;            // of the results, leaf by leaf
  uint32_t first_leaf = none;
  std::unique_ptr<AsmUse> use = std::make_unique<AsmUse>();
  std::vector<Operand> ops;
  uint32_t result = 0;                  // outputs so far

  // By operand
  std::vector<Reg> regs;                // of an output
  std::vector<ValueId> inputs;
  std::vector<uint32_t> pointee_bytes;  // of an indirect operand, 0: unknown

  std::vector<std::pair<Reg, Reg>> copies;        // to fixed registers, directly before the statement
  std::vector<std::pair<Reg, Reg>> copies_after;  // widened conditions
  std::vector<std::pair<Reg, Reg>> after;         // results
  struct Stacked {
    uint8_t depth;  // in the x87 stack
    TypeId type;
    uint32_t slot;
    ValueId input;  // pushed
    Reg to;         // popped
  };
  std::vector<Stacked> pushes, pops;
  struct Flag {
    Cond cond;
    TypeId type;
    Reg to;
  };
  std::vector<Flag> flags;
  unsigned x87_left = 0;                // inputs on the x87 stack behind the statement

  bool single() const { return types.size() == 1 && first_leaf == none; }
};

namespace {
bool x87_type(const AsmOperand& o, TypeId t) {
  return o.x87 && o.fixed < 8 && (t == TypeTable::f80 || t == TypeTable::f64 || t == TypeTable::f32);
}
}  // namespace

bool Selector::refuse(const char* what) {
  fail(what);
  return false;
}

void Selector::select_asm(const air::Inst& i) {
  AsmCall c{i, fn_->calls[i.a], {}, {}};
  if (!read_asm(c) || !number_asm_inputs(c) || !fix_byte_registers(c.s)) return;
  fix_x87_registers(c.s);
  for (size_t k = 0; k < c.s.operands.size(); k++) {
    const AsmOperand& o = c.s.operands[k];
    if (o.label) c.use->values[k].kind = AsmValue::Kind::label;
    else if (!(o.indirect ? asm_memory(c, k) : o.output ? asm_output(c, k) : asm_input(c, k))) return;
  }
  asm_clobbers(c);
  if (!push_asm_inputs(c)) return;
  for (auto& [to, from] : c.copies) copy(to, from);
  emit_list(p_inline_asm, c.ops, uint32_t(asms_.size()), ~0u, 0, 0);
  asms_.push_back(std::move(c.use));
  asm_results(c);
}

// The statement, in the first of its alternatives that suits the operands.
bool Selector::read_asm(AsmCall& c) {
  const air::InlineAsm& a = fn_->inline_asms[c.site.inline_asm];
  std::string_view strings = fn_->strings;
  std::string text(strings.substr(a.text, a.text_len));
  std::string_view constraints = strings.substr(a.constraints, a.constraints_len);
  auto parsed = parse_inline_asm(text, constraints);
  if (!parsed.ok()) return refuse(parsed.error().text().c_str());

  if (c.inst.type != TypeTable::void_type &&
      !air::result_leaves(module_->types, c.inst.type, legalize_options(), c.types).ok())
    return refuse("a result of this type");
  for (uint32_t k = 1, n = parsed->alternatives; k < n && !asm_operands_fit(*parsed, c.site, c.types); k++) {
    parsed = parse_inline_asm(text, constraints, k);
    if (!parsed.ok()) return refuse(parsed.error().text().c_str());
  }
  if (parsed->alternatives > 1 && !asm_operands_fit(*parsed, c.site, c.types))
    return refuse("inline assembly with operands that suit none of its alternatives");
  c.s = std::move(*parsed);
  if (c.s.moves_stack && !(fn_->flags & air::function_flags::naked)) dynamic_frame_ = true;
  if (c.inst.result.valid()) c.first_leaf = leaf_first_[c.inst.result.value];
  const size_t n = c.s.operands.size();
  c.use->text = std::move(text);
  c.use->intel = a.intel;
  c.use->any_encoding = a.any_encoding;
  c.use->values.resize(n);
  c.use->operands.assign(n, none);
  c.use->memory.resize(n);
  c.regs.resize(n);
  return true;
}

// Which argument belongs to which operand.
bool Selector::number_asm_inputs(AsmCall& c) {
  const size_t n = c.s.operands.size();
  c.inputs.resize(n);
  c.pointee_bytes.resize(n);
  uint32_t arg = 0;
  for (size_t k = 0; k < n; k++)
    if (!c.s.operands[k].label && (!c.s.operands[k].output || c.s.operands[k].indirect)) {
      if (arg >= c.site.arg_count) return refuse("inline assembly with too few arguments");
      if (c.site.attrs != ~0u && fn_->param_attrs[c.site.attrs + arg].bits & air::attr::element)
        c.pointee_bytes[k] = fn_->param_attrs[c.site.attrs + arg].size;
      c.inputs[k] = ValueId(fn_->extra[c.site.args + arg++]);
    }
  return arg == c.site.arg_count || refuse("inline assembly with an operand of several parts");
}

// Operands that have to be in one of the four registers with a high byte get one that nothing else in the statement
// names.
bool Selector::fix_byte_registers(AsmStatement& s) {
  unsigned taken = s.gp_clobbers;
  for (const AsmOperand& o : s.operands)
    if (o.gp && o.fixed != reg::none) taken |= 1u << o.fixed;
  for (AsmOperand& o : s.operands) {
    if (!o.legacy_byte || o.fixed != reg::none || o.tied >= 0) continue;
    for (uint8_t r : {reg::rax, reg::rcx, reg::rdx, reg::rbx}) {
      if (taken >> r & 1) continue;
      o.fixed = r;
      break;
    }
    if (o.fixed == reg::none)
      return refuse("inline assembly with too many operands in registers with a high byte");
    taken |= 1u << o.fixed;
  }
  return true;
}

// Any register of the x87 stack: the first that no other operand has. A tied input is where its output is.
void Selector::fix_x87_registers(AsmStatement& s) {
  unsigned taken = 0;
  for (const AsmOperand& o : s.operands)
    if (o.x87 && o.fixed < 8) taken |= 1u << o.fixed;
  for (AsmOperand& o : s.operands) {
    if (!o.x87 || o.fixed != reg::none || o.tied >= 0 || taken == 0xff) continue;
    o.fixed = uint8_t(__builtin_ctz(~taken));
    taken |= 1u << o.fixed;
  }
}

uint8_t Selector::asm_bytes(TypeId t) const {
  if (is_fp(t)) return uint8_t(t == TypeTable::f32 ? 4 : t == TypeTable::f64 ? 8 : t == TypeTable::v256 ? 32 : 16);
  return uint8_t(std::max(1u, bits_of(t) / 8));
}

void Selector::place_asm_memory(AsmCall& c, size_t k, const VMem& m) {
  c.use->values[k].kind = AsmValue::Kind::memory;
  c.use->memory[k] = m;
  if (m.has_base || m.has_index) c.use->operands[k] = uint32_t(c.ops.size());
  if (m.has_base) c.ops.push_back(late(m.base));
  if (m.has_index) c.ops.push_back(late(m.index));
}

// Operand k is where operand `out` is.
void Selector::same_asm_place(AsmCall& c, size_t k, size_t out) {
  c.use->values[k] = c.use->values[out];
  c.use->memory[k] = c.use->memory[out];
  c.use->operands[k] = c.use->operands[out];
}

bool Selector::asm_memory(AsmCall& c, size_t k) {
  const AsmOperand& o = c.s.operands[k];
  if (o.tied < 0) {
    c.use->values[k].bytes = uint8_t(c.pointee_bytes[k] <= 8 ? c.pointee_bytes[k] : 0);
    place_asm_memory(c, k, address(c.inputs[k]));
    return true;
  }
  const size_t out = size_t(o.tied);
  if (c.use->values[out].kind != AsmValue::Kind::memory) return refuse("inline assembly with a tie of this kind");
  same_asm_place(c, k, out);
  if (c.inputs[k] == c.inputs[out]) return true;
  return copy_asm_memory(c.use->memory[out], address(c.inputs[k]), std::min(c.pointee_bytes[k], c.pointee_bytes[out]));
}

bool Selector::asm_output(AsmCall& c, size_t k) {
  const AsmOperand& o = c.s.operands[k];
  AsmValue& v = c.use->values[k];
  if (c.result >= c.types.size()) return refuse("inline assembly with more outputs than results");
  const uint32_t n = c.result++;
  const TypeId t = c.types[n];
  const ValueId whole = c.inst.result;
  if (o.x87 ? !x87_type(o, t) : t == TypeTable::f80)
    return refuse("inline assembly with an x87 operand of this kind");
  Reg wanted = c.single()               ? (is_wanted(whole) ? reg_[whole.value] : Reg{})
               : c.first_leaf != none ? leaves_[c.first_leaf + n].reg
                                        : Reg{};
  if (o.condition) {
    if (is_fp(t)) return refuse("inline assembly with a condition as a floating-point value");
    v.kind = AsmValue::Kind::none;
    if (wanted.valid()) c.flags.push_back({o.cond, t, wanted});
    return true;
  }
  if (o.x87) {
    v.kind = AsmValue::Kind::x87;
    v.reg = o.fixed;
    const uint32_t home = c.first_leaf != none ? leaves_[c.first_leaf + n].slot : home_[whole.value];
    c.pops.push_back({o.fixed, t, t == TypeTable::f80 && home ? home - 1 : new_slot(16, 4), ValueId{}, wanted});
    return true;
  }
  const bool fp_reg = is_fp(t) || (o.fp && !o.gp);
  v.kind = fp_reg ? AsmValue::Kind::fp : AsmValue::Kind::gp;
  v.bytes = asm_bytes(t);
  Reg r;
  if (o.fixed != reg::none) r = Reg{fp_reg ? 32u + o.fixed : o.fixed};
  else r = fp_reg ? fp(v.bytes < 4 ? 4 : v.bytes) : gp(v.bytes == 8 ? 8 : 4);
  c.regs[k] = r;
  if (wanted.valid()) c.after.push_back({wanted, r});
  // The operand itself: whether an input is tied to it is known further down.
  c.use->operands[k] = uint32_t(c.ops.size());
  c.ops.push_back(o.early_clobber ? def_early(r) : def(r));
  return true;
}

bool Selector::asm_input(AsmCall& c, size_t k) {
  const AsmOperand& o = c.s.operands[k];
  AsmValue& v = c.use->values[k];
  const ValueId in = c.inputs[k];
  const TypeId t = type_of(in);
  const AsmOperand& place = o.tied >= 0 ? c.s.operands[size_t(o.tied)] : o;
  if (place.x87 ? !x87_type(place, t) : t == TypeTable::f80)
    return refuse("inline assembly with an x87 operand of this kind");
  if (place.x87) {
    if (o.tied < 0 && !c.s.x87_clobber) c.x87_left++;
    v.kind = AsmValue::Kind::x87;
    v.reg = place.fixed;
    c.pushes.push_back({place.fixed, t, 0, in, Reg{}});
    return true;
  }
  if (o.tied >= 0) return asm_tied_input(c, k, size_t(o.tied));
  int64_t number;
  const air::Constant* constant = fn_->constant(in);
  if (o.immediate && !is_fp(t) && int_constant(in, number) && accepts_immediate(o, number)) {
    v.kind = AsmValue::Kind::immediate;
    v.imm = number;
    v.bytes = asm_bytes(t);
    return true;
  }
  if (o.immediate && !o.gp && constant && symbol_is_direct(*constant)) {
    v.kind = AsmValue::Kind::reference;
    v.reference = reference(*constant, mir::ReferenceKind::direct, int64_t(constant->bits));
    return true;
  }
  const bool fp_reg = is_fp(t) || (o.fp && !o.gp);
  v.kind = fp_reg ? AsmValue::Kind::fp : AsmValue::Kind::gp;
  v.bytes = asm_bytes(t);
  if (o.fixed != reg::none) {
    Reg p{fp_reg ? 32u + o.fixed : o.fixed};
    Reg r = reg_of(in);
    c.copies.push_back({p, r});
    c.use->operands[k] = uint32_t(c.ops.size());
    c.ops.push_back(use(p));
  } else if (o.gp || o.fp) {
    Reg r = reg_of(in);
    if (is_fp(t) ? !o.fp : !o.gp) return refuse("inline assembly with a value of the other register class");
    c.use->operands[k] = uint32_t(c.ops.size());
    c.ops.push_back(use(r));
  } else if (o.memory) {
    // A value that has to be in memory: through a slot.
    Reg r = reg_of(in);
    VMem m = slot_mem(new_slot(16, 4));
    store_reg(m, t, r);
    place_asm_memory(c, k, m);
  } else {
    return refuse("inline assembly with an operand that has to be a constant");
  }
  return true;
}

bool Selector::asm_tied_input(AsmCall& c, size_t k, size_t out) {
  const ValueId in = c.inputs[k];
  Reg r = reg_of(in), to = c.regs[out];
  if (c.use->values[out].kind == AsmValue::Kind::memory) {
    // The output's place in memory holds the input when the statement begins, as much of it as the place takes.
    store_part(c.use->memory[out], type_of(in), r, c.pointee_bytes[out]);
    same_asm_place(c, k, out);
    return true;
  }
  if (!to.valid()) return refuse("inline assembly with a tie of this kind");
  c.copies.push_back({to, r});
  c.ops[c.use->operands[out]] = mod(to);
  c.use->values[k] = c.use->values[out];
  c.use->operands[k] = c.use->operands[out];
  return true;
}

// Clobbers of registers that are operands already are not listed again.
void Selector::asm_clobbers(AsmCall& c) {
  for (unsigned r = 0; r < 32; r++) {
    bool clobbered = r < 16 ? c.s.gp_clobbers >> r & 1 : c.s.fp_clobbers >> (r - 16) & 1;
    Reg p{r < 16 ? r : 32 + r - 16};
    if (!clobbered || r == 4 || r == 31) continue;
    bool mentioned = false;
    for (Operand o : c.ops) mentioned |= o.reg() == p;
    if (!mentioned) c.ops.push_back(def_early(p));
  }
  for (Operand o : c.ops)
    if (o.reg().is_physical() && o.reg().value < 16) asm_registers_ |= 1u << o.reg().value;
}

bool Selector::push_asm_inputs(AsmCall& c) {
  auto& pushes = c.pushes;
  std::sort(pushes.begin(), pushes.end(), [](const auto& x, const auto& y) { return x.depth > y.depth; });
  for (size_t k = 0; k < pushes.size(); k++)
    if (pushes[k].depth != pushes.size() - 1 - k)
      return refuse("inline assembly whose x87 inputs are not the top of the stack");
  for (const AsmCall::Stacked& x : pushes) {
    if (x.type == TypeTable::f80) {
      load_f80(x.input);
      continue;
    }
    VMem m = slot_mem(new_slot(8, 3));
    store_reg(m, x.type, reg_of(x.input));
    emit_mem(unsigned(x.type == TypeTable::f32 ? Op::fld32m : Op::fld64m), {}, m);
  }
  return true;
}

// Only moves may stand between the statement and the last reader of its flags.
void Selector::asm_results(AsmCall& c) {
  for (const AsmCall::Flag& x : c.flags) {
    Reg byte = bits_of(x.type) > 8 ? gp(4) : x.to;
    emit(with_cond(Op::setcc8r, x.cond), {def(byte)});
    if (byte != x.to) c.copies_after.push_back({x.to, byte});
  }
  for (auto& [to, from] : c.copies_after) emit(unsigned(Op::movzx32rr8), {def(to), use(from)});
  for (auto& [to, from] : c.after) copy(to, from);
  std::sort(c.pops.rbegin(), c.pops.rend(), [](const auto& x, const auto& y) { return x.depth > y.depth; });
  for (const AsmCall::Stacked& x : c.pops) {
    VMem m = slot_mem(x.slot);
    emit_mem(unsigned(x.type == TypeTable::f80   ? Op::fstp80m
                      : x.type == TypeTable::f64 ? Op::fstp64m
                                                 : Op::fstp32m),
             {}, m);
    if (x.type != TypeTable::f80 && x.to.valid()) load_reg(x.to, x.type, m);
  }
  for (unsigned k = 0; k < c.x87_left; k++) emit(unsigned(Op::fstp_st0), {});
}

// Whether the values suit this alternative of the constraints.
bool Selector::asm_operands_fit(const AsmStatement& s, const air::CallSite& site,
                                std::span<const TypeId> results) const {
  uint32_t arg = 0, result = 0;
  for (const AsmOperand& o : s.operands) {
    if (o.label) continue;
    if (o.output && !o.indirect) {
      if (result >= results.size()) return false;
      const TypeId t = results[result++];
      if (!(o.condition || (is_fp(t) ? o.fp || o.x87 : o.gp || o.fp))) return false;
      continue;
    }
    if (arg >= site.arg_count) return false;
    const ValueId in(fn_->extra[site.args + arg++]);
    if (o.tied >= 0) continue;
    if (o.indirect ? o.memory : is_fp(type_of(in)) ? o.fp || o.x87 || o.memory : o.gp || o.memory) continue;
    int64_t c;
    if (o.indirect || !o.immediate) return false;
    if (int_constant(in, c) ? !accepts_immediate(o, c) : !fn_->constant(in)) return false;
  }
  return true;
}

// The place that a tied operand names takes the value of the other place first.
bool Selector::copy_asm_memory(const VMem& to, const VMem& from, uint32_t bytes) {
  if (bytes == 0 || bytes > 64) {
    fail("inline assembly that ties memory of this size");
    return false;
  }
  for (uint32_t at = 0; at < bytes;) {
    const uint32_t n = std::bit_floor(std::min(bytes - at, 8u));
    Reg r = gp(n == 8 ? 8 : 4);
    VMem source = from, target = to;
    source.disp += int32_t(at);
    target.disp += int32_t(at);
    constexpr Op loads[] = {Op::movzx32rm8, Op::movzx32rm16, Op::mov32rm, Op::mov64rm};
    emit_mem(unsigned(loads[std::countr_zero(n)]), {def(r)}, source);
    emit_mem(unsigned(width_op(mov_mr, n * 8)), {use(r)}, target);
    at += n;
  }
  return true;
}

// Stores an asm input to the memory of the output that it is tied to: at most `bytes`, unless these are unknown (0) or
// no power of two.
void Selector::store_part(const VMem& m, TypeId type, Reg r, uint32_t bytes) {
  bool narrower = !is_fp(type) && (bytes == 1 || bytes == 2 || bytes == 4) && bytes * 8 < bits_of(type);
  if (narrower) emit_mem(unsigned(width_op(mov_mr, bytes * 8)), {use(r)}, m);
  else store_reg(m, type, r);
}

// Called by the finaliser: `at` are the locations of the VInst's operands.
Result<void> Selector::emit_asm(uint32_t index, const codegen::Location* at) {
  AsmUse& u = *asms_[index];
  for (size_t k = 0; k < u.values.size(); k++) {
    AsmValue& v = u.values[k];
    const codegen::Location* l = u.operands[k] == none ? nullptr : at + u.operands[k];
    if (v.kind == AsmValue::Kind::memory) v.mem = physical(u.memory[k], l);
    else if (v.kind == AsmValue::Kind::gp || v.kind == AsmValue::Kind::fp) v.reg = uint8_t(l->value & 15);
  }
  auto symbol = [&](std::string_view name, mir::ReferenceKind kind, int64_t addend) {
    for (uint32_t i = 0; i < module_->symbols.size(); i++) {
      if (module_->name_of(air::SymbolIndex(i)) != name) continue;
      air::Constant c{air::ConstantKind::Symbol, TypeTable::ptr, i, uint64_t(addend)};
      if (kind == mir::ReferenceKind::direct && !symbol_is_direct(c)) return no_symbol;
      return reference(c, kind, addend);
    }
    return no_symbol;
  };
  // What a program spells without a v is to leave the upper half of a register as it is.
  writer_->use_vex(avx_ && u.any_encoding);
  Result<void> done = assemble(u.text, u.values, *writer_, symbol, u.intel);
  writer_->use_vex(avx_);
  return done;
}

}  // namespace lode::x86_64
