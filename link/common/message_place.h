// Finds file and place in the text of a message. Messages are made as text, for people, by hundreds of places in a
// link; those of them who show messages in their own way get what the text says as fields, too.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "lode/link/diagnostic.h"

namespace lode::link {

// How many characters at the beginning of `text` are the name of a file of this link; 0: none. Of several names the
// longest.
using FileAtStart = std::function<size_t(std::string_view text)>;

// The message of a text in one of the forms
//   FILE: ...    FILE:LINE:COLUMN: error: ...    FILE:(PLACE): ...    FILE: function NAME: ...
// or with the first of them further on in its lines. Errors of a text file stand in one text, one after another: each
// is a message.
std::vector<Diagnostic> take_apart(Severity severity, std::string_view text, const FileAtStart& file_at_start);

}  // namespace lode::link
