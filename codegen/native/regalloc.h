// Register allocation over whole live ranges, for native targets.
//
// Requires VCode with the invariants of vcode.h. Leaves true: every operand has a location (a physical register, or a
// spill slot where the operand allows it); executing the edits between the instructions makes each value stand where
// its reader looks.
//
// Values that span blocks and loops stay in registers by weight (uses x block frequency / length of the live range);
// copies, block parameters and two-address operands are coalesced where the live ranges do not meet; a value that finds
// no register gets one home in the frame, and pieces of its range (per block, between calls) get registers of their own
// where there are some.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "codegen/native/vcode.h"

namespace lode::codegen {

struct RegisterInfo {
  // Registers in the order of preference; caller-saved first. A register that is in no list is reserved.
  std::span<const uint8_t> gp_order, fp_order;   // numbers as in Reg: 0..31 gp, 32..63 fp
  uint64_t callee_saved = 0;                     // bit r: the function has to save r before it uses it
  std::span<const uint64_t> clobbers;            // by VInst clobber index; [0] is 0
  uint8_t fp_scratch = 63;  // never allocated; carries slot-to-slot moves and breaks cycles of fp moves
  bool gp_exchange = true;  // the target can exchange two gp registers (else cycles go through gp_scratch)
  // false: no place in the frame is ever that of two values, not even after each other (functions that call setjmp)
  bool share_homes = true;
  uint32_t liveness_limit = 1 << 21;  // words of memory beyond which liveness is found for some registers at a time
  uint8_t gp_scratch = 255;                      // never allocated, or 255: slot-to-slot moves then use fp_scratch
};

// Where a value is: a physical register (0..63) or spill slot n (64 + n).
struct Location {
  uint32_t value = 0;
  static constexpr Location slot(uint32_t n) { return {n + 64}; }
  constexpr bool is_slot() const { return value >= 64; }
  constexpr uint32_t slot_index() const { return value - 64; }
  friend constexpr bool operator==(Location, Location) = default;
};

enum class EditKind : uint8_t {
  move,      // dst <- src; register to register of one class or across (as fp_scratch does), register to slot, slot to
             // register
  exchange,  // swap two gp registers
  remat,     // issue instruction `src.value` again, with its def in dst (a register)
};
struct Edit {
  uint32_t before_inst;  // the edit takes effect directly before this instruction (== insts.size(): never)
  EditKind kind;
  RegClass cls;          // of the value moved
  uint8_t bytes;         // of the value moved: 1..16
  uint8_t reserved = 0;
  Location dst, src;
};
static_assert(sizeof(Edit) == 16);

struct SpillSlot {
  uint8_t bytes = 8;     // also its alignment (power of two)
};

struct Allocation {
  std::vector<Location> operands;   // parallel to VCode::operands
  std::vector<Edit> edits;          // sorted by before_inst; edits at one place are in order of execution
  std::vector<SpillSlot> slots;
  // With VCode::locations, by virtual register: the physical one that it is in wherever it lives, or 255.
  std::vector<uint8_t> homes;
  uint64_t used = 0;                // physical registers that are written anywhere (callee-saved ones must be saved)
  // A copy or parallel_copy instruction yields no code of its own: its moves stand among the edits (none when
  // coalesced).
  uint32_t spilled = 0, coalesced = 0;  // statistics
  // One instruction wants more registers than there are (possible with inline assembly only): the result must not be
  // used.
  bool failed = false;

  void clear();
};

class RegisterAllocator {
 public:
  RegisterAllocator();
  ~RegisterAllocator();
  // Reuses its memory from call to call.
  void run(const VCode& code, const RegisterInfo& info, Allocation& out);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Debug aid and test oracle: checks by abstract interpretation that every operand reads the value that VCode says.
// Returns an empty string, or what is wrong.
std::string check_allocation(const VCode& code, const RegisterInfo& info, const Allocation& allocation);

}  // namespace lode::codegen
