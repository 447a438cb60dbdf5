// The stored form of the MIR store from arbitrary bytes. The checksum is put right first, so that what lies behind it is reached.
#include <xxhash.h>

#include <cstring>
#include <vector>

#include "mir_store/mir_store.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace lode;
  std::vector<uint8_t> file(data, data + size);
  if (file.size() >= 32) {
    XXH3_state_t* state = XXH3_createState();
    XXH3_128bits_reset(state);
    XXH3_128bits_update(state, file.data(), 16);
    XXH3_128bits_update(state, file.data() + 32, file.size() - 32);
    const XXH128_hash_t sum = XXH3_128bits_digest(state);
    XXH3_freeState(state);
    std::memcpy(file.data() + 16, &sum.low64, 8);
    std::memcpy(file.data() + 24, &sum.high64, 8);
  }
  auto store = mir::MirStore::load(file, 62);
  if (!store.ok()) return 0;
  const std::vector<uint8_t> once = store->save();
  auto again = mir::MirStore::load(once, 62);
  if (!again.ok() || again->save() != once) __builtin_trap();
  return 0;
}
