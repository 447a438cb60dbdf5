// Stub libraries: text files that say what the surroundings of a module provide, as Emscripten's tools write them and
// wasm-ld reads them. The first line begins with "#STUB"; each other line that is not empty and no comment ("#") is a
// name, and after a colon the names, separated by commas, that the provider calls in turn:
//
//     #STUB
//     getaddrinfo: malloc, htons
//     puts
//
// A name that is referred to and that nothing in the link defines becomes an import, and what it needs is exported; it
// is an error if that is undefined. The first library that has a name counts. A name without a reference asks for
// nothing.
#include <unordered_set>

#include "link/wasm/link.h"

namespace lode::link::wasm {

namespace {

std::string_view trimmed(std::string_view s) {
  constexpr std::string_view space = " \t\r";
  size_t begin = s.find_first_not_of(space);
  if (begin == std::string_view::npos) return {};
  return s.substr(begin, s.find_last_not_of(space) - begin + 1);
}

// The part of `rest` before `end`, which is taken off together with it.
std::string_view next(std::string_view& rest, char end) {
  size_t at = std::min(rest.find(end), rest.size());
  std::string_view part = rest.substr(0, at);
  rest.remove_prefix(std::min(at + 1, rest.size()));
  return trimmed(part);
}

}  // namespace

void Link::add_stub_library(Bytes bytes, const std::string& name) {
  std::string_view library = keep(name), rest(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  next(rest, '\n');
  while (!rest.empty()) {
    std::string_view line = next(rest, '\n');
    if (line.empty() || line[0] == '#') continue;
    Stub stub;
    stub.library = library;
    stub.name = next(line, ':');
    while (!line.empty())
      if (std::string_view needed = next(line, ','); !needed.empty()) stub.needs.push_back(needed);
    if (!stub.name.empty()) stubs.push_back(std::move(stub));
  }
}

void Link::use_stubs() {
  if (options.relocatable) return;
  std::unordered_set<std::string_view> used;
  // An archive member that is taken for a need may refer to other stubs.
  for (bool more = true; more;) {
    more = false;
    for (size_t i = 0; i < stubs.size(); i++) {
      const Stub& stub = stubs[i];
      auto found = by_name.find(stub.name);
      if (found == by_name.end()) continue;
      Symbol& s = at(found->second);
      if (s.state != State::undefined || !s.referenced || !used.insert(stub.name).second) continue;
      more = true;
      s.allowed_undefined = true;
      for (std::string_view name : stub.needs) {
        auto needed = by_name.find(name);
        if (needed != by_name.end() && at(needed->second).state == State::lazy) {
          mention(needed->second);
          extract_pending();
        }
        if (needed == by_name.end() || at(needed->second).state != State::defined)
          diagnostics.error(std::string(stub.library) + ": undefined symbol: " + std::string(name) +
                            "\n>>> required by " + describe(found->second));
        else
          at(needed->second).forced_export = true;
      }
    }
  }
}

}  // namespace lode::link::wasm
