// A mutator that knows LLVM's bitstream container (LLVM's "Bitcode File Format", sections "Bitstream Format" and "LLVM
// IR"). In a stream of bits without byte boundaries a flipped bit mostly shifts the meaning of all that follows, and
// the file is refused. So the stream is walked, abbreviations and BLOCKINFO included, and one operand of one record is
// changed where it stands, in the bits that it has: the records keep their places, and what is wrong afterwards is what
// a record says. Which operand, is chosen by block, then by record code, then among their operands, so that rare
// records are as likely as instructions. Now and then it is an abbreviation's own definition, a block's length or a
// width that changes.
#pragma once

#include <cstdint>
#include <vector>

#include "tests/fuzz/mutate/random.h"

namespace lode::fuzz {

void mutate_bitcode(std::vector<uint8_t>& file, Random& random);

}  // namespace lode::fuzz
