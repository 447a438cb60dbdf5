// Keys of functions: what a function's code is made from, as one number of 128 bits that means the same in every
// module, every link and on every machine.
//
// A body in a bitcode file is full of numbers that mean something in this file alone: types, values, attribute lists
// and constants are numbered through the module, so that one new string constant changes the bits of every function.
// The key is of a canonical form instead, in which each such number is replaced by the order in which the function
// first names the thing, and the thing itself is described where it is first named: types by structure; constants by
// value; attributes by what they say; functions and variables by what code generation reads of them (kind, type,
// linkage, thread-local model, convention, attributes, what an alias stands for, and names of functions). Names of
// values, metadata and source positions are left out, because no code depends on them, unless functions are read with
// their debug information.
//
// A function that reads what the form does not describe (a metadata operand, a KCFI type, the text of inline assembly,
// which may name symbols) is bound to its module: its key holds the hash of the module's whole content.
//
// A key is found by reading the whole body. There is a shorter way to know that a body has the key that it had: all
// that numbers in bodies stand for is what it was (tables()), and the bits of the body are. Contents of strings and
// arrays are no part of the tables, for they change often and few bodies read them; those that do go by their keys
// (bits_say_all()).
//
// What the key says nothing about, and whoever uses it adds: options of code generation, decisions of the link about
// symbols, and the generator's own version.
#pragma once

#include <mutex>
#include <vector>

#include "codegen/air/air.h"
#include "formats/bitcode/body.h"
#include "mir_store/mir_store.h"

namespace lode::codegen {

namespace bc = formats::bitcode;
struct ImportState;

// The parts of the form that belong to a module: made once, on the first demand, and then read by all threads.
class ModuleKeys {
 public:
  void prepare(const ImportState& s);
  const mir::Hash128& module() const { return module_; }
  const mir::Hash128& content(const bc::Module& m);
  // 0: not to be gone by.
  uint64_t tables(const ImportState& s);
  const mir::Hash128& type(uint32_t t) const { return types_[t]; }
  const mir::Hash128& attributes(uint32_t list) const { return attributes_[list]; }

 private:
  mir::Hash128 hash_type(const bc::Module& m, uint32_t t, unsigned depth);
  std::once_flag once_, content_once_, tables_once_;
  mir::Hash128 module_, content_;
  uint64_t tables_ = 0;
  std::vector<mir::Hash128> types_, attributes_;
  std::vector<uint8_t> known_;
};

// Of one module, and for one thread at a time.
class FunctionKeyWriter {
 public:
  // The key of a body, and the module's globals that it names, in the order of the form.
  mir::Hash128 write(const ImportState& s, ModuleKeys& keys, const bc::Body& body, std::vector<uint32_t>& globals);
  // Of the last one: the module's tables and the bits of the body decide it.
  bool bits_say_all() const { return !bound_ && !reads_contents_; }

 private:
  struct Order {  // of first mention
    std::vector<uint32_t> stamps, numbers;
    uint32_t count = 0;
  };
  bool first(Order& order, uint32_t index, uint32_t& number);
  void word(uint32_t w) {
    if (count_ == words_.size()) [[unlikely]] more();
    words_[count_++] = w;
  }
  void more() { words_.resize(words_.size() * 2 + 1024); }
  void wide(uint64_t w) { word(uint32_t(w)), word(uint32_t(w >> 32)); }
  void hash(const mir::Hash128& h) { wide(h.low), wide(h.high); }
  void text(std::string_view s);
  void value(uint32_t v, unsigned depth = 0);
  void type(uint32_t t);
  void attributes(uint32_t list);
  void global(uint32_t g, unsigned depth);
  void constant(const bc::Constants& pool, const bc::Constant& k, unsigned depth);
  void inst(const bc::Inst& i);
  void call(std::span<const uint32_t> operands, uint32_t args);
  void debug_information();
  void metadata(uint32_t number);
  void bind_to_module() { bound_ = true; }

  const ImportState* s_ = nullptr;
  const bc::Module* m_ = nullptr;
  ModuleKeys* keys_ = nullptr;
  const bc::Body* body_ = nullptr;
  std::vector<uint32_t> words_;  // of which count_ are in use
  size_t count_ = 0;
  std::vector<uint32_t>* globals_ = nullptr;
  Order values_, types_, attributes_;
  uint32_t stamp_ = 0;
  bool bound_ = false, reads_contents_ = false;
};

}  // namespace lode::codegen
