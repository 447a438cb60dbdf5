// What the linker and a target's code generator say to each other.
//
//   lower    one AIR function -> one mir::FunctionDraft. Any thread; reads the module, asks for no address and no
//            index.
//   measure  the exact size of a function's text, once the linker has chosen a form for each of its references.
//   emit     the bytes at their final place, from MIR + resolved references. Pure: twice gives the same bytes.
//
// The same emit serves executables (final values, no relocations) and object files (fixed-width fields and Fixups).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/index.h"
#include "base/result.h"
#include "codegen/air/air.h"
#include "codegen/native/asm_sections.h"
#include "mir_store/mir_store.h"

namespace lode::codegen {

struct Intrinsic;
struct AsmObject;

// How code may reach a module's symbol, decided by the linker (or, in object mode, from dso_local and visibility).
enum class SymbolReach : uint8_t {
  direct,  // binds inside the output: pc-relative or absolute
  got,     // may bind elsewhere: through the GOT or PLT
};

struct TargetOptions {
  bool pic = false;  // the output's address is not known at link time (PIE, shared library, object for either)
  bool shared = false;         // TLS models: a shared library cannot use the executable's
  bool object = false;         // object mode
  bool force_frame_pointer = false;
  bool debug = false;          // functions carry debug information, if their module has it
  bool branch_targets = false; // mark what indirect branches may reach, also in modules that do not ask for it
  uint32_t features = 0;       // the target's own bits (wasm: simd128, bulk-memory, ...)
};

struct LowerContext {
  const air::Module* module = nullptr;
  std::span<const SymbolId> symbols;       // by air::SymbolIndex
  std::span<const SymbolReach> reach;      // by air::SymbolIndex
  std::span<const SymbolId> runtime;       // by air::RuntimeFunction
  // Blocks of the function (AIR BlockIds) whose addresses the module's data holds. Lowering ends the function's
  // constants with one 32-bit word for each: the distance from the start of these words to the block's text, filled in
  // by emit.
  std::span<const uint32_t> exported_blocks;
  TargetOptions options;
};

// Working memory of one thread, kept between functions; each target derives its own.
class LowerScratch {
 public:
  virtual ~LowerScratch() = default;
};

// Bits of mir::FunctionDraft::flags that native targets share.
namespace draft_flags {
inline constexpr uint16_t has_type_checks = 1;  // there will be FunctionSizes::traps
inline constexpr uint16_t has_asm_sections =
    2;  // its assembly writes into other sections: codegen/native/asm_sections.h
}

// How the linker answers one Reference of a function. Emit gets an array of these, parallel to the function's
// references.
enum class ReferenceForm : uint8_t {
  relocation,  // object mode: leave a Fixup
  direct,      // address = S + A, pc-relative reachable
  absolute,    // address = S + A, a link-time constant below 2^31 (non-PIC, or an absolute or undefined weak symbol)
  got,         // address = of the GOT slot (A is 0)
  tls_local_exec,       // address = offset from the thread pointer, as int64
  tls_initial_exec,     // address = of the GOT slot that holds that offset
  tls_general_dynamic,  // address = of the GOT pair {module, offset}
  tls_local_dynamic,    // address = of the GOT pair {module, 0}
  // Shorter ones, of machines that have them (NativeTarget::near_form); the linker proves that they reach.
  near,             // direct, and the short call reaches it from the whole text
  small_absolute,   // absolute, and an offset from register 0 says it
  gp_relative,      // address = S + A - the global pointer, an offset from that register
  tls_near,         // as tls_local_exec, and an offset from the thread pointer says it
};
struct ResolvedReference {
  uint64_t address = 0;
  ReferenceForm form = ReferenceForm::direct;
};

// Object mode: one relocation that a field of the function needs.
struct Fixup {
  enum class Place : uint8_t { text, constants, exceptions };
  // reference: one of the function's; label: a place in its text that is named by itself, where pairs of relocations
  // meet (on RISC-V the low part of a pc-relative address names the instruction that has the high part); text: the
  // start of its text (jump tables).
  enum class Target : uint8_t { reference, label, text };
  uint32_t offset = 0;  // of the field, from the start of its place
  uint16_t kind = 0;    // the machine's own (x86_64: FixupKind); the linker knows the file format's number of it
  Place place = Place::text;
  Target target = Target::reference;
  uint32_t index = 0;   // reference: which one; label: its offset in the text
  int64_t addend = 0;   // complete: includes the reference's addend and the -4 of x86_64's pc-relative fields
};

struct FunctionSizes {
  uint32_t text = 0, constants = 0;
  uint32_t cfi = 0;  // bytes that emit appends to EmitPlace::cfi: layout places .eh_frame before emit runs
  uint32_t exceptions = 0;       // bytes of the exception table (LSDA), aligned to 4; 0: the function has none
  uint32_t personality = ~0u;    // with an exception table: the function's reference to its personality routine
  uint32_t entry = 0;  // where in the text the function's symbol stands: behind what the entry's neighbours read
  uint32_t traps = 0;            // checks of type ids (KCFI): the places that EmitPlace::traps gets
  bool operator==(const FunctionSizes&) const = default;
};

// A field of 32 bits that holds the address of a reference, or the distance to it: it changes by what that changes.
struct ReferenceField {
  uint32_t offset;     // in the text
  uint32_t reference;
};

// Where emit writes. text, constants and exceptions point to memory of exactly the measured sizes.
struct EmitPlace {
  uint8_t* text = nullptr;
  uint8_t* constants = nullptr;
  uint8_t* exceptions = nullptr;
  uint64_t text_address = 0, constants_address = 0, exceptions_address = 0;
  std::vector<Fixup>* fixups = nullptr;  // appended to in object mode; null otherwise
  std::vector<uint8_t>* cfi =
      nullptr;  // if given: the FDE's call frame instructions are appended (DWARF 5 section 6.4.2),
                // to be used with the target's common CIE
  std::vector<uint32_t>* traps = nullptr;  // if given: the offsets in the text of the traps of type checks are appended
  std::vector<ReferenceField>* fields = nullptr;  // if given, and there are addresses: appended to
  // If given: what the memory was sized by. Emit compares before it writes: sizes may come from where they can be
  // damaged.
  const FunctionSizes* sizes = nullptr;
};

// How debug information reaches a function's frame, in its body: the registers by DWARF's numbers.
struct DebugFrame {
  uint16_t slot_register = 0, incoming_register = 0;
  int64_t incoming = 0;            // of the first stack argument
  std::vector<int32_t> slots;      // displacements
};

// A native target as a table of functions: no virtual call per instruction, one indirect call per function.
// What the last layout says of a reference: where it leads, where the text that has it stands.
struct NearPlace {
  uint64_t address = 0;  // S + A; of thread-local ones the offset from the thread pointer
  uint64_t text_begin = 0, text_end = 0;
  uint64_t global_pointer = 0;  // 0: code may not use it
};

struct NativeTarget {
  uint16_t elf_machine;
  std::unique_ptr<LowerScratch> (*make_scratch)();
  // `fn` is consumed: legalisation rewrites it in place.
  Result<void> (*lower)(air::Function& fn, const LowerContext& context, LowerScratch& scratch, mir::FunctionDraft& out);
  Result<FunctionSizes> (*measure)(const mir::FunctionView& fn, std::span<const ResolvedReference> references,
                                   const TargetOptions& options);
  Result<void> (*emit)(const mir::FunctionView& fn, std::span<const ResolvedReference> references,
                       const TargetOptions& options, const EmitPlace& place);
  // The machine's own intrinsics (codegen/import/intrinsics.h), for the importer. `name` is without "llvm."; null: not
  // one of them.
  const Intrinsic* (*intrinsic)(std::string_view name);
  // Module-level assembly (codegen/native/asm_object.h); null: only directives that speak of symbols are understood.
  Result<AsmObject> (*assemble_module)(std::string_view text);
  // Of a function with the flag has_asm_sections: its record; false when it is damaged.
  bool (*asm_sections)(const mir::FunctionView& fn, std::vector<AsmSection>& out);
  // Replaces MIR indices by the offsets in the text that emit will give them; `references` as for measure.
  Result<void> (*label_offsets)(const mir::FunctionView& fn, std::span<const ResolvedReference> references,
                                const TargetOptions& options, std::span<uint32_t> labels);
  // Of a reference in the short form `now`: that form if it reaches `place`, else the next one that does, which may be
  // `full`. The order is small_absolute, gp_relative. Null: the machine has no short forms.
  ReferenceForm (*near_form)(ReferenceForm full, ReferenceForm now, const NearPlace& place) = nullptr;
  Result<void> (*debug_frame)(const mir::FunctionView& fn, DebugFrame& out);
  std::span<const uint8_t> dwarf_registers;  // DWARF's number by codegen::Reg; 255: none
  // The CIE's initial instructions, code and data alignment factors and return address column.
  std::span<const uint8_t> cie_instructions;
  uint32_t cie_code_align;
  int32_t cie_data_align;
  uint32_t cie_return_register;
};

}  // namespace lode::codegen

namespace lode::x86_64 {
const codegen::NativeTarget& target();
}
