// Module-level assembly and the IR beside it: what the text says of symbols that the IR defines or names.
#pragma once

#include <memory>
#include <string_view>

#include "base/result.h"
#include "codegen/air/air.h"
#include "codegen/native/asm_object.h"

namespace lode::codegen {

// Assembles the module's text (NativeTarget::assemble_module; null: directives alone), and applies to its symbols what
// is said of them: binding and visibility, `.set`, `.symver`. Null: the module has no assembly. What the object defines
// and the IR names, or the other way round, are the same symbols.
Result<std::unique_ptr<AsmObject>> take_module_asm(air::Module& module,
                                                   Result<AsmObject> (*assemble)(std::string_view text));

}  // namespace lode::codegen
