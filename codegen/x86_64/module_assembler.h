// Module-level assembly of x86_64, as an object (codegen/native/asm_module.h).
#pragma once

#include <string_view>

#include "base/result.h"
#include "codegen/native/asm_object.h"

namespace lode::x86_64 {

Result<codegen::AsmObject> assemble_module(std::string_view text);

}  // namespace lode::x86_64
