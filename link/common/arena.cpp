// See arena.h.
#include "link/common/arena.h"

#include <tbb/task_arena.h>

namespace lode::link {

struct LinkArena::Arena {
  explicit Arena(size_t n) : threads(n), arena(int(n)) {}
  size_t threads;
  tbb::task_arena arena;
};

LinkArena::LinkArena() = default;
LinkArena::~LinkArena() = default;

bool LinkArena::run(size_t threads, const std::function<bool()>& work) {
  if (!arena_ || arena_->threads != threads) arena_ = std::make_unique<Arena>(threads);
  return arena_->arena.execute([&] { return work(); });
}

}  // namespace lode::link
