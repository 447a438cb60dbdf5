// The frame of an x86_64 function, laid out when its MIR is emitted: prologue, epilogue, and where slots and arguments are.
//
// Shapes, from high addresses to low
//   plain          return address | saved registers | slots | outgoing arguments <- rsp; everything is rsp-relative
//   red zone       a leaf of at most 128 bytes leaves rsp where the pushes left it; slots lie below it (psABI 3.2.2)
//   frame pointer  return address | rbp <- rbp | other saved registers | slots | outgoing <- rsp; slots are rbp-relative
//   over-aligned   as frame pointer, rsp rounded down; slots are rsp-relative, incoming arguments rbp-relative
//   over-aligned and dynamic  rbx holds what rsp was after rounding; slots are rbx-relative
// The layout is a pure function of the record: laying out twice gives the same answer.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "codegen/x86_64/mir.h"

namespace lode::x86_64 {

struct FrameLayout {
  uint16_t pushed = 0;         // general registers pushed besides a frame pointer, in the order of their numbers
  unsigned push_count = 0;
  bool frame_pointer = false, base_pointer = false, dynamic = false, red_zone = false;
  unsigned align_log2 = 0;     // rsp is rounded down to this when above 4
  uint32_t size = 0;           // what `sub rsp` takes; 0 in the red zone
  uint32_t outgoing = 0;       // rounded up
  uint8_t slot_base = reg::rsp, incoming_base = reg::rsp;
  int32_t incoming_disp = 0;   // of the first stack argument
  bool cfi = true;
};

// Fills `slots` with the displacement of each slot from layout.slot_base. Error: the frame does not fit in 31 bits, or damaged words.
Result<FrameLayout> lay_out_frame(const mir::FunctionView& fn, std::vector<int32_t>& slots);

// A row of unwind information: from this offset on (see emit) the rule holds.
struct CfiRow {
  enum class Kind : uint8_t { cfa_offset, cfa_rbp, cfa_rsp, saved, remember, restore };
  uint32_t offset;    // in the text without branches
  uint32_t branches;  // branches before it
  Kind kind;
  uint8_t reg;        // saved: hardware number
  int32_t value;      // cfa_*: offset of the CFA from the register; saved: bytes below the CFA
};

// Longest prologue or epilogue, in bytes.
inline constexpr unsigned max_frame_code = 64;

// Write at p and return the end. Rows are appended with offsets relative to `text` and the given number of branches before.
uint8_t* put_prologue(uint8_t* p, const FrameLayout& f, const uint8_t* text, std::vector<CfiRow>& rows);
// Up to, but not including, the `ret` or jump. A tail call keeps the argument registers.
uint8_t* put_epilogue(uint8_t* p, const FrameLayout& f, bool tail, const uint8_t* text, uint32_t branches, std::vector<CfiRow>& rows);

}  // namespace lode::x86_64
