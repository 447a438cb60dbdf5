// Inputs that are IR, as both linkers recognise them: LLVM bitcode by its magic number, as such or in a wrapper; AIR
// text by the name of its file, or by how it begins.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "formats/bitcode/bitstream.h"

namespace lode::link {

using formats::bitcode::is_bitcode;

// AIR text. `name`: of the file; what ends in ".air" is meant to be AIR, whatever is in it.
bool is_air_text(std::span<const uint8_t> bytes, std::string_view name);
inline bool is_ir(std::span<const uint8_t> bytes, std::string_view name) {
  return is_bitcode(bytes) || is_air_text(bytes, name);
}

}  // namespace lode::link
