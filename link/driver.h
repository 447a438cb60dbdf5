// The entry points of the linkers, one a flavour. The command (link/main/main.cpp) picks one by the name it was called
// by, by -m, or by what the inputs are.
#pragma once

#include <span>

namespace lode::link {

// args[0] is the name of the program. Messages go to stderr, listings to stdout; the result is the exit status:
// 0, or 1 when anything was wrong. A failed link leaves no output and an existing output file as it was.
int elf_main(std::span<const char* const> args);
int wasm_main(std::span<const char* const> args);

// lode air FILE --print | --verify | --run [ARGS]: args[0] is the program's name, args[1] is "air". The status of --run
// is that of the program.
int air_main(std::span<const char* const> args);

}  // namespace lode::link
