// Vectors: the operations of simd_ops.def, each an instruction of SSE2. One row an operation.
#include "base/bytes.h"
#include "codegen/air/simd.h"
#include "codegen/x86_64/selector.h"
#include "codegen/x86_64/vex_forms.h"

namespace lode::x86_64 {

using air::Inst;
using air::SimdOp;
using air::ValueId;

namespace {

enum class Kind : uint8_t {
  two,        // dst = dst op src
  one,        // dst = op src; both with the immediate where the instruction has one
  shift,      // dst = dst op immediate
  move,       // the same register, read as something else
  from_gp,    // dst = op general register
  to_gp,      // general register = op src
  to_gp_imm,
  insert,     // dst = dst with a general register at the immediate's place
  own,        // select_halves(), select_simd3()
};
struct Row {
  SimdOp op;
  Op rr, rm;  // rm: count_ where there is none
  Kind kind;
  uint8_t width;  // bytes of a memory operand that may be folded; 0: none
};

constexpr Op none = Op::count_;
#define TWO(simd, name) {SimdOp::simd, Op::name##_rr, Op::name##_rm, Kind::two, 16}
#define ONE(simd, name) {SimdOp::simd, Op::name##_rr, Op::name##_rm, Kind::one, 16}
#define SHIFT(simd, name) {SimdOp::simd, Op::name##_ri, none, Kind::shift, 0}
#define VARY(simd, name) {SimdOp::simd, Op::v##name##_rrr, Op::v##name##_rrm, Kind::two, 16}
// In the order of simd_ops.def.
constexpr Row rows[] = {
    TWO(add_8, paddb),
    TWO(add_16, paddw),
    TWO(add_32, paddd),
    TWO(add_64, paddq),
    TWO(sub_8, psubb),
    TWO(sub_16, psubw),
    TWO(sub_32, psubd),
    TWO(sub_64, psubq),
    TWO(mul_16, pmullw),
    TWO(mul_even_32, pmuludq),
    TWO(and_, pand),
    TWO(or_, por),
    TWO(xor_, pxor),
    TWO(andnot, pandn),
    TWO(uadd_sat_8, paddusb),
    TWO(uadd_sat_16, paddusw),
    TWO(sadd_sat_8, paddsb),
    TWO(sadd_sat_16, paddsw),
    TWO(usub_sat_8, psubusb),
    TWO(usub_sat_16, psubusw),
    TWO(ssub_sat_8, psubsb),
    TWO(ssub_sat_16, psubsw),
    TWO(umin_8, pminub),
    TWO(umax_8, pmaxub),
    TWO(smin_16, pminsw),
    TWO(smax_16, pmaxsw),
    TWO(eq_8, pcmpeqb),
    TWO(eq_16, pcmpeqw),
    TWO(eq_32, pcmpeqd),
    TWO(sgt_8, pcmpgtb),
    TWO(sgt_16, pcmpgtw),
    TWO(sgt_32, pcmpgtd),
    {SimdOp::fcmp_32, Op::cmpps_rri, Op::cmpps_rmi, Kind::two, 16},
    {SimdOp::fcmp_64, Op::cmppd_rri, Op::cmppd_rmi, Kind::two, 16},
    SHIFT(shl_16, psllw),
    SHIFT(shl_32, pslld),
    SHIFT(shl_64, psllq),
    SHIFT(lshr_16, psrlw),
    SHIFT(lshr_32, psrld),
    SHIFT(lshr_64, psrlq),
    SHIFT(ashr_16, psraw),
    SHIFT(ashr_32, psrad),
    TWO(shl_by_16, psllw),
    TWO(shl_by_32, pslld),
    TWO(shl_by_64, psllq),
    TWO(lshr_by_16, psrlw),
    TWO(lshr_by_32, psrld),
    TWO(lshr_by_64, psrlq),
    TWO(ashr_by_16, psraw),
    TWO(ashr_by_32, psrad),
    SHIFT(shift_up, pslldq),
    SHIFT(shift_down, psrldq),
    TWO(fadd_32, addps),
    TWO(fadd_64, addpd),
    TWO(fsub_32, subps),
    TWO(fsub_64, subpd),
    TWO(fmul_32, mulps),
    TWO(fmul_64, mulpd),
    TWO(fdiv_32, divps),
    TWO(fdiv_64, divpd),
    ONE(fsqrt_32, sqrtps),
    ONE(fsqrt_64, sqrtpd),
    ONE(sitofp_32, cvtdq2ps),
    {SimdOp::sitofp_32_64, Op::cvtdq2pd_rr, none, Kind::one, 0},
    ONE(fptosi_32, cvttps2dq),
    ONE(fptosi_64_32, cvttpd2dq),
    {SimdOp::fpext_32_64, Op::cvtps2pd_rr, none, Kind::one, 0},
    ONE(fptrunc_64_32, cvtpd2ps),
    {SimdOp::shuffle_32, Op::pshufd_rri, Op::pshufd_rmi, Kind::one, 16},
    {SimdOp::shuffle_low_16, Op::pshuflw_rri, Op::pshuflw_rmi, Kind::one, 16},
    {SimdOp::shuffle_high_16, Op::pshufhw_rri, Op::pshufhw_rmi, Kind::one, 16},
    {SimdOp::shuffle_two_32, Op::shufps_rri, Op::shufps_rmi, Kind::two, 16},
    {SimdOp::shuffle_two_64, Op::shufpd_rri, Op::shufpd_rmi, Kind::two, 16},
    TWO(interleave_low_8, punpcklbw),
    TWO(interleave_low_16, punpcklwd),
    TWO(interleave_low_32, punpckldq),
    TWO(interleave_low_64, punpcklqdq),
    TWO(interleave_high_8, punpckhbw),
    TWO(interleave_high_16, punpckhwd),
    TWO(interleave_high_32, punpckhdq),
    TWO(interleave_high_64, punpckhqdq),
    {SimdOp::low_32_of, Op::movss_rr, none, Kind::two, 0},
    {SimdOp::low_64_of, Op::movsd_rr, none, Kind::two, 0},
    TWO(narrow_signed_32, packssdw),
    TWO(narrow_signed_16, packsswb),
    TWO(narrow_unsigned_16, packuswb),
    {SimdOp::from_i32, Op::movd_xr, none, Kind::from_gp, 0},
    {SimdOp::from_i64, Op::movq_xr, none, Kind::from_gp, 0},
    {SimdOp::from_f32, none, none, Kind::move, 0},
    {SimdOp::from_f64, none, none, Kind::move, 0},
    {SimdOp::to_i32, Op::movd_rx, none, Kind::to_gp, 0},
    {SimdOp::to_i64, Op::movq_rx, none, Kind::to_gp, 0},
    {SimdOp::to_f32, none, none, Kind::move, 0},
    {SimdOp::to_f64, none, none, Kind::move, 0},
    {SimdOp::extract_16, Op::pextrw_rxi, none, Kind::to_gp_imm, 0},
    {SimdOp::insert_16, Op::pinsrw_xri, none, Kind::insert, 0},
    {SimdOp::sign_mask_8, Op::pmovmskb_rx, none, Kind::to_gp, 0},
    {SimdOp::sign_mask_32, Op::movmskps_rx, none, Kind::to_gp, 0},
    {SimdOp::sign_mask_64, Op::movmskpd_rx, none, Kind::to_gp, 0},
    {SimdOp::low_half, none, none, Kind::own, 0},
    {SimdOp::high_half, none, none, Kind::own, 0},
    {SimdOp::join, none, none, Kind::own, 0},
    {SimdOp::permute_64, Op::vpermq256_rri, Op::vpermq256_rmi, Kind::one, 16},
    {SimdOp::permute_128, Op::vperm2f128256_rrri, Op::vperm2f128256_rrmi, Kind::two, 16},
    {SimdOp::permute_32, none, none, Kind::own, 0},
    {SimdOp::broadcast_8, Op::vpbroadcastb256_rr, none, Kind::one, 0},
    {SimdOp::broadcast_16, Op::vpbroadcastw256_rr, none, Kind::one, 0},
    {SimdOp::broadcast_32, Op::vpbroadcastd256_rr, none, Kind::one, 0},
    {SimdOp::broadcast_64, Op::vpbroadcastq256_rr, none, Kind::one, 0},
    {SimdOp::zext_8_16, Op::pmovzxbw_rr, none, Kind::one, 0},
    {SimdOp::zext_8_32, Op::pmovzxbd_rr, none, Kind::one, 0},
    {SimdOp::zext_8_64, Op::pmovzxbq_rr, none, Kind::one, 0},
    {SimdOp::zext_16_32, Op::pmovzxwd_rr, none, Kind::one, 0},
    {SimdOp::zext_16_64, Op::pmovzxwq_rr, none, Kind::one, 0},
    {SimdOp::zext_32_64, Op::pmovzxdq_rr, none, Kind::one, 0},
    {SimdOp::sext_8_16, Op::pmovsxbw_rr, none, Kind::one, 0},
    {SimdOp::sext_8_32, Op::pmovsxbd_rr, none, Kind::one, 0},
    {SimdOp::sext_8_64, Op::pmovsxbq_rr, none, Kind::one, 0},
    {SimdOp::sext_16_32, Op::pmovsxwd_rr, none, Kind::one, 0},
    {SimdOp::sext_16_64, Op::pmovsxwq_rr, none, Kind::one, 0},
    {SimdOp::sext_32_64, Op::pmovsxdq_rr, none, Kind::one, 0},
    {SimdOp::blend_8, none, none, Kind::own, 0},
    {SimdOp::fma_32, none, none, Kind::own, 0},
    {SimdOp::fma_64, none, none, Kind::own, 0},
    TWO(mul_32, pmulld),
    TWO(eq_64, pcmpeqq),
    TWO(sgt_64, pcmpgtq),
    TWO(smin_8, pminsb),
    TWO(smax_8, pmaxsb),
    TWO(umin_16, pminuw),
    TWO(umax_16, pmaxuw),
    TWO(smin_32, pminsd),
    TWO(smax_32, pmaxsd),
    TWO(umin_32, pminud),
    TWO(umax_32, pmaxud),
    ONE(abs_8, pabsb),
    ONE(abs_16, pabsw),
    ONE(abs_32, pabsd),
    TWO(narrow_unsigned_32, packusdw),
    TWO(bytes_by, pshufb),
    VARY(shl_lanes_32, psllvd),
    VARY(shl_lanes_64, psllvq),
    VARY(lshr_lanes_32, psrlvd),
    VARY(lshr_lanes_64, psrlvq),
    VARY(ashr_lanes_32, psravd),
    {SimdOp::round_32, Op::roundps_rri, Op::roundps_rmi, Kind::one, 16},
    {SimdOp::round_64, Op::roundpd_rri, Op::roundpd_rmi, Kind::one, 16},
    TWO(avg_8, pavgb),
    TWO(avg_16, pavgw),
    TWO(mulh_16, pmulhw),
    TWO(umulh_16, pmulhuw),
    TWO(madd_16, pmaddwd),
    TWO(sad_8, psadbw),
};
constexpr bool in_order() {
  for (unsigned k = 0; k < sizeof(rows) / sizeof(rows[0]); k++)
    if (unsigned(rows[k].op) != k) return false;
  return true;
}
static_assert(in_order());

}  // namespace

// What the instruction may read from memory itself: without AVX its sixteen bytes have to be aligned.
bool Selector::folds_vector(ValueId v) const {
  if (const air::Constant* c = fn_->constant(v))
    return c->kind == air::ConstantKind::WideFloat && air::is_simd(c->type);
  const unsigned bits = type_of(v) == TypeTable::v256 ? 256 : 128;
  return can_fold_load(v, bits) && (avx_ || air::MemoryFlags::align_log2(def_of(v)->aux) >= 4);
}

VMem Selector::vector_memory(ValueId v) {
  const air::Constant* c = fn_->constant(v);
  if (!c) return fold_load(v);
  const unsigned words = c->type == TypeTable::v256 ? 8 : 4;
  uint8_t bytes[32];
  for (unsigned k = 0; k < words; k++) store_le<uint32_t>(bytes + 4 * k, fn_->extra[c->bits + k]);
  return constants_mem(writer_->add_constant({bytes, 4 * words}, 4 * words));
}

// The two halves of a v256, and what puts them together; lanes by numbers, whose operands stand the other way round.
bool Selector::select_halves(const Inst& i) {
  Reg dst = result_reg(i.result);
  switch (air::simd_op(i.aux)) {
    case SimdOp::low_half: {
      // The register is the same; what is above belongs to no value any more.
      Reg src = reg_of(i.va());
      emit(unsigned(Op::vmovaps_rr), {def(dst), use(src)});
      return true;
    }
    case SimdOp::high_half:
      emit_imm(unsigned(Op::vextractf128_rri), {def(dst), use(reg_of(i.va()))}, 1);
      return true;
    case SimdOp::join: {
      Reg low = reg_of(i.va());
      if (!fn_->constant(i.vb()) && i.va() != i.vb() && folds_vector(i.vb())) {
        emit_mem(unsigned(Op::vinsertf128_rrmi), {def(dst), use(low)}, vector_memory(i.vb()), 1);
        return true;
      }
      emit_imm(unsigned(Op::vinsertf128_rrri), {def(dst), use(low), use_slot(reg_of(i.vb()), 16)}, 1);
      return true;
    }
    case SimdOp::permute_32: {
      Reg index = reg_of(i.vb());
      emit(unsigned(Op::vpermd256_rrr), {def(dst), use(index), use_slot(reg_of(i.va()), 32)});
      return true;
    }
    default: return false;
  }
}

// With AVX: three operands, and memory that need not be aligned.
void Selector::select_vex_simd(const Inst& i) {
  const Row& row = rows[unsigned(air::simd_op(i.aux))];
  const uint32_t immediate = air::simd_immediate(i.aux);
  if (row.kind == Kind::own) {
    if (!select_halves(i)) fail("a vector operation of this kind");
    return;
  }
  const bool wide = type_of(i.va()) == TypeTable::v256 || i.type == TypeTable::v256;
  const VexForm* forms = vex_forms();
  auto form = [&](Op op) {
    if (op == none) return none;
    if (info(op).traits & T_vex) {  // a row of its own; the wide one stands two rows further
      if (!wide || info(op).traits & T_vex256) return op;
      return Op(unsigned(op) + 2);
    }
    return wide ? forms[unsigned(op)].y : forms[unsigned(op)].x;
  };
  const Op reg = form(row.rr), mem = row.width ? form(row.rm) : none;
  if (reg == none) {
    fail("a vector operation of this width");
    return;
  }
  const unsigned bytes = wide ? 32 : 16;
  ValueId a = i.va(), b = i.op == AirOp::simd2 ? i.vb() : i.va();
  Reg dst = result_reg(i.result);
  if (row.kind == Kind::two) {
    const bool commutes = air::info(row.op).operands == air::SimdOpInfo::bc;
    if (commutes && !folds_vector(b) && folds_vector(a)) std::swap(a, b);
    if (mem != none && a != b && folds_vector(b)) {
      Reg left = reg_of(a);
      emit_mem(unsigned(mem), {def(dst), use(left)}, vector_memory(b), immediate);
      return;
    }
    Reg left = reg_of(a), right = reg_of(b);
    emit(unsigned(reg), {def(dst), use(left), mem != none ? use_slot(right, bytes) : use(right)}, immediate);
    return;
  }
  if (row.kind == Kind::one && mem != none && folds_vector(a)) {
    emit_mem(unsigned(mem), {def(dst)}, vector_memory(a), immediate);
    return;
  }
  Reg src = reg_of(a);
  emit(unsigned(reg), {def(dst), row.kind == Kind::one && mem != none ? use_slot(src, bytes) : use(src)}, immediate);
}

void Selector::select_simd3(const Inst& i) {
  const bool wide = i.type == TypeTable::v256;
  Reg dst = result_reg(i.result);
  Reg a = reg_of(i.va()), b = reg_of(i.vb()), c = reg_of(i.vc());
  if (air::simd_op(i.aux) == SimdOp::blend_8) {
    emit(unsigned(wide ? Op::vpblendvb256_rrri : Op::vpblendvb_rrri), {def(dst), use(c), use(b), use(a)});
    return;
  }
  const bool single = air::simd_op(i.aux) == SimdOp::fma_32;
  // dst = b * dst + c
  copy(dst, a);
  emit(unsigned(wide ? (single ? Op::vfmadd213ps256_rrr : Op::vfmadd213pd256_rrr)
                     : (single ? Op::vfmadd213ps_rrr : Op::vfmadd213pd_rrr)),
       {mod(dst), use(b), use_slot(c, wide ? 32 : 16)});
}

void Selector::select_simd(const Inst& i) {
  const Row& row = rows[unsigned(air::simd_op(i.aux))];
  const int32_t immediate = int32_t(air::simd_immediate(i.aux));
  const bool moves = row.kind == Kind::move || row.kind == Kind::from_gp || row.kind == Kind::insert;
  if (avx_ && !moves) return select_vex_simd(i);
  ValueId a = i.va();
  Reg dst = result_reg(i.result);
  switch (row.kind) {
    case Kind::own: fail("a vector operation of this kind"); break;
    case Kind::two: {
      ValueId b = i.vb();
      const bool commutes = air::info(row.op).operands == air::SimdOpInfo::bc;
      if (commutes && !folds_vector(b) && folds_vector(a)) std::swap(a, b);
      if (row.width && a != b && folds_vector(b)) {
        Reg left = reg_of(a);
        VMem m = vector_memory(b);
        copy(dst, left);
        emit_mem(unsigned(row.rm), {mod(dst)}, m, uint32_t(immediate));
        break;
      }
      if (commutes && a != b && !dies_here(a) && dies_here(b)) std::swap(a, b);
      Reg left = reg_of(a), right = reg_of(b);
      copy(dst, left);
      emit(unsigned(row.rr), {mod(dst), row.width ? use_slot(right, row.width) : use(right)}, uint32_t(immediate));
      break;
    }
    case Kind::one: {
      if (row.width && folds_vector(a)) {
        emit_mem(unsigned(row.rm), {def(dst)}, vector_memory(a), uint32_t(immediate));
        break;
      }
      Reg src = reg_of(a);
      emit(unsigned(row.rr), {def(dst), row.width ? use_slot(src, row.width) : use(src)}, uint32_t(immediate));
      break;
    }
    case Kind::shift:
      copy(dst, reg_of(a));
      emit(unsigned(row.rr), {mod(dst)}, uint32_t(immediate));
      break;
    case Kind::move: {
      Reg src = reg_of(a);
      match_bytes(dst, src);
      match_bytes(src, dst);
      copy(dst, src);
      break;
    }
    case Kind::from_gp: case Kind::to_gp: emit(unsigned(row.rr), {def(dst), use(reg_of(a))}); break;
    case Kind::to_gp_imm: emit(unsigned(row.rr), {def(dst), use(reg_of(a))}, uint32_t(immediate)); break;
    case Kind::insert: {
      Reg left = reg_of(a), right = reg_of(i.vb());
      copy(dst, left);
      emit(unsigned(row.rr), {mod(dst), use(right)}, uint32_t(immediate));
      break;
    }
  }
}

}  // namespace lode::x86_64
