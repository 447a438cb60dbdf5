// node with features of WebAssembly that old versions have behind a flag.
#pragma once

#include <cstdio>
#include <string>
#include <vector>

#include "tests/support/run.h"

namespace lode::test {

// The command that runs JavaScript with a feature: node alone, or node with the flag. `probe`: the bytes, as a
// JavaScript list, of a module that is valid only with the feature. Empty when there is no node that knows it, with the
// reason on standard error.
inline std::vector<std::string> node_with(const char* feature, const std::string& flag, const std::string& probe) {
  if (!have_tool("node")) return {};
  for (std::vector<std::string> c : {std::vector<std::string>{"node"}, {"node", flag}}) {
    std::vector<std::string> all = c;
    all.insert(all.end(), {"-e", "new WebAssembly.Module(Uint8Array.from([0,97,115,109,1,0,0,0," + probe + "]))"});
    if (run(all).ok()) return c;
  }
  std::fprintf(stderr, "left out: node without %s\n", feature);
  return {};
}

// A module with nothing but a memory of 64-bit addresses.
inline const std::vector<std::string>& node_with_memory64() {
  static const std::vector<std::string> command = node_with("memory64", "--experimental-wasm-memory64", "5,3,1,4,1");
  return command;
}

// A function that calls itself by return_call.
inline const std::vector<std::string>& node_with_tail_calls() {
  static const std::vector<std::string> command =
      node_with("tail calls", "--experimental-wasm-return_call", "1,4,1,96,0,0,3,2,1,0,10,6,1,4,0,18,0,11");
  return command;
}

}  // namespace lode::test
