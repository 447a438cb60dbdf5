// An inline assembly statement in VCode. See select_asm.cpp.
#pragma once

#include <string>
#include <vector>

namespace lode::x86_64 {

struct AsmUse {
  std::string text;
};

}  // namespace lode::x86_64
