// The table of taken registers by program point. A range that covers a whole chunk is written in the chunk's `all` mask
// only. What calls destroy stands beside what ranges have taken, so that a range can be tested with and without it.
#include <algorithm>

#include "codegen/native/regalloc_state.h"

namespace lode::codegen {

void Occupancy::reset(uint32_t points) {
  points_ = points;
  at_.assign(points, {});
  all_.assign(points / chunk + 1, 0);
  any_.assign(points / chunk + 1, {});
  region_.assign(points / region + 1, {});
}

void Occupancy::clobber(Point at, uint64_t mask) {
  at_[at].clobbered |= mask;
  any_[at / chunk].clobbered |= mask;
  region_[at / region].clobbered |= mask;
}

Occupancy::Masks Occupancy::in(Point from, Point to) const {
  Masks m;
  while (from < to) {
    const uint32_t c = from / chunk;
    if (from % chunk == 0 && to - from >= chunk) {
      if (from % region == 0 && to - from >= region) {
        m |= region_[from / region];
        from += region;
        continue;
      }
      m |= any_[c];
      from += chunk;
      continue;
    }
    const Point end = std::min(to, (c + 1) * chunk);
    m.taken |= all_[c];
    for (; from < end; from++) m |= at_[from];
  }
  return m;
}

void Occupancy::take(Point from, Point to, uint64_t mask) {
  while (from < to) {
    const uint32_t c = from / chunk;
    any_[c].taken |= mask;
    region_[from / region].taken |= mask;
    if (from % chunk == 0 && to - from >= chunk) {
      all_[c] |= mask;
      from += chunk;
      continue;
    }
    const Point end = std::min(to, (c + 1) * chunk);
    for (; from < end; from++) at_[from].taken |= mask;
  }
}

void Occupancy::release(Point from, Point to, uint64_t mask) {
  const uint32_t first = from / region;
  while (from < to) {
    const uint32_t c = from / chunk;
    const Point begin = c * chunk, end = std::min(to, begin + chunk);
    if (from == begin && end == begin + chunk) {  // nobody else has the registers of the mask anywhere in the chunk
      all_[c] &= ~mask;
      any_[c].taken &= ~mask;
      from = end;
      continue;
    }
    for (; from < end; from++) at_[from].taken &= ~mask;
    uint64_t any = all_[c];
    for (Point p = begin; p < std::min(points_, begin + chunk); p++) any |= at_[p].taken;
    any_[c].taken = any;
  }
  for (uint32_t r = first; r * region < to; r++) {
    uint64_t any = 0;
    for (uint32_t c = r * (region / chunk); c < std::min<uint32_t>((r + 1) * (region / chunk), uint32_t(any_.size()));
         c++)
      any |= any_[c].taken;
    region_[r].taken = any;
  }
}

}  // namespace lode::codegen
