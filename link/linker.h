// For programs that are built against the source folder: the public headers are in include/lode, and are installed from
// there.
#pragma once

#include "../include/lode/link/linker.h"
