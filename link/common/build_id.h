// --build-id: what the option asks for, in both linkers the same words (GNU ld manual, --build-id; wasm-ld).
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace lode::link {

enum class BuildId : uint8_t { none, fast, md5, sha1, sha256, uuid, hex };

struct BuildIdRequest {
  BuildId style = BuildId::none;
  std::vector<uint8_t> bytes;  // hex: the id itself, not empty
};

// none, fast, md5, sha1, tree (sha1), sha256, uuid, 0xHEX; bytes of HEX may be set apart by '-' and ':'. Empty: sha1.
Result<BuildIdRequest> parse_build_id(std::string_view text);
// Version 4 of RFC 4122, section 4.4.
std::array<uint8_t, 16> random_uuid();

}  // namespace lode::link
