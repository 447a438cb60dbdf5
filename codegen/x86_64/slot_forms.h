// For an instruction with register operands: the one that takes its first, second or third operand from memory instead.
#pragma once

#include "codegen/x86_64/mir.h"

namespace lode::x86_64 {

struct SlotForm {
  Op first = Op::count_, second = Op::count_, third = Op::count_;  // count_: there is no such form
};
// Indexed by Op. Made once from the rows' names: add32rr has add32mr and add32rm, neg32r has neg32m, add32ri has
// add32mi.
const SlotForm* slot_forms();

}  // namespace lode::x86_64
