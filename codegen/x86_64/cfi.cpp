#include "codegen/x86_64/cfi.h"

#include "base/bytes.h"

namespace lode::x86_64 {

void append_cfi(std::span<const CfiRow> rows, std::span<const uint32_t> branch_bytes, uint32_t text_size,
                std::vector<uint8_t>& out) {
  uint32_t at = 0;
  bool skip = false;  // the last epilogue ends the function: nothing to go back to
  for (size_t i = 0; i < rows.size(); i++) {
    const CfiRow& r = rows[i];
    uint32_t offset = r.offset + branch_bytes[r.branches];
    if (r.kind == CfiRow::Kind::remember) {
      size_t k = i + 1;
      while (k < rows.size() && rows[k].kind != CfiRow::Kind::restore) k++;
      skip = k == rows.size() || rows[k].offset + branch_bytes[rows[k].branches] == text_size;
      if (skip) continue;
    }
    if (r.kind == CfiRow::Kind::restore && skip) {
      skip = false;
      continue;
    }
    uint32_t delta = offset - at;
    if (delta) {
      if (delta < 64) {
        out.push_back(uint8_t(0x40 | delta));
      } else if (delta < 0x100) {
        out.push_back(0x02);
        out.push_back(uint8_t(delta));
      } else if (delta < 0x10000) {
        out.push_back(0x03);
        append_le(out, uint16_t(delta));
      } else {
        out.push_back(0x04);
        append_le(out, delta);
      }
      at = offset;
    }
    switch (r.kind) {
      case CfiRow::Kind::cfa_offset:
        out.push_back(0x0e);
        append_uleb(out, uint32_t(r.value));
        break;
      case CfiRow::Kind::cfa_rbp:  // the offset is the one in force
        out.push_back(0x0d);
        out.push_back(dwarf_gp[reg::rbp]);
        break;
      case CfiRow::Kind::cfa_rsp:
        out.push_back(0x0c);
        out.push_back(dwarf_gp[reg::rsp]);
        append_uleb(out, uint32_t(r.value));
        break;
      case CfiRow::Kind::cfa_r11:
        out.push_back(0x0c);
        out.push_back(dwarf_gp[reg::r11]);
        append_uleb(out, uint32_t(r.value));
        break;
      case CfiRow::Kind::saved:
        out.push_back(uint8_t(0x80 | dwarf_gp[r.reg]));
        append_uleb(out, uint32_t(r.value) / 8);
        break;
      case CfiRow::Kind::remember:
        out.push_back(0x0a);
        break;
      case CfiRow::Kind::restore:
        out.push_back(0x0b);
        break;
    }
  }
}

}  // namespace lode::x86_64
