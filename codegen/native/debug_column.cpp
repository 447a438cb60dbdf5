// See debug_column.h. Words: subprogram, counts of rows, locations and ranges; then these.
#include "codegen/native/debug_column.h"

namespace lode::codegen {

namespace {
constexpr uint32_t head_words = 4, row_words = 2, location_words = 4, range_words = 8, block_start_bit = 1u << 31;
}

void DebugColumn::clear() {
  subprogram = 0;
  rows.clear();
  locations.clear();
  ranges.clear();
}

void write_debug_column(const DebugColumn& c, std::vector<uint32_t>& out) {
  out.clear();
  out.reserve(head_words + row_words * c.rows.size() + location_words * c.locations.size() +
              range_words * c.ranges.size());
  for (size_t n : {size_t(c.subprogram), c.rows.size(), c.locations.size(), c.ranges.size()})
    out.push_back(uint32_t(n));
  for (const DebugRow& r : c.rows) {
    out.push_back(r.inst);
    out.push_back(r.location | (r.block_start ? block_start_bit : 0));
  }
  for (const DebugLocation& l : c.locations) out.insert(out.end(), {l.line, l.column, l.scope, l.inlined_at});
  for (const DebugRange& r : c.ranges)
    out.insert(out.end(), {r.variable, r.inlined_at, r.expression, uint32_t(r.kind), r.begin, r.end,
                           uint32_t(r.payload), uint32_t(r.payload >> 32)});
}

bool read_debug_column(std::span<const uint32_t> w, uint32_t count, DebugColumn& out) {
  out.clear();
  if (w.size() < head_words) return false;
  const uint64_t rows = w[1], locations = w[2], ranges = w[3];
  if (w.size() != head_words + row_words * rows + location_words * locations + range_words * ranges) return false;
  out.subprogram = w[0];
  const uint32_t* p = w.data() + head_words;
  for (uint64_t k = 0; k < rows; k++, p += row_words) {
    const DebugRow r{p[0], p[1] & ~block_start_bit, (p[1] & block_start_bit) != 0};
    if (r.inst > count || r.location >= locations || (k && r.inst < out.rows.back().inst)) return false;
    out.rows.push_back(r);
  }
  for (uint64_t k = 0; k < locations; k++, p += location_words) out.locations.push_back({p[0], p[1], p[2], p[3]});
  for (uint64_t k = 0; k < ranges; k++, p += range_words) {
    if (p[3] > DebugRange::last_kind) return false;
    const DebugRange r{p[0], p[1], p[2], DebugRange::Kind(p[3]), p[4], p[5], p[6] | uint64_t(p[7]) << 32};
    if (r.begin > count || (r.end != ~0u && (r.end > count || r.end < r.begin))) return false;
    out.ranges.push_back(r);
  }
  return true;
}

}  // namespace lode::codegen
