// Where errors and warnings gather until a pass is over.
//
// Passes run on many threads, so a message carries a sort key (usually file and offset); `flush` prints in the order of
// the keys and is therefore the same at any number of threads.
#pragma once

#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "base/result.h"

namespace lode::link {

class Diagnostics {
 public:
  std::string program = "lode";
  bool fatal_warnings = false;
  bool no_warnings = false;
  std::string* sink = nullptr;     // if given, messages are appended here, a line each, and not printed
  std::string* listing = nullptr;  // if given, what print() and print_aside() get is appended here
  // If given, called for every message that is put out.
  std::function<void(bool is_error, const std::string& text)> receiver;
  bool quiet = false;          // count, but print nothing
  bool color = false;
  unsigned error_limit = 20;  // 0: no limit
  bool demote_errors = false;  // --noinhibit-exec: recoverable errors are printed as warnings and the output is written

  // Thread-safe. The text may have several lines; the first is the message.
  void error(std::string text, uint64_t key = 0) { add(true, std::move(text), key, false); }
  void error(const Error& e, uint64_t key = 0) { add(true, e.text(), key, e.complete); }
  // An error after which an output can be made all the same, of what is right in it. What an input's structure gets
  // wrong is never one.
  void recoverable(std::string text, uint64_t key = 0) { add(!demote_errors, std::move(text), key, false); }
  void warning(std::string text, uint64_t key = 0) { add(false, std::move(text), key, false); }

  // Prints what gathered, in order. True when there has been an error so far.
  bool flush();
  bool has_errors() const { return errors_ != 0; }

  // What the user asked to see: on stdout, and on stderr. Not messages, so neither counted nor sorted.
  void print(const char* format, ...) __attribute__((format(printf, 2, 3)));
  void print_aside(const char* format, ...) __attribute__((format(printf, 2, 3)));

 private:
  struct Entry {
    uint64_t key;
    bool is_error;
    bool complete;  // no program's name and no "error:" in front
    std::string text;
  };
  void put(const char* kind, const std::string& text, bool complete);
  void print_to(std::FILE* file, const char* format, va_list values);
  void add(bool is_error, std::string text, uint64_t key, bool complete);
  std::mutex mutex_;
  std::vector<Entry> pending_;
  unsigned errors_ = 0, printed_ = 0;
  bool limit_told_ = false;
};

// C++ (Itanium ABI) and Rust names made readable; others as they are.
std::string demangle(std::string_view name);

}  // namespace lode::link
