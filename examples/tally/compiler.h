// Tally: a small language whose compiler shows how a front end drives lode. It is a lexer and a recursive-descent
// parser that call air::FunctionBuilder as they go; there is no tree.
//
//   fn fib(n) {
//     if n < 2 { return n; }
//     return fib(n - 1) + fib(n - 2);
//   }
//   fn main() {
//     var sieve = array(100);
//     var i = 0;
//     while i < 10 { sieve[i] = fib(i); print sieve[i]; i = i + 1; }
//     return 0;
//   }
//
// All numbers are 64-bit integers; `array(n)` is n of them, zero at first, known by address and length (AIR's slice). +
// - * / % are checked and an index must be in bounds: a program that breaks either ends with a message and status 1.
//   Comparisons give 0 or 1.
// A variable is a number or an array, by what it is first given; parameters and results are numbers.
//
// Variables live in stack slots, which is all a front end has to do; conditions and loops are blocks.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "lode/codegen/air/air.h"

namespace tally {

// The module of a source text. With errors, each is "file:line:column: error: ..." and the module is not to be used.
struct Compiled {
  lode::air::Module module;
  std::vector<std::string> errors;
};
Compiled compile(std::string_view source, const std::string& file_name);

// A function of a source text, to be compiled by itself.
struct Function {
  std::string name;
  std::string_view text;   // from `fn` to the brace that ends it
  uint32_t line = 1;       // of its first
  size_t parameters = 0;
};
struct Functions {
  std::vector<Function> functions;
  std::vector<std::string> errors;
};
// Only braces are looked at: what is wrong inside of a function is said when that is compiled.
Functions split(std::string_view source, const std::string& file_name);
// The module of one function, which may call all others.
Compiled compile_function(const Function& function, const std::vector<Function>& all, const std::string& file_name);

}  // namespace tally
