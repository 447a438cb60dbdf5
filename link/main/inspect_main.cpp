// The command lode-inspect, which `lode inspect` becomes.
#include "link/inspect/inspect.h"

int main(int argc, char** argv) {
  return lode::link::inspect_main({const_cast<const char* const*>(argv), size_t(argc)});
}
