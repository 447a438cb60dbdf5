// See build_id.h.
#include "link/common/build_id.h"

#include <cstring>
#include <random>
#include <string>
#include <utility>

namespace lode::link {

static int digit_of(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = char(c | 32);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

static Result<BuildIdRequest> parse_hex(std::string_view text) {
  const std::string invalid = "invalid hexadecimal number: '" + std::string(text) + "'";
  BuildIdRequest r{BuildId::hex, {}};
  int high = -1;
  for (char c : text.substr(2)) {
    if (c == '-' || c == ':') continue;
    const int d = digit_of(c);
    if (d < 0) return error(invalid);
    if (high >= 0) r.bytes.push_back(uint8_t(high << 4 | d));
    high = high < 0 ? d : -1;
  }
  if (high >= 0 || r.bytes.empty()) return error(invalid);
  return r;
}

Result<BuildIdRequest> parse_build_id(std::string_view text) {
  static constexpr std::pair<std::string_view, BuildId> styles[] = {
      {"none", BuildId::none}, {"fast", BuildId::fast}, {"md5", BuildId::md5},       {"sha1", BuildId::sha1},
      {"tree", BuildId::sha1}, {"", BuildId::sha1},     {"sha256", BuildId::sha256}, {"uuid", BuildId::uuid},
  };
  for (auto& [name, style] : styles)
    if (text == name) return BuildIdRequest{style, {}};
  if (text.starts_with("0x") || text.starts_with("0X")) return parse_hex(text);
  return error("unknown style '" + std::string(text) + "'");
}

std::array<uint8_t, 16> random_uuid() {
  std::array<uint8_t, 16> id;
  std::random_device random;
  for (size_t i = 0; i < id.size(); i += 4) {
    const uint32_t word = uint32_t(random());
    std::memcpy(&id[i], &word, 4);
  }
  id[6] = uint8_t((id[6] & 0x0f) | 0x40);
  id[8] = uint8_t((id[8] & 0x3f) | 0x80);
  return id;
}

}  // namespace lode::link
