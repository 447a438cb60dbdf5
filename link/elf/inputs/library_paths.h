// Where libraries are looked for without being told.
#pragma once

#include <span>

namespace lode::link::elf {

std::span<const char* const> system_library_directories();  // in order; below --sysroot

}  // namespace lode::link::elf
