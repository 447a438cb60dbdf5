// A mutator that knows WebAssembly objects. Nothing in a module has a fixed place: lengths and counts are
// variable-length numbers in front of what they count. So the module is taken apart into a tree of numbers, bytes,
// vectors and length-prefixed blocks, one node is changed (a number to a boundary value; an element of a vector
// doubled, dropped, moved), and the tree is written again with all lengths right, or, now and then, with one of them
// wrong.
//
// Known in detail are the sections that link: types, imports, functions, tables, memories, globals, exports, elements,
// bodies, data, the subsections of "linking", "reloc.*", "target_features", "producers" and "name".
#pragma once

#include <cstdint>
#include <vector>

#include "tests/fuzz/mutate/random.h"

namespace lode::fuzz {

// One change. What is no module gets a byte changed.
void mutate_wasm(std::vector<uint8_t>& file, Random& random);

}  // namespace lode::fuzz
