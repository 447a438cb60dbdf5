#include "codegen/native/cfi.h"

#include "base/bytes.h"

namespace lode::codegen {

namespace {
// DWARF 5, table 7.29.
enum : uint8_t {
  advance_loc = 0x40,
  offset = 0x80,
  advance_loc1 = 0x02,
  advance_loc2 = 0x03,
  advance_loc4 = 0x04,
  remember_state = 0x0a,
  restore_state = 0x0b,
  def_cfa = 0x0c,
  def_cfa_register = 0x0d,
  def_cfa_offset = 0x0e,
};

void advance(uint32_t delta, std::vector<uint8_t>& out) {
  if (delta < 64) {
    out.push_back(uint8_t(advance_loc | delta));
  } else if (delta < 0x100) {
    out.push_back(advance_loc1);
    out.push_back(uint8_t(delta));
  } else if (delta < 0x10000) {
    out.push_back(advance_loc2);
    append_le(out, uint16_t(delta));
  } else {
    out.push_back(advance_loc4);
    append_le(out, delta);
  }
}
}  // namespace

void append_cfi(std::span<const CfiRow> rows, const TextLayout& layout, uint32_t text_size, uint32_t code_align,
                int32_t data_align, std::vector<uint8_t>& out) {
  auto offset_of = [&](const CfiRow& r) { return layout.offset({r.offset, r.branches}); };
  uint32_t at = 0;
  bool skip = false;  // the last epilogue ends the function: nothing to go back to
  for (size_t i = 0; i < rows.size(); i++) {
    const CfiRow& r = rows[i];
    if (r.kind == CfiRow::Kind::remember) {
      size_t k = i + 1;
      while (k < rows.size() && rows[k].kind != CfiRow::Kind::restore) k++;
      skip = k == rows.size() || offset_of(rows[k]) == text_size;
      if (skip) continue;
    }
    if (r.kind == CfiRow::Kind::restore && skip) {
      skip = false;
      continue;
    }
    if (const uint32_t here = offset_of(r); here != at) {
      advance((here - at) / code_align, out);
      at = here;
    }
    switch (r.kind) {
      case CfiRow::Kind::cfa_offset:
        out.push_back(def_cfa_offset);
        append_uleb(out, uint32_t(r.value));
        break;
      case CfiRow::Kind::cfa_register:
        out.push_back(def_cfa_register);
        append_uleb(out, r.reg);
        break;
      case CfiRow::Kind::cfa:
        out.push_back(def_cfa);
        append_uleb(out, r.reg);
        append_uleb(out, uint32_t(r.value));
        break;
      case CfiRow::Kind::saved:
        out.push_back(uint8_t(offset | r.reg));
        append_uleb(out, uint32_t(r.value / -data_align));
        break;
      case CfiRow::Kind::remember: out.push_back(remember_state); break;
      case CfiRow::Kind::restore: out.push_back(restore_state); break;
    }
  }
}

}  // namespace lode::codegen
