// The kinds of relocation that x86_64 code asks for in object mode (codegen::Fixup::kind), by the psABI's names. Which
// number a file format gives each is the linker's matter.
#pragma once

#include <cstdint>

namespace lode::x86_64 {

enum class FixupKind : uint16_t {
  none,
  pc32,          // R_X86_64_PC32
  plt32,         // R_X86_64_PLT32
  abs32s,        // R_X86_64_32S
  rex_gotpcrelx, // R_X86_64_REX_GOTPCRELX
  tpoff32,       // R_X86_64_TPOFF32
  gottpoff,      // R_X86_64_GOTTPOFF
  tlsgd,         // R_X86_64_TLSGD
};

}  // namespace lode::x86_64
