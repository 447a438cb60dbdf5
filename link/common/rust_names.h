// Rust's symbol names made readable.
//
// Two schemes are in use. v0 (RFC 2603, the default of new compilers) spells a path with its generic arguments in a
// grammar of its own; names start with _R. The legacy scheme borrows the form of C++ names, _ZN..17h<hash>E, with
// escapes of its own inside.
#pragma once

#include <string>
#include <string_view>

namespace lode::link {

// False when the name is not a Rust name in either scheme; `out` is then as it was.
bool demangle_rust(std::string_view name, std::string& out);

}  // namespace lode::link
