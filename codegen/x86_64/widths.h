// The four widths of an instruction, indexed 8, 16, 32, 64.
#pragma once

#include "codegen/x86_64/mir.h"

namespace lode::x86_64 {

#define LODE_WIDTHS(name, base, form) \
  inline constexpr Op name[4] = {Op::base##8##form, Op::base##16##form, Op::base##32##form, Op::base##64##form};
#define LODE_ALU(base)               \
  LODE_WIDTHS(base##_rr, base, rr)   \
  LODE_WIDTHS(base##_ri, base, ri)   \
  LODE_WIDTHS(base##_rm, base, rm)   \
  LODE_WIDTHS(base##_mr, base, mr)   \
  LODE_WIDTHS(base##_mi, base, mi)
LODE_ALU(add)
LODE_ALU(or)
LODE_ALU(adc)
LODE_ALU(sbb)
LODE_ALU(and)
LODE_ALU(sub)
LODE_ALU(xor)
LODE_ALU(cmp)
LODE_WIDTHS(test_rr, test, rr)
LODE_WIDTHS(test_ri, test, ri)
LODE_WIDTHS(test_mr, test, mr)
LODE_WIDTHS(test_mi, test, mi)
LODE_WIDTHS(mov_mr, mov, mr)
LODE_WIDTHS(mov_mi, mov, mi)
LODE_WIDTHS(shl_ri, shl, ri)
LODE_WIDTHS(shr_ri, shr, ri)
LODE_WIDTHS(sar_ri, sar, ri)
LODE_WIDTHS(rol_ri, rol, ri)
LODE_WIDTHS(ror_ri, ror, ri)
LODE_WIDTHS(shl_rc, shl, rc)
LODE_WIDTHS(shr_rc, shr, rc)
LODE_WIDTHS(sar_rc, sar, rc)
LODE_WIDTHS(rol_rc, rol, rc)
LODE_WIDTHS(ror_rc, ror, rc)
LODE_WIDTHS(xchg_mr, xchg, mr)
LODE_WIDTHS(lock_xadd_mr, lock_xadd, mr)
LODE_WIDTHS(lock_cmpxchg_mr, lock_cmpxchg, mr)
LODE_WIDTHS(lock_add_mr, lock_add, mr)
LODE_WIDTHS(lock_add_mi, lock_add, mi)
LODE_WIDTHS(lock_sub_mr, lock_sub, mr)
LODE_WIDTHS(lock_sub_mi, lock_sub, mi)
LODE_WIDTHS(lock_and_mr, lock_and, mr)
LODE_WIDTHS(lock_and_mi, lock_and, mi)
LODE_WIDTHS(lock_or_mr, lock_or, mr)
LODE_WIDTHS(lock_or_mi, lock_or, mi)
LODE_WIDTHS(lock_xor_mr, lock_xor, mr)
LODE_WIDTHS(lock_xor_mi, lock_xor, mi)
#undef LODE_ALU
#undef LODE_WIDTHS

inline Op width_op(const Op* ops, unsigned bits) { return ops[bits <= 8 ? 0 : bits == 16 ? 1 : bits == 32 ? 2 : 3]; }

}  // namespace lode::x86_64
