// For an instruction on xmm registers: its VEX-encoded forms (AVX).
#pragma once

#include "codegen/x86_64/mir.h"

namespace lode::x86_64 {

struct VexForm {
  Op x = Op::count_, y = Op::count_;  // on 128 and on 256 bits; count_: there is none
};
// Indexed by Op. Made once from the rows' names: addps_rr has vaddps_rrr and vaddps256_rrr, where the destination is no
// source any more; sqrtps_rr has vsqrtps_rr and vsqrtps256_rr.
const VexForm* vex_forms();

}  // namespace lode::x86_64
