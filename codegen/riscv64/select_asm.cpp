// Inline assembly. See selector.h and inline_asm.h.
//
// The statement becomes one VInst whose operands are what the constraints ask for: fixed registers by copies around it,
// ties by `mod`, clobbers as early definitions that nobody reads. The template is assembled when the registers are
// known.
#include "codegen/riscv64/asm_use.h"

#include "base/bytes.h"
#include "codegen/air/legalize.h"
#include "codegen/riscv64/encode.h"

namespace lode::riscv64 {

namespace {
constexpr uint32_t none = ~0u;

// A statement on its way.
struct Statement {
  AsmStatement s;
  std::vector<TypeId> types;  // of the results, leaf by leaf
  std::unique_ptr<AsmUse> use = std::make_unique<AsmUse>();
  std::vector<Operand> ops;
  std::vector<Reg> regs;                    // by operand: of an output
  std::vector<ValueId> inputs;              // by operand
  std::vector<std::pair<Reg, Reg>> before;  // copies to fixed registers
  std::vector<std::pair<Reg, Reg>> after;   // and from the outputs
};
}  // namespace

void Selector::select_asm(const air::Inst& i) {
  const air::CallSite& site = fn_->calls[i.a];
  const air::InlineAsm& a = fn_->inline_asms[site.inline_asm];
  const std::string_view strings = fn_->strings;
  auto parsed = parse_inline_asm(strings.substr(a.constraints, a.constraints_len));
  if (!parsed.ok()) return fail(parsed.error().text().c_str());
  Statement c;
  c.s = std::move(*parsed);
  if (i.type != TypeTable::void_type &&
      !air::result_leaves(module_->types, i.type, legalize_options(), c.types).ok())
    return fail("a result of this type");
  const uint32_t first_leaf = i.result.valid() ? leaf_first_[i.result.value] : none;
  const bool single = c.types.size() == 1 && first_leaf == none;
  const size_t n = c.s.operands.size();
  c.use->text = std::string(strings.substr(a.text, a.text_len));
  c.use->values.resize(n);
  c.use->operands.assign(n, none);
  c.use->memory.resize(n);
  c.regs.resize(n);
  c.inputs.resize(n);
  uint32_t arg = 0, result = 0;
  for (size_t k = 0; k < n; k++) {
    const AsmOperand& o = c.s.operands[k];
    if (o.label || (o.output && !o.indirect)) continue;
    if (arg >= site.arg_count) return fail("inline assembly with too few arguments");
    c.inputs[k] = ValueId(fn_->extra[site.args + arg++]);
  }
  if (arg != site.arg_count) return fail("inline assembly with an operand of several parts");

  for (size_t k = 0; k < n; k++) {
    const AsmOperand& o = c.s.operands[k];
    AsmValue& v = c.use->values[k];
    auto in_register = [&](Operand operand) {
      v.kind = operand.reg().is_physical() ? (operand.reg().value < fp_base ? AsmValue::Kind::gp : AsmValue::Kind::fp)
               : vcode_.vregs[operand.reg().index()].cls == RegClass::fp ? AsmValue::Kind::fp
                                                                         : AsmValue::Kind::gp;
      c.use->operands[k] = uint32_t(c.ops.size());
      c.ops.push_back(operand);
    };
    auto in_memory = [&](const VMem& m) {
      v.kind = AsmValue::Kind::memory;
      c.use->memory[k] = m;
      if (!m.has_base) return;
      c.use->operands[k] = uint32_t(c.ops.size());
      c.ops.push_back(late(m.base));
    };
    if (o.label) {
      v.kind = AsmValue::Kind::label;
      continue;
    }
    if (o.indirect) {
      if (o.tied >= 0) return fail("inline assembly that ties memory");
      in_memory(reg_mem(reg_of(c.inputs[k])));
      continue;
    }
    if (o.output) {
      if (result >= c.types.size()) return fail("inline assembly with more outputs than results");
      const TypeId t = c.types[result];
      Reg wanted = single               ? (is_wanted(i.result) ? reg_[i.result.value] : Reg{})
                   : first_leaf != none ? leaves_[first_leaf + result].reg
                                        : Reg{};
      result++;
      if (is_fp(t) ? !o.fp : !o.gp) return fail("inline assembly with a value of the other register class");
      Reg r = o.fixed != AsmOperand::any ? Reg{o.fixed} : new_reg(t);
      c.regs[k] = r;
      if (wanted.valid()) c.after.push_back({wanted, r});
      in_register(o.early_clobber ? def_early(r) : def(r));
      continue;
    }
    const ValueId in = c.inputs[k];
    const TypeId t = type_of(in);
    if (o.tied >= 0) {
      const size_t out = size_t(o.tied);
      Reg to = c.regs[out];
      if (c.use->values[out].kind == AsmValue::Kind::memory) {
        // The output's place in memory holds the input when the statement begins.
        store_reg(c.use->memory[out], t, reg_of(in));
        v = c.use->values[out];
        c.use->memory[k] = c.use->memory[out];
        c.use->operands[k] = c.use->operands[out];
        continue;
      }
      if (!to.valid()) return fail("inline assembly with a tie of this kind");
      c.before.push_back({to, is_fp(t) ? reg_of(in) : sign_extended(in)});
      c.ops[c.use->operands[out]] = mod(to);
      v = c.use->values[out];
      c.use->operands[k] = c.use->operands[out];
      continue;
    }
    int64_t number;
    const air::Constant* constant = fn_->constant(in);
    if (o.immediate && !is_fp(t) && int_constant(in, number) && accepts_immediate(o, number)) {
      v.kind = AsmValue::Kind::immediate;
      v.imm = number;
    } else if (o.immediate && !o.gp && constant && symbol_is_direct(*constant)) {
      v.kind = AsmValue::Kind::reference;
      v.reference = reference(*constant, mir::ReferenceKind::direct, int64_t(constant->bits));
    } else if (is_fp(t) ? o.fp : o.gp) {
      Reg r = is_fp(t) ? reg_of(in) : sign_extended(in);
      if (o.fixed != AsmOperand::any) {
        c.before.push_back({Reg{o.fixed}, r});
        r = Reg{o.fixed};
      }
      in_register(use(r));
    } else if (o.memory) {  // through a slot
      const VMem m = slot_mem(new_slot(8, 3));
      store_reg(m, t, reg_of(in));
      in_memory(m);
    } else {
      return fail("inline assembly with an operand that has to be a constant, or in the other register class");
    }
  }
  clobber_registers(c.s.clobbers, c.ops);
  for (auto& [to, from] : c.before) copy(to, from);
  emit_list(p_inline_asm, c.ops, uint32_t(asms_.size()), ~0u, 0, 0);
  asms_.push_back(std::move(c.use));
  for (auto& [to, from] : c.after) copy(to, from);
}

// Clobbers of registers that are operands already are not listed again.
void Selector::clobber_registers(uint64_t clobbers, std::vector<Operand>& ops) {
  for (unsigned r = 1; r < 64; r++) {
    if (!(clobbers >> r & 1)) continue;
    asm_registers_ |= uint64_t{1} << r;
    bool mentioned = !(all_registers >> r & 1) || r == reg::scratch || r == 63 || r == reg::ra;
    for (Operand o : ops) mentioned |= o.reg() == Reg{r};
    if (!mentioned) ops.push_back(def_early(Reg{r}));
  }
  for (Operand o : ops)
    if (o.reg().is_physical()) asm_registers_ |= uint64_t{1} << o.reg().value;
}

// Called by the finaliser: `at` are the locations of the VInst's operands.
Result<void> Selector::emit_asm(uint32_t index, const codegen::Location* at) {
  AsmUse& u = *asms_[index];
  for (size_t k = 0; k < u.values.size(); k++) {
    AsmValue& v = u.values[k];
    const codegen::Location* l = u.operands[k] == none ? nullptr : at + u.operands[k];
    if (v.kind == AsmValue::Kind::memory) {
      const VMem& m = u.memory[k];
      v.mem.kind = m.kind;
      v.mem.disp = m.disp;
      v.mem.target = m.id;
      if (m.has_base) v.mem.base = uint8_t(l->value & 31);
    } else if (l) {
      v.reg = uint8_t(l->value & 31);
    }
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

}  // namespace lode::riscv64
