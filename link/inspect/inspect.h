// `lode inspect FILE [--json]`: header, segments, sections, symbols, dynamic entries and relocations of an ELF file.
#pragma once

#include <span>

namespace lode::link {

// args[0] is the command's name. Prints to stdout, complaints to stderr; returns the exit status: 0, or 1 when an
// argument is wrong or the file cannot be read as ELF.
int inspect_main(std::span<const char* const> args);

}  // namespace lode::link
