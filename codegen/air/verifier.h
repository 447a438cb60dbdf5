// Checks that a module obeys the rules of air.h and opcodes.def, before code generation relies on them.
//
// All problems are reported, each with its place; what is wrong in one instruction neither makes others wrong nor hides
// what is wrong with them. A function that passes may be handed to legalisation and the interpreter without further
// checks of indices.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "codegen/air/air.h"

namespace lode::air {

struct Problem {
  SymbolIndex symbol;      // whose function or data; none: of the module
  uint32_t block = ~0u;
  uint32_t inst = ~0u;     // in Function::insts
  std::string message;
  ValueId operand;         // the operand that is wrong, if it is one
  uint32_t edge = ~0u;     // the edge that is wrong, if it is one
};

// What blocks and values are called where they have names; messages have them.
struct Names {
  virtual ~Names() = default;
  virtual std::string block(uint32_t index) const { return "block " + std::to_string(index); }
  virtual std::string operand(ValueId) const { return {}; }  // " NAME", where a message speaks of an operand
  virtual std::string value(ValueId v) const { return "value " + std::to_string(v.value); }
};

// Appends the problems of one function. `fn.symbol` must be a symbol of the module.
void verify_function(const Module& module, const Function& fn, std::vector<Problem>& problems, const Names& names = {});
// Memory that serves one function after the other.
class VerifierScratch {
 public:
  VerifierScratch();
  ~VerifierScratch();
  struct Arrays;
  Arrays& arrays() { return *arrays_; }

 private:
  std::unique_ptr<Arrays> arrays_;
};
// With a table of types that has the module's at the same numbers, and more.
void verify_function(const Module& module, const TypeTable& types, const Function& fn, std::vector<Problem>& problems,
                     const Names& names, VerifierScratch& scratch);
// Symbols, data, comdats, inits: all but the functions' bodies.
void verify_symbols(const Module& module, std::vector<Problem>& problems);
// The same, and the functions of Module::in_memory (not those behind Module::bodies).
void verify_module(const Module& module, std::vector<Problem>& problems);
// "function main, block 2: icmp: ..."
std::string problem_text(const Module& module, const Problem& p);

}  // namespace lode::air
