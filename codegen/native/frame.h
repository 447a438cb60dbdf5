// The layout of a native function's stack frame, made once its body exists and again whenever it is emitted.
//
//   incoming stack arguments      <- CFA: the stack pointer before the call instruction, a multiple of stack_align
//   entry_bytes                   what the call itself pushed (x86_64: 8, the return address)
//   frame pointer (if one is used: fp_bytes)             <- the frame pointer points at this
//   saved_bytes                   callee-saved registers that the prologue pushes or stores
//   [gap, if the stack pointer is aligned by a mask]
//   adjustment: slots, then the outgoing argument area   <- stack pointer in the body, offset 0
//
// The body names slots by index; the layout gives each an offset from a base register. Deciding is separate from
// emitting: the same input gives the same layout, any number of times, and the input is not changed.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"

namespace lode::codegen {

// Slots of a zone lie above those of lower zones, whatever their sizes: from the stack pointer upwards, towards a stack
// protector's canary (codegen/native/stack_protection.h).
enum class SlotZone : uint8_t { rest, address_taken, small_array, large_array, canary };

struct FrameSlot {
  uint64_t size = 0;        // bytes; 0 is legal and takes no room
  uint32_t align = 1;       // bytes, a power of two up to 2^30
  uint32_t weight = 0;      // hot slots come nearer to the stack pointer, where displacements are short
  SlotZone zone = SlotZone::rest;
};

struct FrameInput {
  std::span<const FrameSlot> slots;
  uint64_t outgoing_size = 0;    // the largest stack-argument area of all calls; shared by them
  uint32_t outgoing_align = 1;
  uint32_t stack_align = 16;     // of the CFA, and of the stack pointer at calls
  uint32_t min_align = 1;        // asked for by a function attribute
  uint32_t entry_bytes = 8;
  uint32_t fp_bytes = 8;         // what saving the frame pointer takes, when it is used
  uint32_t saved_bytes = 0;      // without the frame pointer
  uint32_t red_zone =
      0;  // bytes below the stack pointer that a function without calls may use unadjusted (SysV x86_64: 128)
  bool has_calls = false;
  bool dynamic_alloca = false;   // the body moves the stack pointer
  bool force_frame_pointer = false;
};

enum class FrameBase : uint8_t {
  stack_pointer,
  frame_pointer,
  base_pointer,  // a third register, set to the stack pointer at the prologue's end: only where dynamic_alloca and
                 // over-alignment meet
};

struct FrameLayout {
  std::vector<int32_t> slot_offsets;  // from slot_base
  FrameBase slot_base = FrameBase::stack_pointer;
  FrameBase incoming_base = FrameBase::stack_pointer;
  int32_t incoming_offset = 0;        // of the first incoming stack argument, from incoming_base
  uint32_t adjustment = 0;  // bytes to subtract from the stack pointer behind the pushes (and behind the mask)
  uint32_t align_mask_log2 =
      0;  // not 0: the stack pointer is rounded down to a multiple of 2^this before the adjustment
  bool uses_frame_pointer = false;
};

// Fails when a slot's alignment is not a power of two, or when the frame is 2^31 bytes or larger.
// Outgoing arguments always start at the stack pointer itself.
Result<void> lay_out_frame(const FrameInput& input, FrameLayout& out);
// Whether the layout will want slot_base = base_pointer: what selection has to know before registers are given out.
bool frame_needs_base_pointer(const FrameInput& input);

}  // namespace lode::codegen
