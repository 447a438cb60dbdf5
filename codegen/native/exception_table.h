// Exception tables (the language-specific data area, LSDA) as the Itanium C++ ABI's personality routines read them: for
// each range of calls the landing pad and a chain of actions, then the types that catch clauses and filters name.
//
// The table has two lives. While a function is selected, ExceptionActions collects its types, filters and actions,
// which depend on no address; they go into the MIR store's `extra` words, with the calls and landing pads as MIR
// indices (the record below). When the function is emitted and offsets are known, build_exception_table() makes the
// bytes.
//
// The record, in words: [calls, types, bytes of actions, bytes of filters, reference of the personality routine,
//   {MIR index of the call, that of its landing pad or ~0, action}..., {reference of the typeinfo + 1, or 0: any
//   type}..., actions and filters packed little-endian, each from a word of its own].
//
// Calls that are not in the record cannot throw: should one do, the personality routine finds no entry and ends the
// program.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace lode::codegen {

class ExceptionActions {
 public:
  void clear();
  // The number of a type, from 1: what a landing pad's selector is compared with. `reference`: of the typeinfo; ~0: any
  // type.
  uint32_t type(uint32_t reference);
  // The number of a list of allowed types, negative.
  int32_t filter(std::span<const uint32_t> types);
  // `chain`: type and filter numbers in the order in which they are tried; 0 stands for a cleanup and comes last. The
  // result is an offset in the actions + 1; 0 for an empty chain, which is a mere cleanup.
  uint32_t action(std::span<const int32_t> chain);

  std::vector<uint32_t> types;  // reference + 1
  std::vector<uint8_t> filters, actions;

 private:
  struct Record {
    int32_t filter;
    uint32_t next, at;  // at: offset + 1
  };
  std::vector<Record> records_;
  struct Filter {
    std::vector<uint32_t> types;
    int32_t number;
  };
  std::vector<Filter> lists_;
};

inline constexpr uint32_t exception_header_words = 5, exception_call_words = 3;

struct ExceptionTable {
  static constexpr uint32_t align = 4;
  struct Type {
    uint32_t offset, reference;  // 4 bytes there: the distance from the place to the GOT slot of the reference
  };
  std::vector<uint8_t> bytes;
  std::vector<Type> types;
  uint32_t personality = 0;      // reference
};

// `offset_of`: where the code of a MIR index begins; instruction `count` stands for the end. False: the record at
// extra[at] is damaged.
bool build_exception_table(std::span<const uint32_t> extra, uint32_t at, uint32_t count, size_t references,
                           const std::function<uint32_t(uint32_t)>& offset_of, ExceptionTable& out);

}  // namespace lode::codegen
