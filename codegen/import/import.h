// Bitcode as AIR.
//
// open() reads a module's symbols, types and data; function bodies are translated on demand by read(), from any number
// of threads at once. The file's bytes must outlive the object. What is not supported is an error that names the
// function and the instruction; it never becomes wrong code.
//
// The translation: phis become block parameters; blocks are numbered in reverse postorder and unreachable ones are
// dropped; getelementptr becomes ptr_add with the target's layout worked out; allocas of the entry block with a
// constant size become stack slots; constant expressions become Symbol constants with an addend, or instructions before
// their use; intrinsics become AIR instructions or calls of library functions; assumptions are dropped, and debug
// intrinsics and records, unless keep_debug_information() makes them Function::debug_places. Blocks whose address is
// taken keep their meaning: a DataReloc names a block by its AIR number.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "codegen/air/air.h"
#include "mir_store/mir_store.h"

namespace lode::formats::bitcode {
struct Module;
}
namespace lode::codegen {

struct FunctionScratch;
struct ImportState;
struct Intrinsic;

// Finds a machine's own intrinsic by its name without "llvm."; null: not one of them (NativeTarget::intrinsic).
using MachineIntrinsics = const Intrinsic* (*)(std::string_view name);

class BitcodeModule final : public air::BodySource {
 public:
  // `name` is the file's name for messages. Errors have the name as their place. Without `intrinsics` a body that uses
  // a machine's own is refused.
  static Result<std::unique_ptr<BitcodeModule>> open(std::span<const uint8_t> file, std::string name,
                                                     MachineIntrinsics intrinsics = nullptr);
  ~BitcodeModule() override;

  // Before any function is read: functions and their keys come with debug information, if the module has any.
  void keep_debug_information();
  // Of what the metadata numbers in functions speak (formats/bitcode/debug_metadata.h); null: no debug information.
  const formats::bitcode::Module* debug_module() const;
  uint32_t body_number(air::FunctionIndex f) const;           // of the bitcode's bodies
  air::SymbolIndex symbol_of_global(uint32_t global) const;   // of the bitcode's globals; none: has no symbol
  const air::Module& module() const;
  air::Module& module();
  Result<void> read(air::FunctionIndex f, air::Function& out) const override;

  // The same in steps, for whoever may know already what becomes of a function: its body is read, its key found
  // (function_key.h), and only if nobody has the code, the body translated.
  class OpenBody {
   public:
    OpenBody(OpenBody&&) noexcept;
    ~OpenBody();

   private:
    friend class BitcodeModule;
    OpenBody(const ImportState& state, std::unique_ptr<FunctionScratch> scratch);
    const ImportState* state_;
    std::unique_ptr<FunctionScratch> scratch_;
  };
  // Of the whole file's content.
  const mir::Hash128& content() const;
  // No body: a function that the importer makes by itself, for which there is no key.
  bool has_body(air::FunctionIndex f) const;
  Result<OpenBody> open_body(air::FunctionIndex f) const;
  // `symbols`: those that the body names, in the order of the key; none for what is no symbol (intrinsics).
  mir::Hash128 key(OpenBody& body, std::vector<air::SymbolIndex>& symbols) const;
  // The short way to the same (function_key.h): the hash of all that numbers in bodies stand for, and of a body's bits;
  // 0: there is none. bits_say_all(): after key(), whether they decide it.
  uint64_t tables() const;
  uint64_t body_bits(air::FunctionIndex f) const;
  bool bits_say_all(const OpenBody& body) const;
  Result<void> read(OpenBody& body, air::Function& out) const;

 private:
  BitcodeModule();
  std::unique_ptr<ImportState> state_;
};

}  // namespace lode::codegen
