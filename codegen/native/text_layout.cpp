#include "codegen/native/text_layout.h"

#include <algorithm>

namespace lode::codegen {

void TextLayout::clear() {
  places.clear();
  branches.clear();
  bytes_before_.clear();
  padding_ = 0;
}

uint64_t TextLayout::most_bytes(BranchForms forms) const {
  uint64_t longest = 0;
  for (std::span<const BranchForm> list : forms) longest = std::max<uint64_t>(longest, list.back().bytes);
  return longest * branches.size() + padding_;
}

void TextLayout::add_up() {
  uint32_t bytes = 0;
  const size_t n = branches.size();
  for (size_t k = 0; k < n; k++) {
    Branch& b = branches[k];
    bytes_before_[k] = bytes;
    if (b.kind == Branch::alignment) {
      const uint32_t skip = -(b.offset + bytes) & ((1u << (b.target & 15)) - 1);
      b.size = uint16_t(skip <= b.target >> 4 ? skip : 0);
    }
    bytes += b.size;
  }
  bytes_before_[n] = bytes;
}

void TextLayout::relax(BranchForms forms) {
  const size_t n = branches.size();
  bytes_before_.resize(n + 1);
  for (Branch& b : branches) {
    if (b.kind == Branch::alignment) continue;
    const std::span<const BranchForm> list = forms[b.kind];
    if (list[b.form].bytes == 0 && places[b.target].offset != b.offset) b.form++;
    b.size = list[b.form].bytes;
  }
  add_up();
  for (bool changed = n != 0; changed;) {
    changed = false;
    for (size_t k = 0; k < n; k++) {
      Branch& b = branches[k];
      if (b.kind == Branch::alignment) continue;
      const std::span<const BranchForm> list = forms[b.kind];
      uint8_t form = b.form;
      if (form + 1u == list.size()) continue;
      const TextPlace& t = places[b.target];
      // A target ahead moves away by what the branch itself grows.
      const bool ahead = t.branches > k;
      int64_t distance = int64_t(t.offset) + bytes_before_[t.branches] - (int64_t(b.offset) + bytes_before_[k]);
      if (ahead) distance -= b.size;
      for (; form + 1u < list.size(); form++) {
        const BranchForm& f = list[form];
        const int64_t displacement = distance + (ahead ? f.bytes : 0) - f.origin;
        if (displacement >= f.lowest && displacement <= f.highest) break;
      }
      if (form == b.form) continue;
      b.form = form;
      b.size = list[form].bytes;
      changed = true;
    }
    if (changed) add_up();
  }
}

}  // namespace lode::codegen
