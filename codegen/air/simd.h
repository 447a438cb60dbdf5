// Vectors in legal code: simd1 and simd2 are operations on a v128, which of them says Inst::aux. See simd_ops.def.
#pragma once

#include <cstdint>

#include "codegen/air/air.h"

namespace lode::air {

enum class SimdOp : uint8_t {
#define SIMD_OP(name, operands) name,
#include "codegen/air/simd_ops.def"
#undef SIMD_OP
};
struct SimdOpInfo {
  const char* name;
  enum Operands : uint8_t { u, b, bc, i, t } operands;
};
extern const SimdOpInfo simd_op_table[];
extern const unsigned simd_op_count;
inline const SimdOpInfo& info(SimdOp op) { return simd_op_table[unsigned(op)]; }

inline bool is_simd(TypeId t) { return t == TypeTable::v128 || t == TypeTable::v256; }

// The types of the result and of the first operand.
TypeId simd_result(SimdOp op);
TypeId simd_operand(SimdOp op);

// Inst::aux of simd1 and simd2.
inline constexpr uint16_t simd_aux(SimdOp op, unsigned immediate = 0) {
  return uint16_t(unsigned(op) | immediate << 8);
}
inline constexpr SimdOp simd_op(uint16_t aux) { return SimdOp(aux & 0xff); }
inline constexpr unsigned simd_immediate(uint16_t aux) { return aux >> 8; }

}  // namespace lode::air
