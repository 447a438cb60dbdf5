// What a link has to say, taken apart for a host that shows it in its own way (an editor, a build system).
#pragma once

#include <cstdint>
#include <string>

namespace lode::link {

enum class Severity : uint8_t { warning, error };

struct Diagnostic {
  Severity severity = Severity::error;
  std::string file;   // the input that it is about: a path, "libx.a(y.o)", a module's name; empty: none, or not known
  uint32_t line = 0, column = 0;  // in a file of text, from 1; 0: not known
  std::string place;  // otherwise, where in the file: ".text+0x10", "function main"; empty: not known
  std::string text;   // the whole message, the names above in it; further lines go with it
};

}  // namespace lode::link
