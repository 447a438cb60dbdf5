// What x86-64 does beyond its tables: control-flow enforcement (x86_64_properties.cpp, x86_64_endbr.cpp).
#pragma once

#include <cstdint>
#include <vector>

namespace lode::link::elf {

struct Link;

namespace x86_64 {

std::vector<uint8_t> merge_properties(Link& link);  // the output's note; empty: none
void report_missing_cet(Link& link);                // -z cet-report
void rewrite_endbr(Link& link);                     // -z rewrite-endbr

}  // namespace x86_64
}  // namespace lode::link::elf
