// The encodings are those that gcc and clang use for x86-64 PIC: everything is relative to the function or the place,
// so one form serves all kinds of output. Types are reached through pointers (GOT slots, or words that stand for them
// in objects), because a typeinfo may be in another library.
#include "codegen/native/exception_table.h"

#include <algorithm>

#include "base/bytes.h"

namespace lode::codegen {

namespace {
// DWARF pointer encodings (LSB core, "DWARF Extensions")
constexpr uint8_t enc_uleb128 = 0x01, enc_omit = 0xff, enc_indirect_pcrel_sdata4 = 0x9b;
constexpr uint32_t none = ~0u;
}  // namespace

void ExceptionActions::clear() {
  types.clear();
  filters.clear();
  actions.clear();
  records_.clear();
  lists_.clear();
}

uint32_t ExceptionActions::type(uint32_t reference) {
  auto it = std::find(types.begin(), types.end(), reference + 1);
  if (it == types.end()) it = types.insert(it, reference + 1);
  return uint32_t(it - types.begin()) + 1;
}

int32_t ExceptionActions::filter(std::span<const uint32_t> list) {
  for (const Filter& f : lists_)
    if (std::equal(f.types.begin(), f.types.end(), list.begin(), list.end())) return f.number;
  const int32_t number = -1 - int32_t(filters.size());
  for (uint32_t t : list) append_uleb(filters, t);
  filters.push_back(0);
  lists_.push_back({{list.begin(), list.end()}, number});
  return number;
}

uint32_t ExceptionActions::action(std::span<const int32_t> chain) {
  uint32_t next = 0;
  for (size_t k = chain.size(); k-- > 0;) {
    auto known = std::find_if(records_.begin(), records_.end(),
                              [&](const Record& r) { return r.filter == chain[k] && r.next == next; });
    if (known != records_.end()) {
      next = known->at;
      continue;
    }
    const uint32_t at = uint32_t(actions.size()) + 1;
    append_sleb(actions, chain[k]);
    // The way to the next record counts from the field that holds it.
    append_sleb(actions, next ? int64_t(next - 1) - int64_t(actions.size()) : 0);
    records_.push_back({chain[k], next, at});
    next = at;
  }
  return next;
}

bool build_exception_table(std::span<const uint32_t> extra, uint32_t at, uint32_t count, size_t references,
                           const std::function<uint32_t(uint32_t)>& offset_of, ExceptionTable& out) {
  out.bytes.clear();
  out.types.clear();
  if (at > extra.size() || extra.size() - at < exception_header_words) return false;
  const uint32_t* head = extra.data() + at;
  const uint64_t calls = head[0], types = head[1], action_bytes = head[2], filter_bytes = head[3];
  out.personality = head[4];
  const uint64_t action_words = (action_bytes + 3) / 4, filter_words = (filter_bytes + 3) / 4;
  if (exception_header_words + exception_call_words * calls + types + action_words + filter_words > extra.size() - at)
    return false;
  if (out.personality >= references) return false;
  const uint32_t* call = head + exception_header_words;
  const uint32_t* type = call + exception_call_words * calls;
  const uint32_t* action = type + types;
  const uint32_t* filter = action + action_words;

  // Neighbours with one landing pad and one action make one range; what lies between them does not throw.
  std::vector<uint8_t> sites;
  uint32_t start = 0, end = 0, pad = none, act = none;
  bool open = false;
  auto close = [&] {
    if (!open) return;
    append_uleb(sites, start);
    append_uleb(sites, end - start);
    append_uleb(sites, pad == none ? 0 : offset_of(pad));
    append_uleb(sites, act);
  };
  for (uint64_t k = 0; k < calls; k++, call += exception_call_words) {
    if (call[0] >= count || (call[1] != none && call[1] >= count) || call[2] > action_bytes) return false;
    const uint32_t first = offset_of(call[0]), last = offset_of(call[0] + 1);
    if (open && (first < end)) return false;
    if (!open || call[1] != pad || call[2] != act) {
      close();
      open = true;
      start = first;
      pad = call[1];
      act = call[2];
    }
    end = last;
  }
  close();

  auto& b = out.bytes;
  const bool typed = types != 0 || filter_bytes != 0;
  b.push_back(enc_omit);  // landing pads count from the function's start
  b.push_back(typed ? enc_indirect_pcrel_sdata4 : enc_omit);
  std::vector<uint8_t> tail;  // from the call sites' encoding to the end of the actions
  tail.push_back(enc_uleb128);
  append_uleb(tail, sites.size());
  tail.insert(tail.end(), sites.begin(), sites.end());
  for (uint64_t k = 0; k < action_bytes; k++) tail.push_back(uint8_t(action[k / 4] >> 8 * (k % 4)));
  if (typed) {
    // The types' end counts from behind this number, and the types are aligned: the padding and the number's size
    // depend on each other.
    uint64_t padding = 0;
    for (unsigned size = 1;; size++) {
      padding = align_up(b.size() + size + tail.size(), ExceptionTable::align) - (b.size() + size + tail.size());
      if (uleb_size(tail.size() + padding + 4 * types) <= size) {
        uint64_t base = tail.size() + padding + 4 * types;
        for (unsigned k = 1; k < size; k++, base >>= 7) b.push_back(uint8_t(base & 0x7f) | 0x80);
        b.push_back(uint8_t(base));
        break;
      }
    }
    b.insert(b.end(), tail.begin(), tail.end());
    b.resize(b.size() + padding);
    // Type 1 stands last.
    for (uint64_t k = types; k-- > 0;) {
      if (type[k] > references) return false;
      if (type[k]) out.types.push_back({uint32_t(b.size()), type[k] - 1});
      b.resize(b.size() + 4);
    }
    for (uint64_t k = 0; k < filter_bytes; k++) b.push_back(uint8_t(filter[k / 4] >> 8 * (k % 4)));
  } else {
    b.insert(b.end(), tail.begin(), tail.end());
  }
  return b.size() < 0x7fffffff;
}

}  // namespace lode::codegen
