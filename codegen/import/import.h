// Bitcode as AIR.
//
// open() reads a module's symbols, types and data; function bodies are translated on demand by read(), from any number of
// threads at once. The file's bytes must outlive the object. What is not supported is an error that names the function and
// the instruction; it never becomes wrong code.
//
// The translation: phis become block parameters; blocks are numbered in reverse postorder and unreachable ones are dropped;
// getelementptr becomes ptr_add with the target's layout worked out; allocas of the entry block with a constant size become
// stack slots; constant expressions become Symbol constants with an addend, or instructions before their use; intrinsics
// become AIR instructions or calls of library functions; debug intrinsics and records and assumptions are
// dropped. Blocks whose address is taken keep their meaning: a DataReloc names a block by its AIR number.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "codegen/air/air.h"

namespace lode::codegen {

struct ImportState;

class BitcodeModule final : public air::BodySource {
 public:
  // `name` is the file's name for messages. Errors have the name as their place.
  static Result<std::unique_ptr<BitcodeModule>> open(std::span<const uint8_t> file, std::string name);
  ~BitcodeModule() override;

  const air::Module& module() const;
  air::Module& module();
  Result<void> read(air::FunctionIndex f, air::Function& out) const override;

 private:
  BitcodeModule();
  std::unique_ptr<ImportState> state_;
};

}  // namespace lode::codegen
