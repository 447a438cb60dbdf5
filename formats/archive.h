// ar archives: GNU (symbol index "/" or "/SYM64/", long names "//"), thin ("!<thin>"), and BSD long names ("#1/").
//
// `open` reads the headers of all members and checks every size. The index, when there is one, maps names to members;
// an archive without an index has an empty one and the caller looks into the members.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace lode::formats {

struct ArchiveMember {
  std::string_view name;          // without the trailing slash; for thin archives a path relative to the archive
  uint64_t header_offset;         // of the 60-byte header; what the index refers to
  std::span<const uint8_t> data;  // empty in thin archives
};

struct ArchiveSymbol {
  std::string_view name;
  uint32_t member;  // index into members
};

struct Archive {
  bool thin = false;
  bool has_index = false;
  std::vector<ArchiveMember> members;  // in file order, so sorted by header_offset
  std::vector<ArchiveSymbol> index;

  static bool is_archive(std::span<const uint8_t> file);
  static Result<Archive> open(std::span<const uint8_t> file);
};

}  // namespace lode::formats
