// Which functions get a stack protector, and which of their slots stand next to its canary: LLVM's rules ("SSP" in the
// LLVM Language Reference, and -fstack-protector, -strong, -all of the compilers), so that a program is as safe as its
// build asked for.
//
//   ssp     arrays of characters from protect_buffer_size bytes on, alone or in structures, and alloca of as many bytes
//           or of a number that is not known
//   strong  in addition any array and any alloca, and slots whose address leaves the function's own plain loads and
//           stores
//   req     always
//
// In the frame (codegen/native/frame.h) the canary lies highest, below it large arrays, small arrays, slots whose
// address is taken, and the rest: what runs over its end meets the canary, and variables whose bounds are not at stake
// lie out of its way.
#pragma once

#include <cstdint>
#include <vector>

#include "codegen/air/air.h"
#include "codegen/native/frame.h"

namespace lode::codegen {

class StackProtection {
 public:
  void run(const air::Function& fn, const air::TypeTable& types);

  // Results; valid until the next run.
  bool needed = false;
  std::vector<SlotZone> zones;  // by slot; empty when no canary is needed

 private:
  void look_at(const air::Function& fn, const air::Inst& i);
  bool dynamic_alloca(const air::Function& fn, const air::Inst& i, bool strong) const;
  void taken(uint32_t slot) {
    if (zones[slot] == SlotZone::rest) zones[slot] = SlotZone::address_taken;
  }
  const air::TypeTable* types_ = nullptr;
};

}  // namespace lode::codegen
