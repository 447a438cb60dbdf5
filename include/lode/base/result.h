// Errors as values.
//
// An Error carries its place (file, section, symbol, line:column; as much as is known) apart from its message until the
// command line prints both. Functions that can fail return Result<T>; nothing throws across a folder, nothing exits.
#pragma once

#include <cassert>
#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace lode {

struct Error {
  std::string place;    // "libfoo.a(bar.o):(.text)", "main.air:3:14", "a.bc"; empty when not known yet
  std::string message;  // one sentence, no trailing newline
  bool complete =
      false;  // the message is what the user sees, "file:line:column: error: ..." and more lines: nothing goes in front

  // The same error with an outer place in front: "liba.a" + "(b.o)" etc. are joined with ": ".
  Error at(const std::string& outer) && {
    if (!complete) place = place.empty() ? outer : outer + ": " + place;
    return std::move(*this);
  }
  std::string text() const { return place.empty() ? message : place + ": " + message; }
};

inline Error error(std::string message) { return Error{{}, std::move(message), false}; }
inline Error error_at(std::string place, std::string message) {
  return Error{std::move(place), std::move(message), false};
}

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error e) : state_(std::in_place_index<1>, std::move(e)) {}

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }
  T& value() & { assert(ok()); return *std::get_if<0>(&state_); }
  const T& value() const& { assert(ok()); return *std::get_if<0>(&state_); }
  T&& value() && { assert(ok()); return std::move(*std::get_if<0>(&state_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  Error& error() { assert(!ok()); return *std::get_if<1>(&state_); }
  const Error& error() const { assert(!ok()); return *std::get_if<1>(&state_); }
  Error take_error() { assert(!ok()); return std::move(*std::get_if<1>(&state_)); }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error e) : error_(std::move(e)) {}
  bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }
  Error& error() { assert(!ok()); return *error_; }
  const Error& error() const { assert(!ok()); return *error_; }
  Error take_error() { assert(!ok()); return std::move(*error_); }

 private:
  std::optional<Error> error_;
};

// Leaves the enclosing function with the error of `expr`, or goes on.
#define LODE_CONCAT_(a, b) a##b
#define LODE_CONCAT(a, b) LODE_CONCAT_(a, b)
#define LODE_TRY(expr)                                                       \
  do {                                                                       \
    if (auto lode_try_result = (expr); !lode_try_result.ok())                \
      return lode_try_result.take_error();                                   \
  } while (0)
// LODE_ASSIGN(auto x, f()): x = the value of f(), or leaves with its error.
#define LODE_ASSIGN(decl, expr) LODE_ASSIGN_(LODE_CONCAT(lode_result_, __LINE__), decl, expr)
#define LODE_ASSIGN_(tmp, decl, expr)                                        \
  auto tmp = (expr);                                                         \
  if (!tmp.ok()) return tmp.take_error();                                    \
  decl = std::move(tmp).value()

}  // namespace lode
