// The version that outputs name their maker by (.comment, producers section) and that --version prints. CMake reads it
// from here.
#pragma once

#define LODE_VERSION "0.1.0"
