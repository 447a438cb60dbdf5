// For tests: MIR made into code that can be run, with its unwind rules as a table by offset.
#pragma once

#include <catch2/catch.hpp>

#include <cstring>
#include <string>
#include <sys/mman.h>
#include <vector>

#include "base/bytes.h"
#include "codegen/x86_64/lower_frame.h"
#include "codegen/x86_64/emit.h"
#include "codegen/x86_64/mir_writer.h"
#include "codegen/x86_64/print.h"

namespace lode::test {

// Where the caller's frame and registers are at one place of the code. Registers by DWARF's numbers: 7 is rsp, 6 rbp.
struct UnwindRule {
  uint8_t cfa_register = 7;
  int64_t cfa_offset = 8;
  int64_t saved[17] = {};  // by DWARF number: bytes below the CFA; 0: still in the register
};

// The call frame instructions as a rule for each offset of the text.
inline std::vector<UnwindRule> unwind_table(const std::vector<uint8_t>& cfi, uint32_t text_size) {
  std::vector<UnwindRule> table(text_size + 1), stack;
  UnwindRule now;
  now.saved[16] = 8;
  uint32_t at = 0;
  auto advance = [&](uint32_t to) {
    REQUIRE(to <= text_size);
    for (; at < to; at++) table[at] = now;
  };
  size_t i = 0;
  auto uleb = [&] {
    uint64_t v = 0;
    for (unsigned shift = 0;; shift += 7) {
      v |= uint64_t(cfi.at(i) & 0x7f) << shift;
      if (!(cfi[i++] & 0x80)) return v;
    }
  };
  while (i < cfi.size()) {
    uint8_t op = cfi[i++];
    if (op >> 6 == 1) {
      advance(at + (op & 63));
    } else if (op >> 6 == 2) {
      now.saved[op & 63] = int64_t(uleb()) * 8;
    } else if (op == 2) {
      advance(at + cfi.at(i)), i += 1;
    } else if (op == 3) {
      advance(at + load_le<uint16_t>(&cfi.at(i))), i += 2;
    } else if (op == 4) {
      advance(at + load_le<uint32_t>(&cfi.at(i))), i += 4;
    } else if (op == 0x0a) {
      stack.push_back(now);
    } else if (op == 0x0b) {
      REQUIRE(!stack.empty());
      now = stack.back();
      stack.pop_back();
    } else if (op == 0x0c) {
      uint64_t r = uleb();
      REQUIRE((r == 7 || r == 6 || r == 11));
      now.cfa_register = uint8_t(r);
      now.cfa_offset = int64_t(uleb());
    } else if (op == 0x0d) {
      uint64_t r = uleb();
      REQUIRE((r == 7 || r == 6));
      now.cfa_register = uint8_t(r);
    } else if (op == 0x0e) {
      now.cfa_offset = int64_t(uleb());
    } else {
      FAIL("unexpected call frame instruction " << int(op));
    }
  }
  CHECK(stack.empty());
  advance(text_size);
  table[text_size] = now;
  return table;
}

// Code in executable memory: constants behind the text.
class Code {
 public:
  explicit Code(const mir::FunctionDraft& draft, std::vector<codegen::ResolvedReference> refs = {},
                codegen::TargetOptions options = {}) {
    mir::FunctionView view = x86_64::view_of(draft);
    refs.resize(draft.references.size());
    auto sizes = x86_64::measure(view, refs, options);
    if (!sizes.ok()) FAIL(sizes.error().text());
    size = sizes->text;
    uint32_t constants_at = uint32_t(align_up(size, 64));
    mapped_ = align_up(constants_at + sizes->constants + 1, 4096);
    memory_ = static_cast<uint8_t*>(mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    REQUIRE(memory_ != MAP_FAILED);
    codegen::EmitPlace place;
    place.text = memory_;
    place.constants = memory_ + constants_at;
    place.text_address = reinterpret_cast<uint64_t>(place.text);
    place.constants_address = reinterpret_cast<uint64_t>(place.constants);
    place.cfi = &cfi;
    auto done = x86_64::emit(view, refs, options, place);
    if (!done.ok()) FAIL(done.error().text());
    CHECK(cfi.size() == sizes->cfi);
    std::vector<uint8_t> again(constants_at + sizes->constants), cfi_again;
    place.text = again.data();
    place.constants = again.data() + constants_at;
    place.cfi = &cfi_again;
    REQUIRE(x86_64::emit(view, refs, options, place).ok());
    CHECK(std::memcmp(again.data(), memory_, again.size()) == 0);
    CHECK(cfi == cfi_again);
    mprotect(memory_, mapped_, PROT_READ | PROT_EXEC);
  }
  ~Code() {
    if (memory_) munmap(memory_, mapped_);
  }
  Code(const Code&) = delete;
  Code& operator=(const Code&) = delete;

  const uint8_t* text() const { return memory_; }
  template <class F>
  F* as() const {
    return reinterpret_cast<F*>(memory_);
  }
  std::string hex() const {
    std::string out;
    char buf[4];
    for (uint32_t i = 0; i < size; i++) {
      std::snprintf(buf, sizeof buf, "%02x ", memory_[i]);
      out += buf;
    }
    return out;
  }

  uint32_t size = 0;
  std::vector<uint8_t> cfi;

 private:
  uint8_t* memory_ = nullptr;
  size_t mapped_ = 0;
};

}  // namespace lode::test
