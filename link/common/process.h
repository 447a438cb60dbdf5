// What only a process of its own may do: handlers of signals, a word when memory is gone, how many threads there can
// be.
//
// A signal or an exhausted heap ends the command at any instruction. What has to be said or undone then is noted here
// while it holds: which memory is the view of which file (a page of it that the file no longer has, or that a full disk
// cannot take, is a SIGBUS), and which temporary file has a name. The notes cost nothing until they are needed, so
// every user of the library makes them; the handlers are installed by the command alone, for a compiler that keeps a
// linker in its process has its own.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

namespace lode::link {

// Handlers for the life of the process: SIGBUS in a noted view names the file; the signals that end a process remove
// the noted temporary file and then do what they do by default; SIGXFSZ is ignored, so that writing fails with EFBIG; a
// failed allocation says "out of memory". `program` goes in front of messages.
void install_process_handlers(const std::string& program);

// Memory that is a view of a file, as long as this lives.
class FileView {
 public:
  enum Kind : unsigned char { input, output };
  FileView() = default;
  FileView(const void* begin, size_t size, std::string path, Kind kind);
  FileView(FileView&& other) noexcept : note_(other.note_) { other.note_ = nullptr; }
  FileView& operator=(FileView&& other) noexcept {
    std::swap(note_, other.note_);
    return *this;
  }
  ~FileView();

 private:
  struct Note* note_ = nullptr;
};

// The one file that has to go if the process is ended by a signal. Empty: none.
void note_temporary(std::string_view path);

// Of `wanted` threads, the calling one included, how many the system lets this process have: a thread that TBB cannot
// make ends the process.
size_t possible_threads(size_t wanted);

// As long as this lives, parallel loops of the whole process use at most `wanted` threads, the calling one included,
// and no more than possible_threads(). For commands; within another program, which has loops of its own, a link runs in
// a tbb::task_arena.
class ThreadLimit {
 public:
  explicit ThreadLimit(size_t wanted);
  ThreadLimit(const ThreadLimit&) = delete;
  ThreadLimit& operator=(const ThreadLimit&) = delete;
  ~ThreadLimit();

 private:
  struct Control;
  Control* control_;
  // When the limit goes, TBB makes the threads that it kept from being made. So it stays if there are fewer than were
  // wanted; and with a limit of one, of which that is not known, if none can be made then.
  enum { removed, tried, for_good } state_;
};

}  // namespace lode::link
