// Which files a link asked for: those that it opened, and those that it looked for and did not find. A link that is to
// be made again when anything changes (link/watch) has to know both: a library that appears in an earlier folder of -L
// is another link.
//
// One listener of the whole process, the command; without one, noting a file costs a look at a flag.
#pragma once

#include <string>
#include <vector>

#include "link/relink/observed_files.h"

namespace lode::link {

struct Lookup {
  std::string path;
  FileStamp identity;     // when it was first asked for, before it was opened; zeroes: nothing was there
  bool fresh = false;     // changed so shortly before that another change could have left the same time
};

// Before a file is opened or looked for; any thread.
void note_lookup(const std::string& path);
// Whether there is a file of this name that can be read, noted.
bool file_exists(const std::string& path);

void start_lookups();
// What was noted since the start, each once, in the order of the alphabet; and no more is noted.
std::vector<Lookup> end_lookups();

// From now on, in all links of the process, inputs that this user may write are read and not mapped (input_files.cpp):
// a process that stays has to outlive a file that is truncated while it is read. Its links see what was there when they
// opened the file, or an error.
void copy_inputs_that_may_change();

}  // namespace lode::link
