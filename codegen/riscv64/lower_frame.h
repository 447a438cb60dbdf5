// The frame of a riscv64 function, laid out when its MIR is emitted: prologue, epilogue, and where slots and arguments
// are.
//
// codegen/native/frame.h decides the layout; here are the registers and the instructions of it. From the CFA, which is
// sp at the entry, downwards: the registers of variadic arguments (so that they and what the caller has put on the
// stack are one row), ra, s0, the other saved registers, slots, outgoing arguments. A frame pointer is s0 and points
// below the variadic arguments, so that ra is at s0 - 8 and the caller's s0 at s0 - 16, as GCC and LLVM have it. sp is
// the base of everything else, but where a dynamic alloca moves it: slots are then reached from s0, or, when they are
// aligned beyond the stack, from s1. The layout is a pure function of the record: laying out twice gives the same
// answer.
//
// sp is lowered in one step where that is cheap, else in two, so that registers are saved within the reach of short
// instructions: see plan_frame().
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "codegen/native/cfi.h"
#include "codegen/riscv64/mir.h"

namespace lode::riscv64 {

struct FramePlan {
  uint32_t saved = 0;          // mask of registers.h
  bool frame_pointer = false, base_pointer = false, dynamic = false;
  unsigned align_log2 = 0;     // sp is rounded down to this when above 4
  uint32_t variadic = 0;       // bytes of registers stored below the incoming arguments, a multiple of 16
  uint32_t first = 0;          // bytes that sp is lowered by before registers are saved
  uint32_t rest = 0;           // and after that (and after rounding)
  uint32_t outgoing = 0;
  uint8_t slot_base = reg::sp, incoming_base = reg::sp;
  int32_t incoming_disp = 0;   // of the first stack argument
  bool cfi = true;
  uint32_t probe_interval = 0;  // not 0: the frame is touched at least once in so many bytes while it grows

  bool empty() const { return first == 0 && rest == 0; }
};

// Fills `slots` with the displacement of each slot from slot_base. Error: the frame does not fit in 31 bits, or damaged
// words.
Result<FramePlan> plan_frame(const mir::FunctionView& fn, std::vector<int32_t>& slots);

// What the rows of codegen/native/cfi.h continue: DW_CFA_def_cfa sp, 0.
inline constexpr uint8_t cie_instructions[] = {0x0c, reg::sp, 0};
inline constexpr uint32_t cie_code_align = 1;
inline constexpr int32_t cie_data_align = -8;

// Longest epilogue, and longest prologue, in bytes.
inline constexpr unsigned max_frame_code = 256, max_prologue_code = 384;

// Write at p and return the end. Rows are appended with offsets relative to `text` and the given number of branches
// before.
uint8_t* put_prologue(uint8_t* p, const FramePlan& f, const uint8_t* text, std::vector<codegen::CfiRow>& rows);
// Up to, but not including, the return or jump. Writes no register of arguments or results.
uint8_t* put_epilogue(uint8_t* p, const FramePlan& f, const uint8_t* text, uint32_t branches,
                      std::vector<codegen::CfiRow>& rows);

// to = from + delta, with at most 4 instructions; the scratch register where the immediate does not fit.
uint8_t* put_add(uint8_t* p, uint8_t to, uint8_t from, int64_t delta);

}  // namespace lode::riscv64
