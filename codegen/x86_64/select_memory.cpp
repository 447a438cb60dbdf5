// Addresses, loads, stores, block moves and atomics. See selector.h.
//
// An address is one memory operand: base + index * scale + displacement, a frame slot, or a symbol. address() folds
// chains of ptr_add into it. Folding a pure address computation with several readers is right on this machine: it costs
// no instruction at any of them. In position-independent code a symbol's operand is rip-relative and takes no
// registers.
#include "base/bytes.h"
#include "codegen/x86_64/selector.h"
#include "codegen/x86_64/widths.h"

namespace lode::x86_64 {

using air::ConstantKind;
using air::Inst;
using air::MemoryFlags;

namespace {
constexpr int64_t max_disp = 0x3fffffff;
}  // namespace

VMem Selector::slot_mem(uint32_t slot, int32_t disp) const {
  VMem m;
  m.kind = Mem::Kind::slot;
  m.id = slot;
  m.disp = disp;
  return m;
}
VMem Selector::reg_mem(Reg base, int32_t disp) const {
  VMem m;
  m.kind = Mem::Kind::base;
  m.has_base = true;
  m.base = base;
  m.disp = disp;
  return m;
}
VMem Selector::constants_mem(uint32_t offset) const {
  VMem m;
  m.kind = Mem::Kind::constants;
  m.id = offset;
  return m;
}
VMem Selector::offset(const VMem& m, int32_t by) {
  VMem r = m;
  r.disp += by;
  return r;
}

// r + addend in a register. Leaves the flags alone.
Reg Selector::plus_constant(Reg r, int64_t addend) {
  if (addend == 0) return r;
  Reg sum = gp(8);
  if (fits_signed(addend, 32)) {
    lea(sum, reg_mem(r, int32_t(addend)));
    return sum;
  }
  VMem m = reg_mem(r);
  m.has_index = true;
  m.index = constant_reg(uint64_t(addend), 64);
  lea(sum, m);
  return sum;
}

// The address of a symbol in a register.
Reg Selector::symbol_address(const air::Constant& c) {
  Reg r = gp(8);
  int64_t addend = c.kind == ConstantKind::Symbol ? int64_t(c.bits) : 0;
  if (c.kind == ConstantKind::Symbol && module_->symbols[c.symbol].tls != air::TlsModel::none) {
    const mir::ReferenceKind kind = tls_kind(c);
    if (kind == mir::ReferenceKind::tls_general_dynamic) {
      has_calls_ = true;
      Reg rax{0};
      uint32_t get_addr = writer_->add_reference(context_->runtime[unsigned(air::RuntimeFunction::tls_get_addr)], 0,
                                                 mir::ReferenceKind::call);
      emit(unsigned(Op::tls_gd), {def(rax)}, reference(c, kind, 0), 0, clobber_call);
      cur_.back().b = get_addr;
      copy(r, rax);
    } else {
      // The form for initial-exec adds, which changes flags: it may not be issued again just anywhere.
      emit(unsigned(Op::tls_addr), {def(r)}, reference(c, kind, 0),
           kind == mir::ReferenceKind::tls_local_exec ? codegen::vflags::remat : 0);
    }
    return plus_constant(r, addend);
  }
  if (reaches_directly(c)) {
    bool near = fits_reference(addend);
    emit(unsigned(Op::lea_ref), {def(r)}, reference(c, mir::ReferenceKind::direct, near ? addend : 0),
         codegen::vflags::remat);
    return near ? r : plus_constant(r, addend);
  }
  // A GOT slot holds the symbol's plain address.
  emit(unsigned(Op::lea_ref), {def(r)}, reference(c, mir::ReferenceKind::got, 0), codegen::vflags::remat);
  return plus_constant(r, addend);
}

void Selector::lea(Reg dst, const VMem& m) {
  if (m.kind == Mem::Kind::base && m.has_base && !m.has_index && m.disp == 0 && !m.segment) copy(dst, m.base);
  else emit_mem(unsigned(Op::lea64rm), {def(dst)}, m);
}

bool Selector::add_index(VMem& m, ValueId index, int64_t scale, int64_t& disp) {
  // An index that is itself x + constant or x << constant folds further.
  for (int depth = 0; depth < 3; depth++) {
    int64_t c;
    if (int_constant(index, c)) {
      int64_t total;
      if (__builtin_mul_overflow(c, scale, &total) || __builtin_add_overflow(disp, total, &total) ||
          !fits_signed(total, 30))
        break;
      disp = total;
      return true;
    }
    const Inst* i = def_of(alias_of(index));
    if (!i || bits_of(i->type) != 64) break;
    if (i->op == AirOp::add && int_constant(i->vb(), c)) {
      int64_t total;
      if (__builtin_mul_overflow(c, scale, &total) || __builtin_add_overflow(disp, total, &total) ||
          !fits_signed(total, 30))
        break;
      disp = total;
      index = i->va();
      continue;
    }
    if (i->op == AirOp::shl && single_use(index) && int_constant(i->vb(), c) && c >= 0 && c <= 3 && scale << c <= 8 &&
        scale > 0) {
      scale <<= c;
      index = i->va();
      continue;
    }
    break;
  }
  if (scale == 1 || scale == 2 || scale == 4 || scale == 8) {
    m.index = reg_of(index);
    m.scale_log2 = uint8_t(__builtin_ctzll(uint64_t(scale)));
  } else {
    Reg x = reg_of(index), t = gp(8);
    int64_t low = scale & -scale;
    if (scale > 0 && low <= 8 && (scale / low == 3 || scale / low == 5 || scale / low == 9)) {
      VMem part;
      part.kind = Mem::Kind::base;
      part.has_base = part.has_index = true;
      part.base = part.index = x;
      part.scale_log2 = scale / low == 3 ? 1 : scale / low == 5 ? 2 : 3;
      emit_mem(unsigned(Op::lea64rm), {def(t)}, part);
      m.scale_log2 = uint8_t(__builtin_ctzll(uint64_t(low)));
    } else if (scale > 0 && is_power_of_two(uint64_t(scale))) {
      copy(t, x);
      emit_imm(unsigned(Op::shl64ri), {mod(t)}, int32_t(__builtin_ctzll(uint64_t(scale))));
    } else if (fits_signed(scale, 32)) {
      emit_imm(unsigned(Op::imul64rri), {def(t), use_slot(x, 8)}, int32_t(scale));
    } else {
      Reg s = constant_reg(uint64_t(scale), 64);
      copy(t, x);
      emit(unsigned(Op::imul64rr), {mod(t), use(s)});
    }
    m.index = t;
  }
  m.has_index = true;
  return true;
}

VMem Selector::address(ValueId pointer, int64_t disp) {
  VMem m;
  m.kind = Mem::Kind::base;
  ValueId at = pointer;
  for (int depth = 0; depth < 12; depth++) {
    if (const air::Constant* c = fn_->constant(at)) {
      if (symbol_is_direct(*c)) {
        int64_t addend = int64_t(c->bits) + disp;
        bool room = fits_reference(addend);
        if (room && (!m.has_index || !context_->options.pic)) {
          m.kind = Mem::Kind::symbol;
          m.id = reference(*c, mir::ReferenceKind::direct, addend);
          m.disp = 0;
          return m;
        }
        break;
      }
      int64_t value;
      if ((c->kind == ConstantKind::Int || c->kind == ConstantKind::Zero) && int_constant(at, value) &&
          fits_signed(value + disp, 31)) {
        m.kind = Mem::Kind::absolute;
        m.disp = int32_t(value + disp);
        return m;
      }
      break;
    }
    at = alias_of(at);
    const Inst* i = def_of(at);
    if (!i) break;
    if (i->op == AirOp::slot_addr) {
      m.kind = Mem::Kind::slot;
      m.id = slots_[i->a];
      m.disp = int32_t(disp);
      return m;
    }
    if (i->op == AirOp::inttoptr || i->op == AirOp::ptrtoint) {
      if (!fn_->constant(i->va())) break;
      at = i->va();
      continue;
    }
    if (i->op != AirOp::ptr_add) break;
    // Somebody behind needs this address in a register (a loop's next iteration, say): then it serves here as well, and
    // what it was made from may end.
    if (reg_[at.value].valid() && block_of_[fn_->values[at.value].index()] == cur_block_) break;
    air::PtrAddParts parts = ptr_add_parts(*fn_, *i);
    int64_t total = 0;
    if (__builtin_add_overflow(disp, parts.offset, &total) || !fits_signed(total, 30)) break;
    if (i->b != ~0u) {
      bool plain = parts.scale == 1 || parts.scale == 2 || parts.scale == 4 || parts.scale == 8;
      int64_t constant;
      bool is_constant = int_constant(i->vb(), constant);
      if (m.has_index && !is_constant) break;
      if (!plain && !is_constant && !single_use(at)) break;
      if (!add_index(m, i->vb(), parts.scale, total)) break;
      if (!fits_signed(total, 30)) break;
    }
    disp = total;
    at = i->va();
  }
  if (disp > max_disp || disp < -max_disp) {
    Reg base = reg_of(pointer);
    return reg_mem(base, 0);
  }
  m.base = reg_of(at);
  m.has_base = true;
  m.disp = int32_t(disp);
  return m;
}

void Selector::select_ptr_add(const Inst& i) {
  Reg dst = result_reg(i.result);
  air::PtrAddParts parts = ptr_add_parts(*fn_, i);
  if (i.b == ~0u && dies_here(i.va()) && !fn_->constant(i.va()) && fits_signed(parts.offset, 32) && parts.offset) {
    const Inst* base = def_of(alias_of(i.va()));
    if (!base || (base->op != AirOp::ptr_add && base->op != AirOp::slot_addr)) {
      copy(dst, reg_of(i.va()));
      emit_imm(unsigned(Op::add64ri), {mod_slot(dst, 8)}, int32_t(parts.offset));
      return;
    }
  }
  // The offset may not fit a displacement; then it is added through a register.
  if (!fits_signed(parts.offset, 30)) {
    Reg t = constant_reg(uint64_t(parts.offset), 64);
    VMem m;
    m.kind = Mem::Kind::base;
    int64_t disp = 0;
    if (i.b != ~0u) add_index(m, i.vb(), parts.scale, disp);
    m.base = reg_of(i.va());
    m.has_base = true;
    m.disp = int32_t(disp);
    Reg sum = gp(8);
    lea(sum, m);
    copy(dst, sum);
    emit(unsigned(Op::add64rr), {mod(dst), use(t)});
    return;
  }
  VMem m;
  m.kind = Mem::Kind::base;
  int64_t disp = parts.offset;
  if (i.b != ~0u) add_index(m, i.vb(), parts.scale, disp);
  VMem base = address(i.va(), disp);
  if (m.has_index) {
    bool room = !base.has_index && !(base.kind == Mem::Kind::symbol && context_->options.pic) &&
                base.kind != Mem::Kind::constants;
    if (!room) {
      Reg b = gp(8);
      lea(b, base);
      base = reg_mem(b, 0);
    }
    base.has_index = true;
    base.index = m.index;
    base.scale_log2 = m.scale_log2;
  }
  if (base.kind == Mem::Kind::base && base.has_base && base.has_index && base.scale_log2 == 0 && base.disp == 0) {
    // Two addends: an add when one of them ends here.
    bool base_dies = dies_here(i.va()), index_dies = i.b != ~0u && dies_here(i.vb());
    if (base_dies != index_dies && base.base.value != base.index.value) {
      if (index_dies) std::swap(base.base, base.index);
      copy(dst, base.base);
      emit(unsigned(Op::add64rr), {mod(dst), use_slot(base.index, 8)});
      return;
    }
  }
  lea(dst, base);
}

bool Selector::can_fold_load(ValueId v, unsigned bits) const {
  if (!single_use(v)) return false;
  const air::Value& x = fn_->values[v.value];
  if (x.kind() != air::ValueKind::Inst) return false;
  const Inst& i = fn_->insts[x.index()];
  if (i.op != AirOp::load || MemoryFlags::is_volatile(i.aux) ||
      MemoryFlags::ordering(i.aux) > air::AtomicOrdering::unordered)
    return false;
  if (cur_inst_ >= block_of_.size() || block_of_[x.index()] != block_of_[cur_inst_] ||
      epoch_[x.index()] != epoch_[cur_inst_])
    return false;
  if (reg_[v.value].valid()) return false;
  unsigned width = i.type == TypeTable::f80   ? 80
                   : i.type == TypeTable::f32 ? 32
                   : i.type == TypeTable::f64 ? 64
                   : is_fp(i.type)            ? 128
                   : bits_of(i.type) == 1     ? 8
                                              : bits_of(i.type);
  return width == (bits == 1 ? 8 : bits);
}

void Selector::load_reg(Reg dst, TypeId type, const VMem& m) {
  Op op;
  if (type == TypeTable::f32) op = Op::movss_rm;
  else if (type == TypeTable::f64) op = Op::movsd_rm;
  else if (type == TypeTable::v256) op = Op::vmovups256_rm;
  else if (is_fp(type)) op = Op::movups_rm;
  else
    switch (bits_of(type)) {
      case 1: case 8: op = Op::movzx32rm8; break;
      case 16: op = Op::movzx32rm16; break;
      case 32: op = Op::mov32rm; break;
      default: op = Op::mov64rm; break;
    }
  emit_mem(unsigned(op), {def(dst)}, m);
}

void Selector::store_reg(const VMem& m, TypeId type, Reg src) {
  Op op;
  if (type == TypeTable::f32) op = Op::movss_mr;
  else if (type == TypeTable::f64) op = Op::movsd_mr;
  else if (type == TypeTable::v256) op = Op::vmovups256_mr;
  else if (is_fp(type)) op = Op::movups_mr;
  else op = width_op(mov_mr, bits_of(type));
  emit_mem(unsigned(op), {use(src)}, m);
}

void Selector::select_load(const Inst& i) {
  if (i.type == TypeTable::f80) {
    emit_mem(unsigned(Op::fld80m), {}, address(i.va()));
    store_f80(i.result);
    return;
  }
  load_reg(result_reg(i.result), i.type, address(i.va()));
}

// store(p, op(load(p), x)) as one instruction.
bool Selector::store_in_place(const Inst& i, unsigned bits) {
  ValueId value = alias_of(i.vb());
  if (value != i.vb() || !single_use(value)) return false;
  const air::Value& x = fn_->values[value.value];
  if (x.kind() != air::ValueKind::Inst || reg_[value.value].valid()) return false;
  const Inst& op = fn_->insts[x.index()];
  bool commutes = true;
  const Op *mr = nullptr, *mi = nullptr;
  switch (op.op) {
    case AirOp::add: mr = add_mr; mi = add_mi; break;
    case AirOp::sub: mr = sub_mr; mi = sub_mi; commutes = false; break;
    case AirOp::and_: mr = and_mr; mi = and_mi; break;
    case AirOp::or_: mr = or_mr; mi = or_mi; break;
    case AirOp::xor_: mr = xor_mr; mi = xor_mi; break;
    default: return false;
  }
  if (bits == 1) return false;
  auto in_place = [&](ValueId v) {
    if (!can_fold_load(v, bits)) return false;
    return alias_of(def_of(v)->va()) == alias_of(i.va());
  };
  ValueId other;
  if (in_place(op.va())) other = op.vb();
  else if (commutes && in_place(op.vb())) other = op.va();
  else return false;
  int32_t imm;
  if (imm32(other, imm)) {
    VMem m = address(i.va());
    emit_mem(unsigned(width_op(mi, bits)), {}, m, uint32_t(imm));
  } else {
    Reg r = reg_of(other);
    VMem m = address(i.va());
    emit_mem(unsigned(width_op(mr, bits)), {use(r)}, m);
  }
  return true;
}

void Selector::select_store(const Inst& i) {
  TypeId type = type_of(i.vb());
  if (type == TypeTable::f80) {
    VMem m = address(i.va());
    load_f80(i.vb());
    emit_mem(unsigned(Op::fstp80m), {}, m);
    return;
  }
  bool seq_cst = MemoryFlags::ordering(i.aux) == air::AtomicOrdering::seq_cst;
  if (is_fp(type)) {
    const air::Constant* c = fn_->constant(i.vb());
    bool zero = c && (c->kind == ConstantKind::Zero || c->kind == ConstantKind::Undef);
    if (c && (type == TypeTable::f32 || type == TypeTable::f64) && (zero || c->kind == ConstantKind::Float)) {
      uint64_t bits = zero ? 0 : c->bits;
      if (type == TypeTable::f32) {
        emit_mem(unsigned(Op::mov32mi), {}, address(i.va()), uint32_t(bits));
      } else if (fits_signed(int64_t(bits), 32)) {
        emit_mem(unsigned(Op::mov64mi), {}, address(i.va()), uint32_t(bits));
      } else {
        Reg r = constant_reg(bits, 64);
        emit_mem(unsigned(Op::mov64mr), {use(r)}, address(i.va()));
      }
    } else {
      Reg r = reg_of(i.vb());
      store_reg(address(i.va()), type, r);
    }
    if (seq_cst) emit(unsigned(Op::mfence), {});
    return;
  }
  unsigned bits = bits_of(type);
  if (seq_cst) {
    Reg r = reg_of(i.vb()), t = gp(bits == 64 ? 8 : 4);
    VMem m = address(i.va());
    copy(t, r);
    emit_mem(unsigned(width_op(xchg_mr, bits)), {mod(t)}, m);
    return;
  }
  if (!MemoryFlags::is_volatile(i.aux) && MemoryFlags::ordering(i.aux) == air::AtomicOrdering::not_atomic &&
      store_in_place(i, bits))
    return;
  int32_t imm;
  if (imm32(i.vb(), imm)) {
    if (bits == 1) imm &= 1;
    emit_mem(unsigned(width_op(mov_mi, bits)), {}, address(i.va()), uint32_t(imm));
    return;
  }
  Reg r = reg_of(i.vb());
  emit_mem(unsigned(width_op(mov_mr, bits)), {use(r)}, address(i.va()));
}

// ---- block memory ---------------------------------------------------------------------------------------------------

namespace {
struct Piece {
  uint32_t offset, bytes;
};
// Moves of at most `widest` (16 or 8), and 4, 2, 1 bytes that cover `size`; the last ones overlap where that saves a
// move.
unsigned pieces_of(uint64_t size, uint32_t widest, Piece* out) {
  unsigned n = 0;
  uint32_t at = 0, left = uint32_t(size);
  while (left) {
    uint32_t w = left >= widest ? widest : left >= 8 ? 8 : left >= 4 ? 4 : left >= 2 ? 2 : 1;
    if (w < widest && left != w && size >= 2 * w) {  // one wider move that ends at the end
      uint32_t wide = 2 * w;
      while (wide < left) wide *= 2;
      if (wide <= widest && wide <= size) {
        out[n++] = {uint32_t(size) - wide, wide};
        return n;
      }
    }
    out[n++] = {at, w};
    at += w;
    left -= w;
  }
  return n;
}
}  // namespace

void Selector::copy_block(const VMem& dst, const VMem& src, uint64_t size) {
  Piece pieces[64];
  unsigned n = pieces_of(size, implicit_sse_ ? 16 : 8, pieces);
  Reg regs[64];
  // Groups of four keep the register pressure low; the callers use more only when source and destination do not
  // overlap.
  for (unsigned k = 0; k < n; k += 4) {
    for (unsigned j = k; j < n && j < k + 4; j++) {
      const Piece& p = pieces[j];
      regs[j] = p.bytes == 16 ? fp(16) : gp(p.bytes == 8 ? 8 : 4);
      Op op = p.bytes == 16  ? Op::movups_rm
              : p.bytes == 8 ? Op::mov64rm
              : p.bytes == 4 ? Op::mov32rm
              : p.bytes == 2 ? Op::movzx32rm16
                             : Op::movzx32rm8;
      emit_mem(unsigned(op), {def(regs[j])}, offset(src, int32_t(p.offset)));
    }
    for (unsigned j = k; j < n && j < k + 4; j++) {
      const Piece& p = pieces[j];
      Op op = p.bytes == 16 ? Op::movups_mr : width_op(mov_mr, p.bytes * 8);
      emit_mem(unsigned(op), {use(regs[j])}, offset(dst, int32_t(p.offset)));
    }
  }
}

void Selector::fill_block(const VMem& dst, uint64_t size, uint8_t byte) {
  Piece pieces[64];
  unsigned n = pieces_of(size, implicit_sse_ ? 16 : 8, pieces);
  uint64_t pattern = byte * 0x0101010101010101ull;
  Reg wide{}, eight{};
  for (unsigned k = 0; k < n; k++) {
    const Piece& p = pieces[k];
    VMem m = offset(dst, int32_t(p.offset));
    if (p.bytes == 16) {
      if (!wide.valid()) {
        wide = fp(16);
        if (byte == 0) {
          emit(p_zero_fp, {def(wide)}, 0, codegen::vflags::remat);
        } else {
          uint8_t bytes[16];
          for (uint8_t& b : bytes) b = byte;
          emit_mem(unsigned(Op::movaps_rm), {def(wide)}, constants_mem(writer_->add_constant(bytes, 16)));
        }
      }
      emit_mem(unsigned(Op::movups_mr), {use(wide)}, m);
    } else if (p.bytes == 8 && !fits_signed(int64_t(pattern), 32)) {
      if (!eight.valid()) eight = constant_reg(pattern, 64);
      emit_mem(unsigned(Op::mov64mr), {use(eight)}, m);
    } else {
      emit_mem(unsigned(width_op(mov_mi, p.bytes * 8)), {}, m,
               uint32_t(p.bytes == 8 ? pattern : pattern & ((uint64_t{1} << p.bytes * 8) - 1)));
    }
  }
}

void Selector::select_block_memory(const Inst& i) {
  int64_t size;
  if (int_constant(i.vc(), size)) {
    if (size == 0) return;
    int64_t byte;
    if (i.op == AirOp::memset && size > 0 && size <= 128 && int_constant(i.vb(), byte)) {
      fill_block(address(i.va()), uint64_t(size), uint8_t(byte));
      return;
    }
    // memmove: everything is loaded before anything is stored, so no more than four moves.
    if (i.op != AirOp::memset && size > 0 && size <= (i.op == AirOp::memmove ? 64 : 128)) {
      Piece pieces[64];
      if (i.op == AirOp::memcpy || pieces_of(uint64_t(size), implicit_sse_ ? 16 : 8, pieces) <= 4) {
        VMem dst = address(i.va()), src = address(i.vb());
        copy_block(dst, src, uint64_t(size));
        return;
      }
    }
  }
  Reg dst = reg_of(i.va()), n = zero_extended(i.vc(), 64);
  Reg second = i.op == AirOp::memset ? zero_extended(i.vb(), 32) : reg_of(i.vb());
  air::RuntimeFunction f = i.op == AirOp::memset ? air::RuntimeFunction::memset
                           : i.op == AirOp::memcpy ? air::RuntimeFunction::memcpy : air::RuntimeFunction::memmove;
  call_runtime(f, {dst, second, n}, {}, Reg{});
}

// ---- atomics --------------------------------------------------------------------------------------------------------

void Selector::select_atomic(const Inst& i) {
  TypeId type = type_of(i.vb());
  unsigned bits = bits_of(type);
  bool wanted = is_wanted(i.result);
  air::RmwOp op = MemoryFlags::rmw(i.aux);
  auto plain = [&](const Op* mr, const Op* mi) {
    int32_t imm;
    if (imm32(i.vb(), imm)) emit_mem(unsigned(width_op(mi, bits)), {}, address(i.va()), uint32_t(imm));
    else {
      Reg r = reg_of(i.vb());
      emit_mem(unsigned(width_op(mr, bits)), {use(r)}, address(i.va()));
    }
  };
  switch (op) {
    case air::RmwOp::xchg: {
      Reg dst = wanted ? result_reg(i.result) : gp(bits == 64 ? 8 : 4);
      Reg r = reg_of(i.vb());
      VMem m = address(i.va());
      copy(dst, r);
      emit_mem(unsigned(width_op(xchg_mr, bits)), {mod(dst)}, m);
      return;
    }
    case air::RmwOp::add: case air::RmwOp::sub: {
      if (!wanted) return op == air::RmwOp::add ? plain(lock_add_mr, lock_add_mi) : plain(lock_sub_mr, lock_sub_mi);
      Reg dst = result_reg(i.result);
      Reg r = reg_of(i.vb());
      VMem m = address(i.va());
      copy(dst, r);
      if (op == air::RmwOp::sub) emit(unsigned(bits == 64 ? Op::neg64r : Op::neg32r), {mod(dst)});
      emit_mem(unsigned(width_op(lock_xadd_mr, bits)), {mod(dst)}, m);
      return;
    }
    case air::RmwOp::and_: if (!wanted) return plain(lock_and_mr, lock_and_mi); break;
    case air::RmwOp::or_: if (!wanted) return plain(lock_or_mr, lock_or_mi); break;
    case air::RmwOp::xor_: if (!wanted) return plain(lock_xor_mr, lock_xor_mi); break;
    default: break;
  }
  fail("an atomic operation of this kind");
}

void Selector::select_cmpxchg(const Inst& i) {
  unsigned bits = bits_of(type_of(i.vb()));
  Reg rax{0};
  Reg expected = reg_of(i.vb()), replacement = reg_of(i.vc());
  VMem m = address(i.va());
  copy(rax, expected);
  emit_mem(unsigned(width_op(lock_cmpxchg_mr, bits)), {mod(rax), late(replacement)}, m);
  uint32_t first = i.result.valid() ? leaf_first_[i.result.value] : ~0u;
  if (first == ~0u) return;
  Reg old = leaves_[first].reg, success = leaves_[first + 1].reg;
  if (success.valid()) emit(with_cond(Op::setcc8r, Cond::e), {def(success)});
  if (old.valid()) copy(old, rax);
  else emit(p_nothing, {use(rax)});
}

void Selector::select_alloca(const Inst& i) {
  // rsp -= size rounded up; the block starts above the outgoing argument area, which stays at the bottom of the frame.
  dynamic_frame_ = true;
  uint64_t align = uint64_t{1} << (i.aux & 31);
  if (align < 16) align = 16;
  if (align > max_dynamic_align_) max_dynamic_align_ = uint32_t(align);
  Reg size = gp(8), result = result_reg(i.result);
  VMem rounded = reg_mem(zero_extended(i.va(), 64), 15);
  emit_mem(unsigned(Op::lea64rm), {def(size)}, rounded);
  emit_imm(unsigned(Op::and64ri), {mod(size)}, -16);
  const uint32_t mask = align > 16 ? uint32_t(-int32_t(align)) : 0;
  const bool probed = fn_->flags & air::function_flags::probe_stack;
  if (probed && !fn_->requests.probe_symbol.valid()) {
    emit(p_probed_sub_rsp, {use(size), def_early(gp(8))}, mask);
  } else {
    Reg rax{0}, by = probed ? rax : size;
    if (probed) {  // by a function that gets the size in rax and changes no register
      has_calls_ = true;
      copy(rax, size);
      emit(unsigned(Op::call_ref), {use(rax)}, probe_reference());
    }
    emit(p_sub_rsp, {use(by)});
    if (mask) emit(p_and_rsp, {}, mask);
  }
  emit(p_outgoing_end, {def(result)}, uint32_t(align));
}

}  // namespace lode::x86_64
