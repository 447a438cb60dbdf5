// lode --watch: a link that stays, and is made again when one of its inputs changes.
//
// Which linker it is does not matter here: it is a function that links once, with what it keeps from link to link.
//
//   waiting --change--> complete? --yes--> link --good--> said, command run --> waiting
//      ^                  |  ^               |
//      |                  no-+ (closed)      +--error--> quiet? --yes--> said once --> waiting
//      |                                                   |
//      +---------------------------------------------------+--change--> complete?
//
// A compiler writes an object in pieces, or removes it first: a link that comes too early sees a broken or a missing
// file. So nothing is linked while a file that counts is being written (at most some seconds: it may never be closed),
// and an error is not said before the files were quiet for a moment; if they were not, the link is made again and that
// error was none. A success is said at once. Errors that are those of the last link are not said again.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "link/watch/file_watch.h"

namespace lode::link {

// Whether --watch is among the arguments of a command line (response files not looked into).
bool asks_to_watch(std::span<const std::string> args);

struct WatchedLink {
  bool ok = false;
  bool same_files = false;          // it asked for no other files than the last one, and may have opened fewer of them
  std::string output;               // its path
  std::vector<std::string> messages;  // warnings and errors, as the command prints them
  std::string listing;
};
// `args` are those of the command, without --watch and its like. `changed`: since the last link; at first, nothing.
using LinkOnce =
    std::function<WatchedLink(const std::vector<std::string>& args, const std::vector<ChangedFile>& changed)>;

// Stays until a signal asks to end. The exit status: 0 if the last link was good. `args` as given to the command,
// args[0] is its name.
int watch(std::span<const char* const> args, const LinkOnce& link_once);

}  // namespace lode::link
