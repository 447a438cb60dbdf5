// See tables.h. Headers: DWARF 5, 7.26 to 7.29.
#include "codegen/debug/tables.h"

namespace lode::codegen::dwarf {

uint32_t Tables::string(std::string_view s) {
  if (auto it = strings_.find(s); it != strings_.end()) return it->second;
  const uint32_t n = uint32_t(string_offsets_.size());
  strings_.emplace(std::string(s), n);
  string_offsets_.push_back(out_[str].size());
  out_[str].text(s);
  return n;
}

uint32_t Tables::line_string(std::string_view s) {
  if (auto it = line_strings_.find(s); it != line_strings_.end()) return it->second;
  const uint32_t at = out_[line_str].size();
  line_strings_.emplace(std::string(s), at);
  out_[line_str].text(s);
  return at;
}

uint32_t Tables::address(uint32_t symbol, int64_t addend) {
  auto [it, fresh] = addresses_.try_emplace({symbol, addend}, uint32_t(address_list_.size()));
  if (fresh) address_list_.push_back(it->first);
  return it->second;
}

uint32_t Tables::add_ranges(std::vector<uint8_t> bytes) {
  ranges_.push_back(std::move(bytes));
  return uint32_t(ranges_.size() - 1);
}

uint32_t Tables::add_locations(std::vector<uint8_t> bytes) {
  locations_.push_back(std::move(bytes));
  return uint32_t(locations_.size() - 1);
}

void Tables::finish_lists(SectionId id, const std::vector<std::vector<uint8_t>>& lists) {
  if (lists.empty()) return;
  Section& s = out_[id];
  const uint32_t start = s.begin_length();
  s.u16(5);
  s.u8(8);
  s.u8(0);
  s.u32(lists.size());
  uint64_t at = 4 * lists.size();  // offsets count from the table of them
  for (const auto& list : lists) {
    s.u32(at);
    at += list.size();
  }
  for (const auto& list : lists) s.bytes.insert(s.bytes.end(), list.begin(), list.end());
  s.end_length(start);
}

void Tables::finish() {
  Section& offsets = out_[str_offsets];
  uint32_t start = offsets.begin_length();
  offsets.u16(5);
  offsets.u16(0);
  for (uint32_t at : string_offsets_) offsets.offset_in(str, at);
  offsets.end_length(start);
  Section& a = out_[addr];
  start = a.begin_length();
  a.u16(5);
  a.u8(8);
  a.u8(0);
  for (auto [symbol, addend] : address_list_) a.address_of(symbol, addend);
  a.end_length(start);
  finish_lists(rnglists, ranges_);
  finish_lists(loclists, locations_);
}

}  // namespace lode::codegen::dwarf
