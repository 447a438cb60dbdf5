// The record, in words: [sections, then of each {name, group, type, flags, entsize, align, bytes, places, names}]. A
// string or the bytes are their length and the bytes packed little-endian; a list is its length and the items, each
// field a word, 64-bit ones two.
#include "codegen/native/asm_sections.h"

#include <bit>

namespace lode::codegen {

namespace {

void put_bytes(std::vector<uint32_t>& out, std::string_view bytes) {
  out.push_back(uint32_t(bytes.size()));
  for (size_t i = 0; i < bytes.size(); i += 4) {
    uint32_t word = 0;
    for (size_t k = 0; k < 4 && i + k < bytes.size(); k++) word |= uint32_t(uint8_t(bytes[i + k])) << 8 * k;
    out.push_back(word);
  }
}

struct Reader {
  std::span<const uint32_t> words;
  uint64_t at;
  bool ok = true;

  uint32_t word() {
    if (at < words.size()) return words[at++];
    ok = false;
    return 0;
  }
  // A number of items that the rest of the words can hold at all.
  uint32_t count() {
    uint32_t n = word();
    if (n > words.size()) ok = false;
    return ok ? n : 0;
  }
  std::string bytes() {
    uint64_t n = word();
    if (!ok || at + (n + 3) / 4 > words.size()) {
      ok = false;
      return {};
    }
    std::string out(n, '\0');
    for (uint64_t i = 0; i < n; i++) out[i] = char(words[at + i / 4] >> 8 * (i % 4));
    at += (n + 3) / 4;
    return out;
  }
};

}  // namespace

void write_asm_sections(std::span<const AsmSection> sections, std::vector<uint32_t>& extra,
                        const std::function<void(uint32_t, uint32_t)>& label) {
  extra.push_back(uint32_t(sections.size()));
  for (const AsmSection& s : sections) {
    put_bytes(extra, s.name);
    put_bytes(extra, s.group);
    for (uint32_t v : {s.type, s.flags, s.entsize, s.align}) extra.push_back(v);
    put_bytes(extra, {reinterpret_cast<const char*>(s.bytes.data()), s.bytes.size()});
    extra.push_back(uint32_t(s.places.size()));
    for (const AsmPlace& p : s.places) {
      extra.push_back(p.offset);
      extra.push_back(p.bytes | uint32_t(p.pc_relative) << 8 | uint32_t(p.target) << 16);
      const bool text = p.target == AsmPlace::Target::text || p.target == AsmPlace::Target::text_difference;
      if (text) label(uint32_t(extra.size()), p.index);
      extra.push_back(text ? 0 : p.index);
      if (p.target == AsmPlace::Target::text_difference) {
        label(uint32_t(extra.size()), p.minus);
        extra.push_back(0);
      }
      extra.push_back(uint32_t(p.addend));
      extra.push_back(uint32_t(uint64_t(p.addend) >> 32));
      if (p.target == AsmPlace::Target::name) put_bytes(extra, p.name);
    }
    extra.push_back(uint32_t(s.names.size()));
    for (const AsmName& n : s.names) {
      put_bytes(extra, n.name);
      extra.push_back(n.offset);
      extra.push_back(n.size);
      extra.push_back(n.bind | uint32_t(n.visibility) << 8 | uint32_t(n.type) << 16);
    }
  }
}

bool read_asm_sections(std::span<const uint32_t> extra, uint32_t at, uint32_t count, size_t references,
                       std::vector<AsmSection>& out) {
  out.clear();
  Reader in{extra, at};
  const uint32_t sections = in.count();
  for (uint32_t i = 0; i < sections && in.ok; i++) {
    AsmSection& s = out.emplace_back();
    s.name = in.bytes();
    s.group = in.bytes();
    s.type = in.word();
    s.flags = in.word();
    s.entsize = in.word();
    s.align = in.word();
    const std::string bytes = in.bytes();
    s.bytes.assign(bytes.begin(), bytes.end());
    if (!std::has_single_bit(s.align)) in.ok = false;
    for (uint32_t k = 0, n = in.count(); k < n && in.ok; k++) {
      AsmPlace& p = s.places.emplace_back();
      p.offset = in.word();
      const uint32_t shape = in.word();
      p.bytes = uint8_t(shape);
      p.pc_relative = shape >> 8 & 1;
      p.target = AsmPlace::Target(shape >> 16 & 0xff);
      p.index = in.word();
      if (p.target == AsmPlace::Target::text_difference) p.minus = in.word();
      const uint64_t low = in.word(), high = in.word();
      p.addend = int64_t(low | high << 32);
      if (p.target == AsmPlace::Target::name) p.name = in.bytes();
      if (p.target > AsmPlace::Target::name || !std::has_single_bit(p.bytes) || p.bytes > 8 ||
          p.offset > s.bytes.size() || s.bytes.size() - p.offset < p.bytes)
        in.ok = false;
      const uint64_t limit = p.target == AsmPlace::Target::reference ? references
                             : p.target == AsmPlace::Target::section ? sections
                                                                     : uint64_t{count} + 1;
      if (p.index >= limit || p.minus > count) in.ok = false;
    }
    for (uint32_t k = 0, n = in.count(); k < n && in.ok; k++) {
      AsmName& name = s.names.emplace_back();
      name.name = in.bytes();
      name.offset = in.word();
      name.size = in.word();
      const uint32_t shape = in.word();
      name.bind = uint8_t(shape);
      name.visibility = uint8_t(shape >> 8);
      name.type = uint8_t(shape >> 16);
      if (name.bind > 2 || name.visibility > 3 || name.type > 15) in.ok = false;
    }
  }
  return in.ok;
}

}  // namespace lode::codegen
