// -r
#include "link/elf/link.h"
namespace lode::link::elf {
bool link_relocatable(Link& link) {
  link.diag.error("-r is not supported yet");
  return false;
}
void print_map(Link&) {}
}
