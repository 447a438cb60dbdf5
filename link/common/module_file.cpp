// See module_file.h.
#include "link/common/module_file.h"

#include "codegen/air/text.h"

namespace lode::link {

bool is_air_text(std::span<const uint8_t> bytes, std::string_view name) {
  if (name.ends_with(".air")) return true;
  // What is larger than any program was written by a program, which can name its file; objects are told by their zeros.
  constexpr size_t largest = size_t{64} << 20, looked_at = 4096;
  if (bytes.empty() || bytes.size() > largest) return false;
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  return text.substr(0, looked_at).find('\0') == std::string_view::npos && air::looks_like_text(text);
}

}  // namespace lode::link
