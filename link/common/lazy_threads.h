// Threads of a command's link, once there is work that pays for them.
//
// What TBB costs (parallel.h) is what one thread needs for some megabytes of objects. How much a link has to
// do is not known when it begins: `-lLLVM` may bring in a hundred megabytes or nothing. So it begins on one thread, in
// a SerialScope; what opens its inputs tells how many bytes come, and when they are many, the scope closes for good.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "link/common/parallel.h"
#include "link/common/process.h"

namespace lode::link {

class LazyThreads {
 public:
  // At most `wanted` threads, the calling one included; 0: one for each processor, at most 32.
  explicit LazyThreads(size_t wanted) : wanted_(wanted) {}
  // Between two loops.
  void add_work(uint64_t bytes);

 private:
  static constexpr uint64_t few = 3 << 20;
  size_t wanted_;
  uint64_t work_ = 0;
  std::optional<ThreadLimit> limit_;
  std::optional<SerialScope> serial_{true};
};

}  // namespace lode::link
