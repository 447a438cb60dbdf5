// See line_table.h. Numbers of opcodes: DWARF 5, 7.22.
#include "codegen/debug/line_table.h"

#include <algorithm>

namespace lode::codegen::dwarf {

namespace {

constexpr int line_base = -5, line_range = 14, opcode_base = 13;
constexpr uint8_t operand_counts[opcode_base - 1] = {0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1};
enum Standard : uint8_t {
  lns_copy = 1, lns_advance_pc = 2, lns_advance_line = 3, lns_set_file = 4, lns_set_column = 5, lns_negate_stmt = 6,
  lns_const_add_pc = 8, lns_set_prologue_end = 10,
};
enum Extended : uint8_t { lne_end_sequence = 1, lne_set_address = 2 };
enum Content : uint8_t { lnct_path = 1, lnct_directory_index = 2, lnct_md5 = 5 };

int digit(char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; }

bool parse_md5(std::string_view text, std::array<uint8_t, 16>& out) {
  if (text.size() != 32) return false;
  for (size_t k = 0; k < 16; k++) {
    const int high = digit(text[2 * k]), low = digit(text[2 * k + 1]);
    if (high < 0 || low < 0) return false;
    out[k] = uint8_t(high << 4 | low);
  }
  return true;
}

}  // namespace

uint32_t LineTable::file(const File& f) {
  std::string directory(f.name.starts_with('/') ? std::string_view() : f.directory);
  if (directories_.empty()) directories_.emplace_back(f.directory);
  if (directory.empty()) directory = directories_[0];
  auto [it, fresh] = known_.try_emplace({std::string(f.name), directory}, uint32_t(files_.size()));
  if (!fresh) return it->second;
  auto at = std::find(directories_.begin(), directories_.end(), directory);
  Entry e{std::string(f.name), uint32_t(at - directories_.begin()), {}};
  if (at == directories_.end()) directories_.push_back(directory);
  all_md5_ &= parse_md5(f.md5, e.md5);
  files_.push_back(std::move(e));
  return it->second;
}

void LineTable::add_sequence(uint32_t symbol, int64_t start, std::vector<LineRow> rows, uint32_t size) {
  if (!rows.empty()) sequences_.push_back({symbol, start, std::move(rows), size});
}

void LineTable::write_sequence(const Sequence& s, Section& out) {
  LineRow now;
  now.file = 1;
  now.line = 1;
  now.is_stmt = true;
  now.offset = s.rows.front().offset;
  out.u8(0);
  out.uleb(9);
  out.u8(lne_set_address);
  out.address_of(s.symbol, s.start + now.offset);
  for (const LineRow& r : s.rows) {
    if (r.file != now.file) out.u8(lns_set_file), out.uleb(r.file);
    if (r.column != now.column) out.u8(lns_set_column), out.uleb(r.column);
    if (r.is_stmt != now.is_stmt) out.u8(lns_negate_stmt);
    if (r.prologue_end) out.u8(lns_set_prologue_end);
    int64_t lines = int64_t(r.line) - now.line;
    uint64_t bytes = r.offset - now.offset;
    if (lines < line_base || lines >= line_base + line_range) {
      out.u8(lns_advance_line);
      out.sleb(lines);
      lines = 0;
    }
    auto special = [&](uint64_t advance) { return uint64_t(lines - line_base) + line_range * advance + opcode_base; };
    constexpr uint64_t const_add = (255 - opcode_base) / line_range;
    if (special(bytes) > 255 && bytes >= const_add && special(bytes - const_add) <= 255) {
      out.u8(lns_const_add_pc);
      bytes -= const_add;
    } else if (special(bytes) > 255) {
      out.u8(lns_advance_pc);
      out.uleb(bytes);
      bytes = 0;
    }
    out.u8(special(bytes));
    now = r;
  }
  out.u8(lns_advance_pc);
  out.uleb(s.size - now.offset);
  out.u8(0);
  out.uleb(1);
  out.u8(lne_end_sequence);
}

uint32_t LineTable::write(Tables& tables, Section& out) {
  const uint32_t at = out.size(), start = out.begin_length();
  out.u16(5);
  out.u8(8);
  out.u8(0);
  const uint32_t header = out.begin_length();
  for (int v : {1, 1, 1, line_base, line_range, opcode_base}) out.u8(uint8_t(v));
  for (uint8_t n : operand_counts) out.u8(n);
  out.u8(1);
  out.uleb(lnct_path);
  out.uleb(form_line_strp);
  out.uleb(directories_.size());
  for (const std::string& d : directories_) out.offset_in(line_str, tables.line_string(d));
  const bool md5 = all_md5_ && !files_.empty();
  out.u8(md5 ? 3 : 2);
  for (unsigned v : {unsigned(lnct_path), unsigned(form_line_strp), unsigned(lnct_directory_index),
                     unsigned(form_udata)})
    out.uleb(v);
  if (md5) out.uleb(lnct_md5), out.uleb(form_data16);
  out.uleb(files_.size());
  for (const Entry& f : files_) {
    out.offset_in(line_str, tables.line_string(f.name));
    out.uleb(f.directory);
    if (md5) out.bytes.insert(out.bytes.end(), f.md5.begin(), f.md5.end());
  }
  out.end_length(header);
  for (const Sequence& s : sequences_) write_sequence(s, out);
  out.end_length(start);
  return at;
}

}  // namespace lode::codegen::dwarf
