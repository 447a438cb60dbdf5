// Which stack slots of a function share memory: those that never hold a value at the same time.
//
// Inlining gives a caller the locals of all its callees, each in a scope of its own: without sharing, a frame is the
// sum of all scopes. Front ends mark the scopes (lifetime_start, lifetime_end). A slot with marks holds a value
// wherever control can come from one of its starts without meeting one of its ends: a forward "may" problem over the
// blocks, whose solution is exact for loops, jumps into scopes and marks that stand on some ways only, because a slot's
// content is undefined where no start has been passed. It does not matter whether the address escapes: what is reached
// through a pointer outside the marks is undefined as well.
//
// A slot without marks holds a value always and shares nothing. Nor does any slot of a function that calls setjmp or
// its like: control may come back where no edge leads. Slots up to 64 bytes share among themselves, because frames keep
// small slots within short displacements (codegen/native/frame.h).
//
// The work is bounded: where a function would take too much of it, slots keep their own memory.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "codegen/air/air.h"
#include "codegen/native/frame.h"

namespace lode::codegen {

class SlotSharing {
 public:
  // `groups`: empty, or each slot's zone; slots of different zones share nothing.
  void run(const air::Function& fn, std::span<const SlotZone> groups = {});

  // Results; valid until the next run. Slot s lives in slots[place[s]], which has grown to hold and to align all that
  // share it.
  std::vector<uint32_t> place;
  std::vector<air::StackSlot> slots;

 private:
  struct Mark {
    uint32_t block, inst, slot;  // slot: its number in marked_
    bool starts;
  };
  struct Range {
    uint32_t from, to;  // instructions [from, to)
  };
  bool find_marks(const air::Function& fn);
  bool flow(const air::Function& fn);
  void find_ranges(const air::Function& fn);
  bool meet(const std::vector<Range>& a, const std::vector<Range>& b);
  void share(std::span<const SlotZone> groups);

  std::vector<Mark> marks_;
  std::vector<uint32_t> marked_;          // slots that have a start
  std::vector<uint32_t> number_;          // by slot: its number in marked_
  std::vector<uint64_t> in_, gen_, kill_;  // sets of marked slots by block, words_ words each
  std::vector<uint64_t> open_;
  std::vector<uint32_t> open_from_;
  std::vector<uint8_t> dirty_;
  std::vector<std::vector<Range>> ranges_;  // by number
  std::vector<Range> merged_;
  uint32_t words_ = 0;
  uint64_t work_ = 0;
};

}  // namespace lode::codegen
