// Parallel loops, and the case in which they are not.
//
// All loops of a link that may use several threads are made here, and run by TBB. But TBB costs a process that runs for
// milliseconds more than it gives: its library and the C++ library that it needs are loaded and relocated (2.5 million
// instructions, half of what a relink of one object takes), other libraries are looked for in some 50 places
// (findings/onetbb-first-loop-looks-for-absent-libraries.sh), and a thread is made. So a link that is small, a relink
// of few files, and one that was given --threads=1 open a SerialScope: until it closes, every loop of this thread runs
// on this thread, in order, and nothing of TBB is called.
//
// Results do not depend on it: they do not depend on the number of threads at all.
#pragma once

#include <tbb/blocked_range.h>
#include <tbb/enumerable_thread_specific.h>
#include <tbb/parallel_for.h>
#include <tbb/parallel_for_each.h>
#include <tbb/parallel_invoke.h>
#include <tbb/parallel_sort.h>

#include <algorithm>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

namespace lode::link {

class SerialScope {
 public:
  // Without `on` it leaves things as they are.
  explicit SerialScope(bool on) : before_(open_) { open_ |= on; }
  SerialScope(const SerialScope&) = delete;
  SerialScope& operator=(const SerialScope&) = delete;
  ~SerialScope() { open_ = before_; }
  static bool is_open() { return open_; }

 private:
  static inline thread_local bool open_ = false;
  bool before_;
};

// f(i) for each i from `first` to before `last`, in any order.
template <class Index, class F>
void parallel_for(Index first, Index last, const F& f) {
  if (SerialScope::is_open()) {
    for (Index i = first; i < last; i++) f(i);
  } else if (first < last) {
    tbb::parallel_for(first, last, f);
  }
}

// f(range) for ranges that have begin() and end(); of about `grain` indices, or all of them.
template <class Index, class F>
void parallel_for_ranges(Index first, Index last, size_t grain, const F& f) {
  if (first == last) return;
  const tbb::blocked_range<Index> all(first, last, grain);
  if (SerialScope::is_open()) f(all);
  else tbb::parallel_for(all, f);
}

// f(item, feed) for each of `items`; feed(another) adds one.
template <class Item, class F>
void parallel_for_each(std::vector<Item>& items, const F& f) {
  if (!SerialScope::is_open()) {
    tbb::parallel_for_each(items.begin(), items.end(), [&](const Item& item, tbb::feeder<Item>& feeder) {
      f(item, [&](const Item& more) { feeder.add(more); });
    });
    return;
  }
  for (size_t i = 0; i < items.size(); i++) {
    const Item item = items[i];
    f(item, [&](const Item& more) { items.push_back(more); });
  }
}

template <class... Work>
void parallel_invoke(const Work&... work) {
  if (SerialScope::is_open()) (work(), ...);
  else tbb::parallel_invoke(work...);
}

template <class Iterator, class... Less>
void parallel_sort(Iterator first, Iterator last, const Less&... less) {
  if (SerialScope::is_open()) std::sort(first, last, less...);
  else tbb::parallel_sort(first, last, less...);
}

// An object for each thread that asks for one; one of its own for the serial part of a link, whether it was made there
// or not.
template <class T>
class PerThread {
 public:
  T& local() {
    if (SerialScope::is_open()) return one_;
    std::call_once(made_, [this] { many_.emplace(); });
    return many_->local();
  }
  // While nobody asks.
  template <class F>
  void for_each(const F& f) {
    f(one_);
    if (!many_) return;
    for (T& t : *many_) f(t);
  }

 private:
  T one_;
  std::once_flag made_;
  std::optional<tbb::enumerable_thread_specific<T>> many_;
};

}  // namespace lode::link
