// riscv64 as the linker sees it.
#pragma once

#include "codegen/native/target.h"

namespace lode::riscv64 {
const codegen::NativeTarget& target();
}
