// Nothing yet.
#include "link/elf/lower.h"
#include "link/elf/modules.h"
namespace lode::link::elf {
void module_roots(Link&, const std::function<void(uint32_t)>&) {}
bool lower_reached(Link&, const std::function<void(uint32_t)>&) { return false; }
bool take_late_members(Link&) { return false; }
void place_functions(Link&) {}
void scan_functions(Link&) {}
bool measure_functions(Link&) { return true; }
void write_functions(Link&) {}
void layout_function_frames(Link&, uint64_t&, uint64_t&) {}
void write_function_frames(Link&, OutputSection&, uint8_t*) {}
bool is_module(Bytes, const std::string&) { return false; }
bool link_relocatable(Link& link) { link.diag.error("-r is not supported"); return false; }
void print_map(Link&) {}
}
