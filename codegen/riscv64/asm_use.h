// An inline assembly statement in VCode. See select_asm.cpp.
#pragma once

#include <string>
#include <vector>

#include "codegen/riscv64/inline_asm.h"
#include "codegen/riscv64/selector.h"

namespace lode::riscv64 {

struct AsmUse {
  std::string text;
  std::vector<AsmValue> values;    // registers are filled in by the finaliser
  std::vector<uint32_t> operands;  // by value: the position of its register among the VInst's operands, or none
  std::vector<VMem> memory;        // by value
};

}  // namespace lode::riscv64
