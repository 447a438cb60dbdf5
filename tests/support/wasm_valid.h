// wabt's opinion of a module. Tests ask it of every module that they write, whatever else they look at.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "tests/support/run.h"

namespace lode::test {

// Whether wasm-validate takes the file; true, with a word about it, when the tool is absent.
inline bool valid_wasm(const std::string& path) {
  if (!have_tool("wasm-validate")) {
    static bool told = false;
    if (!told) std::fprintf(stderr, "left out: modules are not validated, wasm-validate is not installed\n");
    told = true;
    return true;
  }
  RunResult r = run({"wasm-validate", "--enable-all", path});
  // The table type of LLVM's 64-bit ABI, which old versions of the tool do not know.
  if (!r.ok() && r.err.find("tables may not be 64-bit") != std::string::npos) {
    std::fprintf(stderr, "left out: a module is not validated, wasm-validate without 64-bit tables\n");
    return true;
  }
  if (!r.ok()) std::fprintf(stderr, "%s\n", r.err.c_str());
  return r.ok();
}

inline bool valid_wasm(const std::vector<uint8_t>& bytes) {
  TempDir dir;
  return valid_wasm(dir.write("m.wasm", std::string(bytes.begin(), bytes.end())));
}

}  // namespace lode::test
