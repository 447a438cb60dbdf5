// VCode as text; see print_vcode.cpp.
#pragma once

#include <string>

#include "codegen/regalloc.h"

namespace lode::x86_64 {
std::string print_vcode(const codegen::VCode& code, const codegen::Allocation* allocation);
}
