// The stored form of MIR. The checksum is put right first, or nothing but the checksum would ever be tested; the bytes
// as they came are loaded too.
#include "mir_store/mir_store.h"

#include <cstddef>
#include <cstring>
#include <xxhash.h>

using namespace lode;

namespace {

void load(std::span<const uint8_t> bytes, uint32_t target) {
  auto store = mir::MirStore::load(bytes, target);
  if (!store) return;
  uint64_t sum = 0;
  for (uint32_t i = 0; i < store->function_count(); i++) {
    if (!store->alive(FunctionId(i))) continue;
    mir::FunctionView v = store->view(FunctionId(i));
    for (uint32_t k = 0; k < v.count; k++) sum += v.operands[k] + (v.tag_bytes == 2 ? v.tag16(k) : v.tag8(k));
    for (auto x : v.extra) sum += x;
    for (auto x : v.locals) sum += x;
    for (auto x : v.constants) sum += x;
    for (const mir::Reference& r : v.references) sum += r.symbol.value;
    for (int k = 0; k < 6; k++) sum += v.frame[k];
  }
  volatile uint64_t used = sum;
  (void)used;
  const std::vector<uint8_t> once = store->save();
  auto again = mir::MirStore::load(once, target);
  if (!again || again->save() != once) __builtin_trap();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  load({data, size}, 62);
  if (size < 40) return 0;
  std::vector<uint8_t> fixed(data, data + size);
  XXH3_state_t* state = XXH3_createState();
  XXH3_128bits_reset(state);
  XXH3_128bits_update(state, fixed.data(), 16);
  XXH3_128bits_update(state, fixed.data() + 32, fixed.size() - 32);
  XXH128_hash_t h = XXH3_128bits_digest(state);
  XXH3_freeState(state);
  std::memcpy(fixed.data() + 16, &h, sizeof h);
  load(fixed, 62);
  load(fixed, 0x6173);
  return 0;
}
