// A machine, as the ELF linker sees it: tables of constants and a handful of functions. Everything else about linking
// is the same for all of them and stands in the other folders of link/elf.
//
// Relocations. A row of the machine's table says what a relocation type wants (Want: its formula, in the psABIs'
// letters S, A, P, G, L) and which field it fills. From the wants alone the linker knows what has to be reserved
// (relocations/scan.cpp with the action tables of relocations/actions.cpp) and what value goes where
// (relocations/apply.cpp). Plain words of 1 to 8 bytes are stored by the linker; fields that lie inside instructions
// are the machine's to store.
//
// Rewriting. Whether an access by the GOT, or to thread-local storage, could take a shorter way is decided by the link
// (a symbol bound here, an executable); whether the instructions at the place can be rewritten for it is for the
// machine to say. Scan asks once and keeps the answer (KeptRewrite); apply and --emit-relocs read it. So what was
// reserved is what is used.
#pragma once

#include <span>
#include <string_view>

#include "codegen/native/target.h"
#include "link/elf/link.h"

namespace lode::link::elf {

enum class Want : uint8_t {
  nothing,        // says something about the place, or nothing at all
  address,        // S + A
  distance,       // S + A - P
  call,           // the same, but by the PLT where the symbol may bind elsewhere: L + A - P
  plt_offset,     // L + A - GOT
  got_offset,     // G + A: of the slot in the GOT
  got_distance,   // GOT + G + A - P
  got_distance_relaxable,  // the same, in an instruction that may be made to do without the slot
  offset_in_got,  // S + A - GOT
  got_base,       // GOT + A - P
  size,           // of the symbol, + A
  set,            // S + A, whatever the output is: the first half of a difference
  add, subtract,  // the field grows or shrinks by S + A
  set_leb, subtract_leb,  // the two halves of a difference in an unsigned LEB128
  follower,       // what is left of the value of the relocation at the place that the symbol names
  gp_distance,    // S + A - the global pointer; the linker makes it, no input has it
  relax_mark,     // allows that the instructions of the relocation before it be shortened
  alignment,      // A bytes of padding, of which the linker leaves as many as alignment needs
  refused,        // known by name, and not done
  tls_general,    // the distance to the slots of (module, offset)
  tls_module,     // that of the slots of this module
  tls_offset,     // in the module's block
  tls_initial,    // the distance to the slot with the offset from the thread pointer
  tls_local,      // the offset from the thread pointer itself
  tls_descriptor, // the distance to the slots of a TLS descriptor
  tls_descriptor_call,  // the call through it
  unknown,
};

// A little-endian word and what fits in it; `low6`: the lower six bits of a byte; `instruction`: the machine stores it.
enum class Field : uint8_t { none, any, s8, s16, s32, u32, su8, su16, low6, instruction };

struct RelocationRow {
  uint32_t type;
  const char* name;
  uint8_t bytes;        // that the field occupies at the place
  Want want;
  Field field;
  uint8_t bits = 0;     // that the value has room in, where it is not all of the bytes
};

// A place in an input section, with everything around it.
struct InputPlace {
  const Rela* relocs;
  uint32_t index, count;          // relocs[index] is the one in question
  std::span<const uint8_t> data;  // of the section, as the input has it
  size_t symbol_count;            // of the file: relocations beyond it are malformed
  std::span<const uint32_t> followers = {};  // relocations that name this one's place (Want::follower)
  const Rela& rel() const { return relocs[index]; }
};

struct RewriteValues {
  uint64_t target = 0;   // Rewrite::distance, absolute: S; local_exec: S + A, from the thread pointer;
                         // initial_exec: the address of the slot
  uint64_t place = 0;    // P
  int64_t addend = 0;    // A
  bool undefined_weak = false;
  int64_t misfit = 0;    // out: the value that did not fit
};

struct ShrinkRules;  // relocations/shrink.h

struct Machine {
  const char* name;                             // as messages say it
  uint16_t elf_machine;
  std::span<const char* const> emulations;      // of -m; the first is the one that is listed
  std::span<const char* const> architectures;   // first parts of the triples whose code this is
  std::span<const char* const> library_directories;  // where the system's libraries are, below --sysroot; in order
  const char* dynamic_linker;
  uint64_t page_size;
  uint64_t default_base;                        // of a position-dependent executable
  uint8_t trap_fill;                            // between pieces of code
  uint64_t large_section;                       // section flag of the large code model; 0: there is none
  uint32_t unwind_section_type;                 // of .eh_frame in objects
  bool tls_below_tp;                            // variant II: the TLS image ends at the thread pointer
  // PLT and GOT: bytes; gotplt_header in slots.
  uint32_t plt_header_size, plt_entry_size, gotplt_header, pltgot_entry_size, pltgot_ibt_entry_size;
  // Relocation types by their meaning.
  uint32_t r_none, r_relative, r_glob_dat, r_jump_slot, r_copy, r_irelative, r_dtpmod, r_dtpoff, r_tpoff, r_tlsdesc;
  uint32_t r_address[4], r_distance[4];         // of words of 1, 2, 4 and 8 bytes

  std::span<const RelocationRow> relocations;   // by type, without gaps
  const RelocationRow& row(uint32_t type) const { return type < relocations.size() ? relocations[type] : unknown; }
  static constexpr RelocationRow unknown{0, "unknown", 0, Want::unknown, Field::none};
  uint32_t r_word(unsigned bytes, bool distance) const {
    return (distance ? r_distance : r_address)[bytes == 1 ? 0 : bytes == 2 ? 1 : bytes == 4 ? 2 : 3];
  }
  bool is_call(uint32_t type) const { return row(type).want == Want::call; }

  // Fields of kind `instruction`; false: the value does not fit. Null: the machine has none.
  bool (*store)(const RelocationRow&, uint8_t* at, uint64_t value);
  // How many relocations behind this one belong to its sequence, if the instructions there can be rewritten to `to`;
  // -1 if they cannot. For TLS with Rewrite::none: whether the sequence is one that may stand there at all.
  int (*sequence)(const InputPlace&, Rewrite to);
  // Rewrites the copy of the section; `at` is the place in it. False: a value does not fit.
  bool (*rewrite)(const InputPlace&, Rewrite to, uint8_t* at, RewriteValues& values);
  // What describes a rewritten place, for --emit-relocs.
  void (*describe)(const InputPlace&, Rewrite to, Rela& out);
  // The relocation type of a codegen::Fixup's kind.
  uint32_t (*fixup_type)(uint16_t kind);
  void (*write_plt)(Link&, uint8_t* out);
  void (*write_pltsec)(Link&, uint8_t* out);
  // Where the slot of entry i leads until the symbol is bound: into the lazy entry.
  uint64_t (*lazy_address)(const Link&, uint32_t i);
  void (*write_pltgot)(Link&, uint8_t* out);
  // The output's e_flags, and what objects say of themselves put together: errors and warnings go to Link::diag. May be
  // null.
  uint32_t (*merge_flags)(Link&);
  std::vector<uint8_t> (*merge_properties)(Link&);  // .note.gnu.property; empty: none
  void (*report_properties)(Link&);
  // The finished image, when an option asks for a rewriting of code. May be null.
  void (*rewrite_image)(Link&);
  const codegen::NativeTarget* (*code)();  // null: none can be made from IR

  uint8_t function_align_log2 = 4;  // of functions of IR that ask for no more

  // What only some machines have.
  uint32_t got_header = 0;        // slots in front of the GOT; the first holds the address of _DYNAMIC
  bool got_base_in_got = false;   // _GLOBAL_OFFSET_TABLE_ stands for .got, and not for .got.plt
  uint64_t dtp_bias = 0;          // offsets in a module's thread-local block count from here
  bool tls_rewrite_optional = false;  // thread-local accesses that cannot be rewritten work in executables, too
  bool sorted_relocations = false;    // to be read in the order of their places
  uint8_t symbol_other = 0;       // bits of st_other that the output keeps
  int64_t symbol_other_tag = 0;   // dynamic tag that says that a function of the PLT has some
  const char* global_pointer = nullptr;  // symbol that small data is addressed by
  // The section in which objects describe themselves by attributes, and the segment for it.
  const char* attributes_section = nullptr;
  uint32_t attributes_type = 0, attributes_segment = 0;
  std::vector<uint8_t> (*merge_attributes)(Link&) = nullptr;
  // A call of an undefined weak function: goes to address 0, wherever it is. Null: S + A.
  void (*call_nowhere)(const RelocationRow&, uint8_t* at) = nullptr;
  // Code that gets shorter, and with it all rewriting. Null: code keeps its size.
  const ShrinkRules* shrink = nullptr;
};

// Every machine that this linker knows (machines.cpp).
std::span<const Machine* const> machines();
const Machine* machine_of_emulation(std::string_view name);  // null: none
// Whether code for the triple is code for the machine's ELF output. Nothing said is taken as that.
bool accepts_triple(const Machine& machine, std::string_view triple);
// "incompatible file: machine 183 is not x86-64"
Error wrong_machine(const Machine& machine, uint16_t e_machine);

extern const Machine riscv64_machine, x86_64_machine;

}  // namespace lode::link::elf
