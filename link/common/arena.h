// Where a link runs that is made in another program's process: on threads of TBB that the process has, on at most so
// many of them, without a limit of TBB's being changed.
//
// An arena that is gone leaves some kilobytes in TBB's hands for good (7 KB each in 2021.8, if a worker was in it). A
// process that links a hundred thousand times would not end with the memory with which it began, so who links often
// keeps one. While nothing runs in it, it has no thread.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

namespace lode::link {

class LinkArena {
 public:
  LinkArena();
  ~LinkArena();
  LinkArena(const LinkArena&) = delete;
  LinkArena& operator=(const LinkArena&) = delete;
  // What `work` gives. One at a time.
  bool run(size_t threads, const std::function<bool()>& work);

 private:
  struct Arena;
  std::unique_ptr<Arena> arena_;  // of the last number of threads
};

}  // namespace lode::link
