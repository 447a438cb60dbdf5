// An inline assembly statement with its operands, between selection and the finaliser: see select_asm.cpp.
#pragma once

#include <string>

namespace lode::riscv64 {

struct AsmUse {
  std::string text;
};

}  // namespace lode::riscv64
