// Addresses, loads, stores and block moves. See selector.h.
//
// An address is a base register and 12 bits, a place in the frame, or a symbol. address() folds chains of ptr_add with
// constant offsets into it as far as 12 bits reach; it costs nothing at any of their readers. A symbol as an operand is
// two instructions, and its offset stands in the reference. Sums with an index are instructions of their own.
//
// Block moves use accesses as wide as the alignment that is known: misaligned ones may be slow.
#include "base/bytes.h"
#include "codegen/riscv64/encode.h"
#include "codegen/riscv64/selector.h"

namespace lode::riscv64 {

using air::ConstantKind;
using air::Inst;
using air::MemoryFlags;
namespace vf = codegen::vflags;

namespace {
constexpr int64_t max_disp = 0x3fffffff;
}  // namespace

void Selector::load_mem(Op op, Reg dst, const VMem& m) {
  if (m.has_base) push(unsigned(op), {def(dst), use(m.base)});
  else push(unsigned(op), {def(dst)});
  cur_.back().b = uint32_t(mems_.size());
  mems_.push_back(m);
}

void Selector::store_mem(Op op, Source value, const VMem& to) {
  VMem m = to;
  m.zero_value = value.zero;
  if (value.zero && m.has_base) push(unsigned(op), {use(m.base)});
  else if (value.zero) push(unsigned(op), {});
  else if (m.has_base) push(unsigned(op), {use(value.reg), use(m.base)});
  else push(unsigned(op), {use(value.reg)});
  cur_.back().b = uint32_t(mems_.size());
  mems_.push_back(m);
}

VMem Selector::slot_mem(uint32_t slot, int32_t disp) const {
  VMem m = plain(Mem::Kind::slot, disp);
  m.id = slot;
  return m;
}

VMem Selector::reg_mem(Reg base, int32_t disp) const {
  VMem m = plain(Mem::Kind::base, disp);
  m.has_base = true;
  m.base = base;
  return m;
}

// The same place `by` bytes further on.
VMem Selector::offset(const VMem& m, int64_t by) {
  VMem r = m;
  if (by == 0) return r;
  if (m.kind == Mem::Kind::symbol || m.kind == Mem::Kind::thread) {
    const mir::Reference old = writer_->draft().references[m.id];
    r.id = writer_->add_reference(old.symbol, int32_t(old.addend + by), old.kind);
    return r;
  }
  const int64_t disp = m.disp + by;
  if (m.kind == Mem::Kind::base && !fits12(disp)) return reg_mem(plus_constant(m.base, disp));
  r.disp = int32_t(disp);
  return r;
}

void Selector::add_constant(Reg dst, Reg r, int64_t addend) {
  if (addend == 0) return copy(dst, r);
  if (fits12(addend)) return ri(Op::addi, dst, r, addend);
  Reg k = constant_reg(addend);
  rr(Op::add, dst, {r}, {k});
}

Reg Selector::plus_constant(Reg r, int64_t addend) {
  if (addend == 0) return r;
  Reg sum = gp(8);
  add_constant(sum, r, addend);
  return sum;
}

// The address of a symbol in a register.
Reg Selector::symbol_address(const air::Constant& c) {
  Reg r = gp(8);
  const int64_t addend = c.kind == ConstantKind::Symbol ? int64_t(c.bits) : 0;
  if (c.kind == ConstantKind::Symbol && module_->symbols[c.symbol].tls != air::TlsModel::none) {
    const mir::ReferenceKind kind = tls_kind(c);
    if (kind == mir::ReferenceKind::tls_general_dynamic) {
      has_calls_ = true;
      Reg a0{reg::a0};
      const uint32_t get_addr = runtime_reference(air::RuntimeFunction::tls_get_addr);
      push(unsigned(Op::tls_gd), {def(a0)}, reference(c, kind, 0), 0, clobber_call);
      cur_.back().b = get_addr;
      copy(r, a0);
      return plus_constant(r, addend);
    }
    const bool near = kind == mir::ReferenceKind::tls_local_exec && fits_reference(addend);
    push(unsigned(Op::tls_addr), {def(r)}, reference(c, kind, near ? addend : 0), vf::remat);
    return near ? r : plus_constant(r, addend);
  }
  if (reaches_directly(c)) {
    const bool near = fits_reference(addend);
    push(unsigned(Op::lea_ref), {def(r)}, reference(c, mir::ReferenceKind::direct, near ? addend : 0), vf::remat);
    return near ? r : plus_constant(r, addend);
  }
  // A GOT slot holds the symbol's plain address.
  push(unsigned(Op::lea_ref), {def(r)}, reference(c, mir::ReferenceKind::got, 0), vf::remat);
  return plus_constant(r, addend);
}

void Selector::lea(Reg dst, const VMem& m) {
  if (m.kind == Mem::Kind::base) add_constant(dst, m.base, m.disp);
  else if (m.kind == Mem::Kind::symbol) push(unsigned(Op::lea_ref), {def(dst)}, m.id);
  else load_mem(Op::lea, dst, m);
}

VMem Selector::address(ValueId pointer, int64_t disp) {
  ValueId at = pointer;
  for (int depth = 0; depth < 12; depth++) {
    if (const air::Constant* c = fn_->constant(at)) {
      const int64_t addend = int64_t(c->bits) + disp;
      if (c->kind == ConstantKind::Symbol && fits_reference(addend) && fits_reference(int64_t(c->bits))) {
        VMem m;
        if (reaches_directly(*c)) {
          m.kind = Mem::Kind::symbol;
          m.id = reference(*c, mir::ReferenceKind::direct, addend);
          return m;
        }
        if (module_->symbols[c->symbol].tls != air::TlsModel::none &&
            tls_kind(*c) == mir::ReferenceKind::tls_local_exec) {
          m.kind = Mem::Kind::thread;
          m.id = reference(*c, mir::ReferenceKind::tls_local_exec, addend);
          return m;
        }
      }
      break;
    }
    at = alias_of(at);
    const Inst* i = def_of(at);
    if (!i) break;
    if (i->op == AirOp::slot_addr) {
      VMem m = slot_mem(slots_[i->a]);
      m.disp = int32_t(disp);
      return m;
    }
    if (i->op == AirOp::inttoptr || i->op == AirOp::ptrtoint) {
      if (!fn_->constant(i->va())) break;
      at = i->va();
      continue;
    }
    if (i->op != AirOp::ptr_add || i->b != ~0u) break;
    // Somebody behind needs this address in a register: then it serves here as well.
    if (reg_[at.value].valid() && block_of_[fn_->values[at.value].index()] == cur_block_) break;
    const air::PtrAddParts parts = ptr_add_parts(*fn_, *i);
    int64_t total = 0;
    if (__builtin_add_overflow(disp, parts.offset, &total) || total > max_disp || total < -max_disp) break;
    // Beyond 12 bits only where the base is not a register, or nobody else reads the sum.
    if (!fits12(total)) {
      ValueId base = alias_of(i->va());
      const Inst* b = def_of(base);
      const bool place = fn_->constant(i->va()) || (b && b->op == AirOp::slot_addr);
      if (!place && !(b && b->op == AirOp::ptr_add && b->b == ~0u)) break;
    }
    disp = total;
    at = i->va();
  }
  Reg base = reg_of(at);
  return fits12(disp) ? reg_mem(base, int32_t(disp)) : reg_mem(plus_constant(base, disp));
}

// dst = index * scale
void Selector::load_scaled(Reg dst, ValueId index, int64_t scale) {
  if (scale == 1) return copy(dst, reg_of(index));
  const uint64_t magnitude = scale < 0 ? -uint64_t(scale) : uint64_t(scale);
  if (is_power_of_two(magnitude)) {
    Reg t = scale < 0 ? gp(8) : dst;
    const int shift = __builtin_ctzll(magnitude);
    // An extension from 32 bits is two shifts, of which the second may put the value where it is wanted.
    const Inst* d = def_of(index);
    const bool extends = d && d->op == AirOp::zext && !(d->flags & air::flags::non_negative) && single_use(index) &&
                         !reg_[index.value].valid() && type_of(d->va()) == TypeTable::i32 && shift < 32 &&
                         block_of_[fn_->values[index.value].index()] == cur_block_ &&
                         !fn_->constant(d->va()) && !(known_of(d->va()) & known_zero) && !can_fold_load(d->va());
    if (extends) {
      Reg high = gp(8);
      ri(Op::slli, high, reg_of(d->va()), 32);
      ri(Op::srli, t, high, 32 - shift);
    } else {
      ri(Op::slli, t, reg_of(index), shift);
    }
    if (scale < 0) rr(Op::sub, dst, {Reg{}, true}, {t});
    return;
  }
  Reg x = reg_of(index), k = constant_reg(scale);
  rr(Op::mul, dst, {x}, {k});
}

void Selector::select_ptr_add(const Inst& i) {
  Reg dst = result_reg(i.result);
  const air::PtrAddParts parts = ptr_add_parts(*fn_, i);
  int64_t constant;
  if (i.b != ~0u && int_constant(i.vb(), constant)) {
    int64_t total;
    if (!__builtin_mul_overflow(constant, parts.scale, &total) &&
        !__builtin_add_overflow(total, parts.offset, &total)) {
      add_constant(dst, reg_of(i.va()), total);
      return;
    }
  }
  if (i.b == ~0u) {
    if (parts.offset > max_disp || parts.offset < -max_disp) return add_constant(dst, reg_of(i.va()), parts.offset);
    const VMem m = address(i.va(), parts.offset);
    return lea(dst, m);
  }
  Reg scaled = parts.scale == 1 ? reg_of(i.vb()) : gp(8);
  if (parts.scale != 1) load_scaled(scaled, i.vb(), parts.scale);
  Reg base;
  if (parts.offset && (fits12(parts.offset) || fn_->constant(i.va()))) {
    // The offset joins the base where that costs nothing, else the sum.
    const Inst* d = def_of(alias_of(i.va()));
    if (fn_->constant(i.va()) || (d && d->op == AirOp::slot_addr && dies_here(i.va()))) {
      base = gp(8);
      lea(base, address(i.va(), parts.offset));
      rr(Op::add, dst, {base}, {scaled});
      return;
    }
  }
  base = reg_of(i.va());
  if (parts.offset == 0) return rr(Op::add, dst, {base}, {scaled});
  Reg sum = gp(8);
  rr(Op::add, sum, {base}, {scaled});
  add_constant(dst, sum, parts.offset);
}

// The only reader of the load v, in its block and with nothing between them that writes, may read memory itself.
bool Selector::can_fold_load(ValueId v) const {
  if (!single_use(v)) return false;
  const air::Value& x = fn_->values[v.value];
  if (x.kind() != air::ValueKind::Inst || reg_[v.value].valid()) return false;
  const Inst& i = fn_->insts[x.index()];
  if (i.op != AirOp::load || MemoryFlags::is_volatile(i.aux) ||
      MemoryFlags::ordering(i.aux) > air::AtomicOrdering::unordered)
    return false;
  return cur_inst_ < block_of_.size() && block_of_[x.index()] == block_of_[cur_inst_] &&
         epoch_[x.index()] == epoch_[cur_inst_];
}

void Selector::load_reg(Reg dst, TypeId type, const VMem& m, bool is_signed) {
  if (is_fp(type)) return load_mem(type == TypeTable::f32 ? Op::flw : Op::fld, dst, m);
  switch (bits_of(type)) {
    case 1: case 8: return load_mem(is_signed ? Op::lb : Op::lbu, dst, m);
    case 16: return load_mem(is_signed ? Op::lh : Op::lhu, dst, m);
    case 32: return load_mem(Op::lw, dst, m);
    default: return load_mem(Op::ld, dst, m);
  }
}

namespace {
Op store_op(unsigned bits) { return bits <= 8 ? Op::sb : bits == 16 ? Op::sh : bits == 32 ? Op::sw : Op::sd; }
}  // namespace

void Selector::store_reg(const VMem& m, TypeId type, Reg src) {
  if (is_fp(type)) return store_mem(type == TypeTable::f32 ? Op::fsw : Op::fsd, {src}, m);
  store_mem(store_op(bits_of(type)), {src}, m);
}

// Atomic accesses with fences, as the ISA manual maps C11's ("Code Porting and Mapping Guidelines").
void Selector::select_load(const Inst& i) {
  const air::AtomicOrdering o = MemoryFlags::ordering(i.aux);
  if (o == air::AtomicOrdering::seq_cst) fence(3, 3);
  load_reg(result_reg(i.result), i.type, address(i.va()));
  if (o == air::AtomicOrdering::acquire || o == air::AtomicOrdering::seq_cst) fence(2, 3);
}

void Selector::select_store(const Inst& i) {
  const TypeId type = type_of(i.vb());
  const air::AtomicOrdering o = MemoryFlags::ordering(i.aux);
  Source value;
  const air::Constant* c = fn_->constant(i.vb());
  Op op = is_fp(type) ? (type == TypeTable::f32 ? Op::fsw : Op::fsd) : store_op(bits_of(type));
  if (c && is_fp(type) && (c->kind != ConstantKind::Float || c->bits == 0)) {
    op = type == TypeTable::f32 ? Op::sw : Op::sd;
    value.zero = true;
  } else {
    value = source(i.vb());
  }
  const VMem m = address(i.va());
  if (o == air::AtomicOrdering::release || o == air::AtomicOrdering::seq_cst) fence(3, 1);
  store_mem(op, value, m);
  if (o == air::AtomicOrdering::seq_cst) fence(3, 3);
}

// ---- block memory ---------------------------------------------------------------------------------------------------

namespace {
constexpr unsigned most_moves = 16;

unsigned widest(uint64_t left, unsigned align) {
  unsigned w = align >= 8 ? 8 : align;
  while (w > left) w /= 2;
  return w;
}
unsigned moves(uint64_t size, unsigned align) {
  unsigned n = 0;
  for (uint64_t left = size; left && n <= most_moves; n++) left -= widest(left, align);
  return n;
}
Op load_op(unsigned bytes) { return bytes == 1 ? Op::lbu : bytes == 2 ? Op::lhu : bytes == 4 ? Op::lw : Op::ld; }
}  // namespace

void Selector::copy_block(const VMem& dst, const VMem& src, uint64_t size, unsigned align) {
  Reg regs[4];
  unsigned widths[4];
  for (uint64_t at = 0; at < size;) {
    // Groups of four keep the register pressure low; where source and destination may overlap there is one group.
    unsigned n = 0;
    uint64_t end = at;
    for (; n < 4 && end < size; n++) {
      widths[n] = widest(size - end, align);
      regs[n] = gp(8);
      load_mem(load_op(widths[n]), regs[n], offset(src, int64_t(end)));
      end += widths[n];
    }
    for (unsigned k = 0; k < n; k++) {
      store_mem(store_op(8 * widths[k]), {regs[k]}, offset(dst, int64_t(at)));
      at += widths[k];
    }
  }
}

void Selector::fill_block(const VMem& dst, uint64_t size, uint8_t byte, unsigned align) {
  Source value{Reg{}, true};
  if (byte) value = {constant_reg(int64_t(byte * 0x0101010101010101ull))};
  for (uint64_t at = 0; at < size;) {
    const unsigned w = widest(size - at, align);
    store_mem(store_op(8 * w), value, offset(dst, int64_t(at)));
    at += w;
  }
}

void Selector::select_block_memory(const Inst& i) {
  int64_t size;
  if (int_constant(i.vc(), size)) {
    if (size == 0) return;
    const unsigned align = 1u << std::min(MemoryFlags::align_log2(i.aux), 3u);
    const unsigned count = size > 0 && size <= 128 ? moves(uint64_t(size), align) : most_moves + 1;
    int64_t byte;
    if (i.op == AirOp::memset) {
      if (count <= most_moves && int_constant(i.vb(), byte))
        return fill_block(address(i.va()), uint64_t(size), uint8_t(byte), align);
    } else if (count <= (i.op == AirOp::memmove ? 4 : most_moves)) {
      const VMem dst = address(i.va()), src = address(i.vb());
      return copy_block(dst, src, uint64_t(size), align);
    }
  }
  Reg dst = reg_of(i.va()), n = zero_extended(i.vc());
  Reg second = i.op == AirOp::memset ? zero_extended(i.vb()) : reg_of(i.vb());
  const air::RuntimeFunction f = i.op == AirOp::memset ? air::RuntimeFunction::memset
                                 : i.op == AirOp::memcpy ? air::RuntimeFunction::memcpy : air::RuntimeFunction::memmove;
  call_runtime(f, {dst, second, n}, {}, Reg{});
}

void Selector::select_alloca(const Inst& i) {
  // sp -= size rounded up; the block starts above the outgoing argument area, which stays at the bottom of the frame.
  dynamic_frame_ = true;
  const uint64_t align = std::max<uint64_t>(uint64_t{1} << (i.aux & 31), 16);
  if (align > max_dynamic_align_) max_dynamic_align_ = uint32_t(align);
  Reg raised = gp(8), size = gp(8), result = result_reg(i.result);
  ri(Op::addi, raised, zero_extended(i.va()), 15);
  ri(Op::andi, size, raised, -16);
  if (fn_->flags & air::function_flags::probe_stack) {
    if (fn_->requests.probe_symbol.valid()) return fail("a stack that a function has to touch");
    push(p_probed_sub_sp, {use(size), def_early(gp(8)), def_early(gp(8))});
  } else {
    push(p_sub_sp, {use(size)});
  }
  if (align > 16) push(p_and_sp, {}, uint32_t(__builtin_ctzll(align)));
  load_mem(Op::lea, result, plain(Mem::Kind::dynamic_area, 0));
}

}  // namespace lode::riscv64
