// Printing of diagnostics, and demangling: C++ by its runtime, Rust by our own reader (rust_names.h).
#include "link/common/diagnostics.h"

#include <cxxabi.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "link/common/rust_names.h"

namespace lode::link {

void Diagnostics::add(bool is_error, std::string text, uint64_t key, bool complete) {
  std::lock_guard lock(mutex_);
  if (!is_error && no_warnings) return;
  if (!is_error && fatal_warnings) is_error = true;
  errors_ += is_error;
  pending_.push_back({key, is_error, complete, std::move(text)});
}

void Diagnostics::put(const char* kind, const std::string& text, bool complete) {
  if (sink) {
    if (!complete) *sink += kind;
    *sink += text;
    *sink += '\n';
  } else if (complete) {
    std::fprintf(stderr, "%s\n", text.c_str());
  } else {
    std::fprintf(stderr, "%s: %s%s\n", program.c_str(), kind, text.c_str());
  }
}

void Diagnostics::print_to(std::FILE* file, const char* format, va_list values) {
  if (!listing) {
    std::vfprintf(file, format, values);
    return;
  }
  va_list again;
  va_copy(again, values);
  std::string text(size_t(std::max(0, std::vsnprintf(nullptr, 0, format, again))), '\0');
  va_end(again);
  std::vsnprintf(text.data(), text.size() + 1, format, values);
  *listing += text;
}

void Diagnostics::print(const char* format, ...) {
  va_list values;
  va_start(values, format);
  print_to(stdout, format, values);
  va_end(values);
}

void Diagnostics::print_aside(const char* format, ...) {
  va_list values;
  va_start(values, format);
  print_to(stderr, format, values);
  va_end(values);
}

bool Diagnostics::flush() {
  std::lock_guard lock(mutex_);
  std::stable_sort(pending_.begin(), pending_.end(), [](const Entry& a, const Entry& b) {
    return a.key != b.key ? a.key < b.key : a.text < b.text;
  });
  if (quiet) pending_.clear();
  for (const Entry& e : pending_) {
    if (error_limit && printed_ >= error_limit) {
      if (!limit_told_) {
        const std::string text = "too many errors emitted, stopping now (--error-limit=0 shows all)";
        put("error: ", text, false);
        if (receiver) receiver(true, text);
      }
      limit_told_ = true;
      break;
    }
    printed_ += e.is_error;
    const char* kind = e.is_error ? (color ? "\033[0;1;31merror:\033[0m " : "error: ")
                                  : (color ? "\033[0;1;35mwarning:\033[0m " : "warning: ");
    put(kind, e.text, e.complete);
    if (receiver) receiver(e.is_error, e.text);
  }
  pending_.clear();
  return errors_ != 0;
}

std::string demangle(std::string_view name) {
  std::string s(name);
  if (std::string rust; demangle_rust(name, rust)) return rust;
  if (!s.starts_with("_Z") && !s.starts_with("__Z")) return s;
  int status = 0;
  char* d = abi::__cxa_demangle(s.c_str(), nullptr, nullptr, &status);
  if (!d) return s;
  std::string out(d);
  std::free(d);
  return out;
}

}  // namespace lode::link
