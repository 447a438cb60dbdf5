// An inline assembly statement in VCode. See select_asm.cpp.
#pragma once

#include <string>
#include <vector>

#include "codegen/x86_64/inline_asm.h"
#include "codegen/x86_64/selector.h"

namespace lode::x86_64 {

struct AsmUse {
  std::string text;
  bool intel = false;                 // its syntax
  bool any_encoding = false;          // InlineAsm::any_encoding
  std::vector<AsmValue> values;       // registers and addresses are filled in by the finaliser
  std::vector<uint32_t>
      operands;  // by value: position of its register (or address registers) among the VInst's operands, or none
  std::vector<VMem> memory;           // by value
};

}  // namespace lode::x86_64
