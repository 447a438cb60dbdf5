// Response files: @FILE stands for the arguments in FILE, one after the other, with blanks between them, quoted as
// GNU's tools read them (libiberty, expandargv): a backslash stands for the character behind it, inside of quotes too.
// They may name others.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace lode::link {

// The arguments with the contents of response files in the place of their names. Errors: a file that cannot be read, a
// quote that does not end, files that include each other.
Result<std::vector<std::string>> expand_response_files(std::span<const char* const> args);

}  // namespace lode::link
