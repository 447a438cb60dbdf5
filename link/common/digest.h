// MD5 (RFC 1321), SHA-1 and SHA-256 (FIPS 180-4), for build ids.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace lode::link {

std::vector<uint8_t> md5(std::span<const uint8_t> data);
std::vector<uint8_t> sha1(std::span<const uint8_t> data);
std::vector<uint8_t> sha256(std::span<const uint8_t> data);

}  // namespace lode::link
