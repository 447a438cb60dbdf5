// IR modules as inputs of an ELF link.
//
// A module is read into the same shape as an object: one section (atom) for every function and data item it defines, a symbol
// table, relocations for its initialisers. So resolution, liveness, layout and relocation treat both alike; what differs is
// where a function's bytes come from.
#pragma once

#include <memory>
#include <string>

#include "link/elf/link.h"

namespace lode::link::elf {

// By content: bitcode (raw or wrapped), or AIR text when the name ends in ".air".
bool is_module(Bytes data, const std::string& name);

}  // namespace lode::link::elf
