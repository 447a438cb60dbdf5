// Executes AIR over a simulated memory: the oracle that the targets and legalisation are tested against.
//
// Every access is checked against the allocation that it touches; division by zero, bad addresses, reached
// `unreachable`, calls of unknown functions, too many steps or too deep calls end the run with an error that names
// function, block and instruction. Undefined and poison values are zero; out-of-range shifts and conversions give zero;
// flags such as nsw are not looked at.
//
// A value is a list of scalars of up to 128 bits (integers zero-extended, floating point as its encoding): one, or one
// a member for aggregates and vectors. Integers wider than 128 bits and libm on f128 are errors.
//
// Functions are interpreted as they are in the module, legal or not; options.legalize runs legalisation first.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "codegen/air/air.h"
#include "codegen/air/legalize.h"

namespace lode::air {

__extension__ typedef unsigned __int128 Scalar;

struct InterpreterOptions {
  uint64_t max_steps = 200'000'000;
  uint32_t max_depth = 400;
  uint64_t max_memory = uint64_t{1} << 30;  // bytes, all allocations
  bool legalize = false;
  LegalizeOptions target;                   // of legal functions, and for `legalize`
};

class Interpreter {
 public:
  // The module stays the caller's and must outlive the interpreter.
  explicit Interpreter(const Module& module, const InterpreterOptions& options = {});
  ~Interpreter();

  // Calls a function by name. One scalar an argument (aggregates: one a member); the result likewise. exit() ends with
  // an error whose message starts with "exit ".
  Result<std::vector<Scalar>> call(std::string_view function, const std::vector<Scalar>& args);
  // Constructors, main(argc, argv), destructors; exit() counts as a return. The status is main's result.
  Result<int> run_main(const std::vector<std::string>& args = {"program"});

  const std::string& output() const;  // what the program wrote
  // How often a shift or conversion had an undefined result so far.
  uint64_t undefined_results() const;
  void set_input(std::string text);   // for getchar

  Result<uint64_t> allocate(uint64_t size, uint64_t align = 16);
  Result<void> read(uint64_t address, void* to, uint64_t n) const;
  Result<void> write(uint64_t address, const void* from, uint64_t n);
  Result<uint64_t> address_of(std::string_view symbol) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lode::air
