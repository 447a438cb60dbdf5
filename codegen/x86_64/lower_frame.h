// The frame of an x86_64 function, laid out when its MIR is emitted: prologue, epilogue, and where slots and arguments
// are.
//
// codegen/native/frame.h decides the layout; here are the registers and the bytes of it. rsp is the base of everything,
// but where a frame pointer is used: then rbp is the base of the incoming arguments, and of the slots while a dynamic
// alloca moves rsp; slots of such a function that need more than 16 bytes of alignment are reached from rbx. Saved
// registers are pushed, rbp first. The layout is a pure function of the record: laying out twice gives the same answer.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "base/result.h"
#include "codegen/native/cfi.h"
#include "codegen/native/target.h"
#include "codegen/x86_64/mir.h"

namespace lode::x86_64 {

struct FramePlan {
  uint16_t pushed = 0;         // general registers pushed besides a frame pointer, in the order of their numbers
  unsigned push_count = 0;
  bool frame_pointer = false, base_pointer = false, dynamic = false;
  unsigned align_log2 = 0;     // rsp is rounded down to this when above 4
  uint32_t size = 0;           // what `sub rsp` takes; 0 in the red zone
  uint32_t outgoing = 0;       // rounded up
  uint8_t slot_base = reg::rsp, incoming_base = reg::rsp;
  int32_t incoming_disp = 0;   // of the first stack argument
  bool cfi = true;
  bool keeps_rcx = false;      // see frame::keeps_rcx
  bool plain_epilogue = false;
  uint32_t probe_interval = 0;           // not 0: a frame is touched at least once in so many bytes while it grows
  uint32_t probe_reference = no_probe;   // the function that touches it
  static constexpr uint32_t no_probe = ~0u;
};

// Fills `slots` with the displacement of each slot from layout.slot_base. Error: the frame does not fit in 31 bits, or
// damaged words.
Result<FramePlan> plan_frame(const mir::FunctionView& fn, std::vector<int32_t>& slots);

// NativeTarget::debug_frame.
Result<void> debug_frame(const mir::FunctionView& fn, codegen::DebugFrame& out);

// What the rows of codegen/native/cfi.h continue: DW_CFA_def_cfa rsp, 8; DW_CFA_offset return address at CFA - 8.
inline constexpr uint8_t cie_instructions[] = {0x0c, 7, 8, 0x90, 1};
inline constexpr uint32_t cie_code_align = 1;
inline constexpr int32_t cie_data_align = -8;

// Longest epilogue, and longest prologue, in bytes.
inline constexpr unsigned max_frame_code = 64, max_prologue_code = 240;

// Write at p and return the end. Rows are appended with offsets relative to `text` and the given number of branches
// before. `call` writes a call of the plan's probe_reference.
uint8_t* put_prologue(uint8_t* p, const FramePlan& f, const uint8_t* text, std::vector<codegen::CfiRow>& rows,
                      const std::function<uint8_t*(uint8_t*)>& call);
// Up to, but not including, the `ret` or jump. A tail call keeps the argument registers.
uint8_t* put_epilogue(uint8_t* p, const FramePlan& f, bool tail, const uint8_t* text, uint32_t branches,
                      std::vector<codegen::CfiRow>& rows);

}  // namespace lode::x86_64
