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

void Selector::select_asm(const air::Inst& i) {
  const air::CallSite& site = fn_->calls[i.a];
  const air::InlineAsm& a = fn_->inline_asms[site.inline_asm];
  std::string_view strings = fn_->strings;
  std::string text(strings.substr(a.text, a.text_len));
  if (a.intel) return fail("inline assembly in Intel syntax");
  std::string_view constraints = strings.substr(a.constraints, a.constraints_len);
  auto parsed = parse_inline_asm(text, constraints);
  if (!parsed.ok()) return fail(parsed.error().text().c_str());

  // The types of the results, leaf by leaf.
  std::vector<TypeId> types;
  if (i.type != TypeTable::void_type &&
      !air::result_leaves(module_->types, i.type, air::LegalizeOptions::x86_64(), types).ok())
    return fail("a result of this type");
  for (uint32_t k = 1, n = parsed->alternatives; k < n && !asm_operands_fit(*parsed, site, types); k++) {
    parsed = parse_inline_asm(text, constraints, k);
    if (!parsed.ok()) return fail(parsed.error().text().c_str());
  }
  if (parsed->alternatives > 1 && !asm_operands_fit(*parsed, site, types))
    return fail("inline assembly with operands that suit none of its alternatives");
  AsmStatement& s = *parsed;
  if (s.moves_stack && !(fn_->flags & air::function_flags::naked)) dynamic_frame_ = true;
  uint32_t first = i.result.valid() ? leaf_first_[i.result.value] : none;

  auto use_of = std::make_unique<AsmUse>();
  use_of->text = std::move(text);
  size_t n = s.operands.size();
  use_of->values.resize(n);
  use_of->operands.assign(n, none);
  use_of->memory.resize(n);
  std::vector<Reg> regs(n);
  std::vector<Operand> ops;
  struct After {
    Reg to, from;
  };
  std::vector<After> after;
  uint32_t arg = 0, result = 0;
  std::vector<ValueId> inputs(n);
  // Which argument belongs to which operand.
  std::vector<uint32_t> pointee_bytes(n);  // of an indirect operand, 0: unknown
  for (size_t k = 0; k < n; k++)
    if (!s.operands[k].label && (!s.operands[k].output || s.operands[k].indirect)) {
      if (arg >= site.arg_count) return fail("inline assembly with too few arguments");
      if (site.attrs != ~0u && fn_->param_attrs[site.attrs + arg].bits & air::attr::element)
        pointee_bytes[k] = fn_->param_attrs[site.attrs + arg].size;
      inputs[k] = ValueId(fn_->extra[site.args + arg++]);
    }
  if (arg != site.arg_count) return fail("inline assembly with an operand of several parts");

  std::vector<std::pair<Reg, Reg>> copies_after;  // widened conditions
  std::vector<std::pair<Reg, Reg>> copies;  // to fixed registers, directly before the statement
  auto byte_width = [&](TypeId t) -> uint8_t {
    return is_fp(t) ? uint8_t(t == TypeTable::f32   ? 4
                              : t == TypeTable::f64 ? 8
                                                    : 16)
                    : uint8_t(std::max(1u, bits_of(t) / 8));
  };
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
  unsigned x87_left = 0;  // inputs on the x87 stack behind the statement
  auto is_x87 = [](const AsmOperand& o, TypeId t) {
    return o.x87 && o.fixed < 8 && (t == TypeTable::f80 || t == TypeTable::f64 || t == TypeTable::f32);
  };
  // Operands that have to be in one of the four registers with a high byte get one that nothing else in the statement
  // names.
  {
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
      if (o.fixed == reg::none) return fail("inline assembly with too many operands in registers with a high byte");
      taken |= 1u << o.fixed;
    }
  }
  // Any register of the x87 stack: the first that no other operand has. A tied input is where its output is.
  {
    unsigned taken = 0;
    for (const AsmOperand& o : s.operands)
      if (o.x87 && o.fixed < 8) taken |= 1u << o.fixed;
    for (AsmOperand& o : s.operands) {
      if (!o.x87 || o.fixed != reg::none || o.tied >= 0 || taken == 0xff) continue;
      o.fixed = uint8_t(__builtin_ctz(~taken));
      taken |= 1u << o.fixed;
    }
  }
  auto place_memory = [&](size_t k, const VMem& m) {
    use_of->values[k].kind = AsmValue::Kind::memory;
    use_of->memory[k] = m;
    if (m.has_base || m.has_index) use_of->operands[k] = uint32_t(ops.size());
    if (m.has_base) ops.push_back(late(m.base));
    if (m.has_index) ops.push_back(late(m.index));
  };
  for (size_t k = 0; k < n; k++) {
    const AsmOperand& o = s.operands[k];
    AsmValue& v = use_of->values[k];
    if (o.label) {
      v.kind = AsmValue::Kind::label;
      continue;
    }
    if (o.indirect && o.tied >= 0) {
      const size_t out = size_t(o.tied);
      if (use_of->values[out].kind != AsmValue::Kind::memory) return fail("inline assembly with a tie of this kind");
      v = use_of->values[out];
      use_of->memory[k] = use_of->memory[out];
      use_of->operands[k] = use_of->operands[out];
      if (inputs[k] == inputs[out]) continue;
      if (!copy_asm_memory(use_of->memory[out], address(inputs[k]), std::min(pointee_bytes[k], pointee_bytes[out])))
        return;
      continue;
    }
    if (o.indirect) {
      v.bytes = uint8_t(pointee_bytes[k] <= 8 ? pointee_bytes[k] : 0);
      place_memory(k, address(inputs[k]));
      continue;
    }
    if (o.output) {
      if (result >= types.size()) return fail("inline assembly with more outputs than results");
      TypeId t = types[result];
      if (o.x87 ? !is_x87(o, t) : t == TypeTable::f80) return fail("inline assembly with an x87 operand of this kind");
      Reg wanted = types.size() == 1 && first == none ? (is_wanted(i.result) ? reg_[i.result.value] : Reg{})
                   : first != none                    ? leaves_[first + result].reg
                                                      : Reg{};
      if (o.condition) {
        if (is_fp(t)) return fail("inline assembly with a condition as a floating-point value");
        v.kind = AsmValue::Kind::none;
        if (wanted.valid()) flags.push_back({o.cond, t, wanted});
        result++;
        continue;
      }
      if (o.x87) {
        v.kind = AsmValue::Kind::x87;
        v.reg = o.fixed;
        uint32_t home = first != none ? leaves_[first + result].slot : home_[i.result.value];
        pops.push_back({o.fixed, t, t == TypeTable::f80 && home ? home - 1 : new_slot(16, 4), ValueId{}, wanted});
        result++;
        continue;
      }
      result++;
      bool fp_reg = is_fp(t) || (o.fp && !o.gp);
      v.kind = fp_reg ? AsmValue::Kind::fp : AsmValue::Kind::gp;
      v.bytes = byte_width(t);
      Reg r;
      if (o.fixed != reg::none) r = Reg{fp_reg ? 32u + o.fixed : o.fixed};
      else r = fp_reg ? fp(v.bytes < 4 ? 4 : v.bytes) : gp(v.bytes == 8 ? 8 : 4);
      regs[k] = r;
      if (wanted.valid()) after.push_back({wanted, r});
      // The operand itself: whether an input is tied to it is known further down.
      use_of->operands[k] = uint32_t(ops.size());
      ops.push_back(o.early_clobber ? def_early(r) : def(r));
      continue;
    }
    ValueId in = inputs[k];
    TypeId t = type_of(in);
    const AsmOperand& place = o.tied >= 0 ? s.operands[size_t(o.tied)] : o;
    if (place.x87 ? !is_x87(place, t) : t == TypeTable::f80)
      return fail("inline assembly with an x87 operand of this kind");
    if (place.x87) {
      if (o.tied < 0 && !s.x87_clobber) x87_left++;
      v.kind = AsmValue::Kind::x87;
      v.reg = place.fixed;
      pushes.push_back({place.fixed, t, 0, in, Reg{}});
      continue;
    }
    if (o.tied >= 0) {
      size_t out = size_t(o.tied);
      Reg r = reg_of(in), to = regs[out];
      if (use_of->values[out].kind == AsmValue::Kind::memory) {
        // The output's place in memory holds the input when the statement begins, as much of it as the place takes.
        store_part(use_of->memory[out], t, r, pointee_bytes[out]);
        v = use_of->values[out];
        use_of->memory[k] = use_of->memory[out];
        use_of->operands[k] = use_of->operands[out];
        continue;
      }
      if (!to.valid()) return fail("inline assembly with a tie of this kind");
      copies.push_back({to, r});
      ops[use_of->operands[out]] = mod(to);
      v = use_of->values[out];
      use_of->operands[k] = use_of->operands[out];
      continue;
    }
    int64_t c;
    const air::Constant* constant = fn_->constant(in);
    if (o.immediate && !is_fp(t) && int_constant(in, c) && accepts_immediate(o, c)) {
      v.kind = AsmValue::Kind::immediate;
      v.imm = c;
      v.bytes = byte_width(t);
      continue;
    }
    if (o.immediate && !o.gp && constant && symbol_is_direct(*constant)) {
      v.kind = AsmValue::Kind::reference;
      v.reference = reference(*constant, mir::ReferenceKind::direct, int64_t(constant->bits));
      continue;
    }
    bool fp_reg = is_fp(t) || (o.fp && !o.gp);
    v.kind = fp_reg ? AsmValue::Kind::fp : AsmValue::Kind::gp;
    v.bytes = byte_width(t);
    if (o.fixed != reg::none) {
      Reg p{fp_reg ? 32u + o.fixed : o.fixed};
      Reg r = reg_of(in);
      copies.push_back({p, r});
      use_of->operands[k] = uint32_t(ops.size());
      ops.push_back(use(p));
    } else if (o.gp || o.fp) {
      Reg r = reg_of(in);
      bool wrong_class = is_fp(t) ? !o.fp : !o.gp;
      if (wrong_class) return fail("inline assembly with a value of the other register class");
      use_of->operands[k] = uint32_t(ops.size());
      ops.push_back(use(r));
    } else if (o.memory) {
      // A value that has to be in memory: through a slot.
      Reg r = reg_of(in);
      VMem m = slot_mem(new_slot(16, 4));
      store_reg(m, t, r);
      place_memory(k, m);
    } else {
      return fail("inline assembly with an operand that has to be a constant");
    }
  }
  // Clobbers of registers that are operands already are not listed again.
  for (unsigned r = 0; r < 32; r++) {
    bool clobbered = r < 16 ? s.gp_clobbers >> r & 1 : s.fp_clobbers >> (r - 16) & 1;
    Reg p{r < 16 ? r : 32 + r - 16};
    if (!clobbered || r == 4 || r == 31) continue;
    bool mentioned = false;
    for (Operand o : ops) mentioned |= o.reg() == p;
    if (!mentioned) ops.push_back(def_early(p));
  }
  for (Operand o : ops)
    if (o.reg().is_physical() && o.reg().value < 16) asm_registers_ |= 1u << o.reg().value;
  auto deeper = [](const Stacked& x, const Stacked& y) { return x.depth > y.depth; };
  std::sort(pushes.begin(), pushes.end(), deeper);
  for (size_t k = 0; k < pushes.size(); k++)
    if (pushes[k].depth != pushes.size() - 1 - k)
      return fail("inline assembly whose x87 inputs are not the top of the stack");
  for (const Stacked& x : pushes) {
    if (x.type == TypeTable::f80) {
      load_f80(x.input);
      continue;
    }
    VMem m = slot_mem(new_slot(8, 3));
    store_reg(m, x.type, reg_of(x.input));
    emit_mem(unsigned(x.type == TypeTable::f32 ? Op::fld32m : Op::fld64m), {}, m);
  }
  for (auto& [to, from] : copies) copy(to, from);
  emit_list(p_inline_asm, ops, uint32_t(asms_.size()), ~0u, 0, 0);
  asms_.push_back(std::move(use_of));
  // Only moves may stand between the statement and the last reader of its flags.
  for (const Flag& x : flags) {
    Reg byte = bits_of(x.type) > 8 ? gp(4) : x.to;
    emit(with_cond(Op::setcc8r, x.cond), {def(byte)});
    if (byte != x.to) copies_after.push_back({x.to, byte});
  }
  for (auto& [to, from] : copies_after) emit(unsigned(Op::movzx32rr8), {def(to), use(from)});
  for (const After& x : after) copy(x.to, x.from);
  std::sort(pops.rbegin(), pops.rend(), deeper);
  for (const Stacked& x : pops) {
    VMem m = slot_mem(x.slot);
    emit_mem(unsigned(x.type == TypeTable::f80   ? Op::fstp80m
                      : x.type == TypeTable::f64 ? Op::fstp64m
                                                 : Op::fstp32m),
             {}, m);
    if (x.type != TypeTable::f80 && x.to.valid()) load_reg(x.to, x.type, m);
  }
  for (unsigned k = 0; k < x87_left; k++) emit(unsigned(Op::fstp_st0), {});
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
  return assemble(u.text, u.values, *writer_, symbol);
}

}  // namespace lode::x86_64
