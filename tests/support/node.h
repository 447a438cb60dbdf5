// node with 64-bit memories, which old versions have behind a flag.
#pragma once

#include <string>
#include <vector>

#include "tests/support/run.h"

namespace lode::test {

// The command that runs JavaScript with memory64; empty when there is no node that knows it, with the reason on standard error.
inline std::vector<std::string> node_with_memory64() {
  static const std::vector<std::string> command = []() -> std::vector<std::string> {
    if (!have_tool("node")) return {};
    // A module with nothing but a memory of 64-bit addresses.
    const char* probe = "new WebAssembly.Module(Uint8Array.from([0,97,115,109,1,0,0,0,5,3,1,4,1]))";
    for (std::vector<std::string> c : {std::vector<std::string>{"node"}, {"node", "--experimental-wasm-memory64"}}) {
      std::vector<std::string> all = c;
      all.insert(all.end(), {"-e", probe});
      if (run(all).ok()) return c;
    }
    std::fprintf(stderr, "skipped: node without memory64\n");
    return {};
  }();
  return command;
}

}  // namespace lode::test
