// A mutator that knows ELF. A random flip almost always lands in code, where nothing reads it, or in a magic number,
// where the file is refused at once; what a linker decides by stands in a few fields. So a field is chosen by what it
// means (of the header, of a section, of a symbol, of a relocation, of a group, of an unwind record, of a note, of a
// version, of the dynamic section, of a string table) and set to a value at a boundary: of its width, of the table it
// points into, or of a like field elsewhere. Records are also swapped, copied and appended, so that a valid file gets
// combinations that no assembler writes.
//
// One call makes one change, and most leave the file parsable: callers make a few changes and then link it.
#pragma once

#include <cstdint>
#include <vector>

#include "tests/fuzz/mutate/random.h"

namespace lode::fuzz {

// Relocatable objects, shared libraries, and archives of them (whose members are changed in place). What is none of
// these gets a byte changed.
void mutate_elf(std::vector<uint8_t>& file, Random& random);

}  // namespace lode::fuzz
