// Warnings about what is allowed and rarely meant: an executable stack, a name that is code here and data there.
#include "link/elf/link.h"

namespace lode::link::elf {

// An object that asks for an executable stack asks for the whole process.
void warn_execstack(Link& link) {
  if (!link.opt.warn_execstack || link.opt.execstack) return;
  for (ObjectFile* f : link.objects)
    if (f->exec_stack)
      link.diag.warning(
          f->name + ": requires executable stack (because the .note.GNU-stack section is executable)" +
              (link.opt.execstack_if_needed ? "" : ", but -z execstack is not given: may cause a segmentation fault"),
          uint64_t(f->priority) << 32);
}

// A name that is code for one and data for the other is rarely meant: a variable called like a function of libc.
void warn_symbol_types(Link& link) {
  for (SharedFile* so : link.shareds)
    for (uint32_t i = 0; i < so->globals.names.size(); i++) {
      const Sym& theirs = so->syms[i];
      const Symbol& s = link.symbols[so->globals.names[i].id];
      if (!s.defined() || s.file == so->id || !link.files[s.file]->is_object() || s.linker_defined ||
          theirs.shndx == SHN_UNDEF)
        continue;
      auto is_code = [](uint8_t type) { return type == STT_FUNC || type == STT_GNU_IFUNC; };
      auto known = [&](uint8_t type) {
        return is_code(type) || type == STT_OBJECT || type == STT_COMMON || type == STT_TLS;
      };
      if (!known(s.type) || !known(theirs.type()) || is_code(s.type) == is_code(theirs.type()) ||
          s.visibility() == STV_HIDDEN)
        continue;
      link.diag.warning("symbol type mismatch: " + link.display(s) + "\n>>> " +
                            (is_code(s.type) ? "a function" : "a variable") + " in " + link.files[s.file]->name +
                            "\n>>> " + (is_code(theirs.type()) ? "a function" : "a variable") + " in " + so->name,
                        uint64_t(so->priority) << 32 | i);
    }
}

}  // namespace lode::link::elf
