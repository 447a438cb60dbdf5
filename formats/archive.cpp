// The ar format has no standard; this follows what GNU ar and llvm-ar write. Every member starts at an even offset with
// a header of blank-padded ASCII fields; the special members come first and are not counted as members.
#include "formats/archive.h"

#include <algorithm>
#include <cstring>

namespace lode::formats {

namespace {
struct Header {
  char name[16], date[12], uid[6], gid[6], mode[8], size[10], magic[2];
};
static_assert(sizeof(Header) == 60);

bool decimal(const char* p, size_t n, uint64_t& v) {
  v = 0;
  size_t i = 0;
  for (; i < n && p[i] >= '0' && p[i] <= '9'; i++) v = v * 10 + uint64_t(p[i] - '0');
  if (i == 0) return false;
  for (; i < n; i++)
    if (p[i] != ' ' && p[i] != '/' && p[i] != 0) return false;
  return true;
}

uint64_t big_endian(const uint8_t* p, unsigned n) {
  uint64_t v = 0;
  for (unsigned i = 0; i < n; i++) v = v << 8 | p[i];
  return v;
}
}  // namespace

bool Archive::is_archive(std::span<const uint8_t> file) {
  return file.size() >= 8 &&
         (std::memcmp(file.data(), "!<arch>\n", 8) == 0 || std::memcmp(file.data(), "!<thin>\n", 8) == 0);
}

Result<Archive> Archive::open(std::span<const uint8_t> file) {
  if (!is_archive(file)) return error("not an archive");
  Archive ar;
  ar.thin = file[2] == 't';
  std::string_view long_names;
  std::span<const uint8_t> index;
  unsigned index_width = 4;
  auto text = [](std::span<const uint8_t> b) {
    return std::string_view(reinterpret_cast<const char*>(b.data()), b.size());
  };

  for (uint64_t at = 8; at < file.size();) {
    if (file.size() - at < sizeof(Header)) {
      if (file.size() - at == 1 && file[at] == '\n') break;
      return error("truncated archive member header");
    }
    const auto* h = reinterpret_cast<const Header*>(file.data() + at);
    uint64_t size;
    if (std::memcmp(h->magic, "`\n", 2) != 0 || !decimal(h->size, sizeof h->size, size))
      return error("malformed archive member header");
    uint64_t body = at + sizeof(Header);
    std::string_view name(h->name, 16);
    bool is_index = name.starts_with("/ ") || name.starts_with("/SYM64/");
    bool is_names = name.starts_with("//");
    bool stored = !ar.thin || is_index || is_names;
    if (stored && size > file.size() - body) return error("archive member lies outside the file");
    std::span<const uint8_t> data = stored ? file.subspan(body, size) : std::span<const uint8_t>();
    if (is_index) {
      index = data;
      index_width = name.starts_with("/SYM64/") ? 8 : 4;
      ar.has_index = true;
    } else if (is_names) {
      long_names = text(data);
    } else {
      ArchiveMember m{{}, at, data};
      uint64_t n;
      if (name[0] == '/' && decimal(h->name + 1, 15, n)) {
        if (n >= long_names.size()) return error("archive member's name lies outside the name table");
        std::string_view rest = long_names.substr(n);
        size_t end = rest.find('\n');
        rest = rest.substr(0, end);
        if (rest.ends_with('/')) rest.remove_suffix(1);
        m.name = rest;
      } else if (name.starts_with("#1/") && decimal(h->name + 3, 13, n)) {
        if (n > data.size()) return error("archive member's name lies outside the member");
        m.name = text(data.first(n));
        m.name = m.name.substr(0, m.name.find('\0'));
        m.data = data.subspan(n);
      } else {
        size_t end = name.find('/');
        if (end == std::string_view::npos) end = name.find_last_not_of(' ') + 1;
        m.name = name.substr(0, end);
      }
      if (!m.name.starts_with("__.SYMDEF")) ar.members.push_back(m);
    }
    at = body + (stored ? size + (size & 1) : 0);
  }

  if (ar.has_index) {
    if (index.size() < index_width) return error("truncated archive symbol index");
    uint64_t count = big_endian(index.data(), index_width);
    if (count > (index.size() - index_width) / index_width) return error("truncated archive symbol index");
    std::string_view names = text(index.subspan(index_width * (count + 1)));
    ar.index.reserve(count);
    uint32_t hint = 0;
    for (uint64_t i = 0, pos = 0; i < count; i++) {
      uint64_t offset = big_endian(index.data() + index_width * (i + 1), index_width);
      size_t end = names.find('\0', pos);
      if (pos >= names.size() || end == std::string_view::npos)
        return error("archive symbol index: names are truncated");
      if (hint >= ar.members.size() || ar.members[hint].header_offset != offset) {
        auto it = std::lower_bound(ar.members.begin(), ar.members.end(), offset,
                                   [](const ArchiveMember& m, uint64_t o) { return m.header_offset < o; });
        if (it == ar.members.end() || it->header_offset != offset)
          return error("archive symbol index refers to no member");
        hint = uint32_t(it - ar.members.begin());
      }
      ar.index.push_back({names.substr(pos, end - pos), hint});
      pos = end + 1;
    }
  }
  return ar;
}

}  // namespace lode::formats
