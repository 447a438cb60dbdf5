// The source line of a place in an object, for messages.
#pragma once

#include <string>

#include "link/elf/link.h"

namespace lode::link::elf {

// "a.c:3", with the whole path behind it where that says more: "a.c:3 (/src/a.c:3)". Empty when the object has no line
// table.
std::string source_line(const ObjectFile& file, uint32_t section, uint64_t offset);

}  // namespace lode::link::elf
