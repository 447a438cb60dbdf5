// The table of taken registers by program point. A range that covers a whole chunk is written in the chunk's `all` mask only.
#include <algorithm>

#include "codegen/regalloc_state.h"

namespace lode::codegen {

void Occupancy::reset(uint32_t points) {
  points_ = points;
  at_.assign(points, 0);
  all_.assign(points / chunk + 1, 0);
  any_.assign(points / chunk + 1, 0);
}

uint64_t Occupancy::taken(Point from, Point to) const {
  uint64_t mask = 0;
  while (from < to) {
    const uint32_t c = from / chunk;
    if (from % chunk == 0 && to - from >= chunk) {
      mask |= any_[c];
      from += chunk;
      continue;
    }
    const Point end = std::min(to, (c + 1) * chunk);
    mask |= all_[c];
    for (; from < end; from++) mask |= at_[from];
  }
  return mask;
}

void Occupancy::take(Point from, Point to, uint64_t mask) {
  while (from < to) {
    const uint32_t c = from / chunk;
    any_[c] |= mask;
    if (from % chunk == 0 && to - from >= chunk) {
      all_[c] |= mask;
      from += chunk;
      continue;
    }
    const Point end = std::min(to, (c + 1) * chunk);
    for (; from < end; from++) at_[from] |= mask;
  }
}

void Occupancy::release(Point from, Point to, uint64_t mask) {
  while (from < to) {
    const uint32_t c = from / chunk;
    const Point begin = c * chunk, end = std::min(to, begin + chunk);
    if (from == begin && end == begin + chunk) all_[c] &= ~mask;
    for (; from < end; from++) at_[from] &= ~mask;
    uint64_t any = all_[c];
    for (Point p = begin; p < std::min(points_, begin + chunk); p++) any |= at_[p];
    any_[c] = any;
  }
}

}  // namespace lode::codegen
