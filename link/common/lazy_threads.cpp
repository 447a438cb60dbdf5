// See lazy_threads.h.
#include "link/common/lazy_threads.h"

#include <tbb/info.h>

#include <algorithm>

namespace lode::link {

void LazyThreads::add_work(uint64_t bytes) {
  work_ += bytes;
  if (work_ <= few || !serial_ || wanted_ == 1) return;
  serial_.reset();
  limit_.emplace(wanted_ ? wanted_ : std::min<size_t>(32, size_t(tbb::info::default_concurrency())));
}

}  // namespace lode::link
