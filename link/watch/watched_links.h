// --watch for each linker: what one keeps from link to link, and the link itself.
#pragma once

#include <span>

namespace lode::link {

// The command lines of elf_main and wasm_main (link/driver.h), with --watch among the arguments.
int watch_elf(std::span<const char* const> args);
int watch_wasm(std::span<const char* const> args);

}  // namespace lode::link
