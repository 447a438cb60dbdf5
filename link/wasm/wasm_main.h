// A whole WebAssembly link, from its command line to its output.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "link/wasm/options.h"
#include "lode/link/diagnostic.h"

namespace lode::link {
class LinkArena;
class MirCache;
}
namespace lode::link::wasm {

// A program that has a link made in its process, instead of the command, whose process it is. The link prints nothing,
// and has its own limit of threads.
struct Host {
  std::function<void(const Diagnostic&)> receive;  // may be empty; called in the order of the messages
  std::string messages;  // the same as the command prints them after its name, a line each
  std::string listing;   // what options have the command print besides: --trace, --Map=-, --verbose and the like
  LinkArena* arena = nullptr;     // that earlier links of the host ran in; null: one is made for this link
  MirCache* mir_cache = nullptr;  // functions that earlier links of the host made; --mir-cache goes before it
  std::vector<std::string> removed;  // Options::removed
  std::vector<uint8_t>* bytes = nullptr;  // the output goes here, and not to a file
};

// args[0] is the program's name; `memory` holds the inputs that are no files. Without a host, messages go to stderr and
// listings to stdout. The result is an exit status.
int main_with(std::span<const char* const> args, std::span<const MemoryInput> memory, Host* host);

}  // namespace lode::link::wasm
