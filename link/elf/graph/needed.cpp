// Which shared libraries the output needs, and which of their definitions count (GNU ld manual, --as-needed).
//
// Requires: names are resolved. Leaves true: what no needed library defines any more is undefined again, or bound to
// another library that is left.
#include <unordered_set>

#include "link/elf/link.h"

namespace lode::link::elf {

namespace {

void forget_definition(Symbol& s) {
  s.file = none;
  s.value = 0;
  s.type = STT_NOTYPE;
  s.version = VER_NDX_GLOBAL;
}

// What a needed library wants of one that is named after --as-needed, and that no needed library's DT_NEEDED brings in,
// makes that needed, too.
void need_for_libraries(Link& link) {
  std::unordered_set<std::string_view> brought;
  std::vector<SharedFile*> todo;
  bool candidates = false;
  auto add = [&](SharedFile& so) {
    so.needed_flag = true;
    brought.insert(so.needed.begin(), so.needed.end());
    todo.push_back(&so);
  };
  for (SharedFile* so : link.shareds) {
    if (so->needed_flag) add(*so);
    else candidates = true;
  }
  while (candidates && !todo.empty()) {
    SharedFile* user = todo.back();
    todo.pop_back();
    for (uint32_t i = 0; i < user->globals.names.size(); i++) {
      if (user->syms[i].shndx != SHN_UNDEF || user->syms[i].bind() == STB_WEAK) continue;
      const Symbol& s = link.symbols[user->globals.names[i].id];
      if (!s.defined() || link.files[s.file]->kind != FileKind::shared) continue;
      auto& so = static_cast<SharedFile&>(*link.files[s.file]);
      if (!so.needed_flag && !brought.count(so.soname)) add(so);
    }
  }
}

}  // namespace

// A reference that is not visible outside of the output (hidden, protected) cannot mean what a shared library defines.
void reject_hidden_imports(Link& link) {
  for (Symbol& s : link.symbols)
    if (s.defined() && link.files[s.file]->kind == FileKind::shared && s.visibility() != STV_DEFAULT &&
        (s.flags & referenced))
      forget_definition(s);
}

// Libraries after --as-needed to which nothing but weak references refers are left out. What they defined, a later
// library may define as well; else it is undefined again.
void drop_unneeded(Link& link) {
  for (SharedFile* so : link.shareds) so->needed_flag = !so->as_needed;
  for (Symbol& s : link.symbols)
    if (s.defined() && link.files[s.file]->kind == FileKind::shared && (s.flags & (referenced_strong | is_root)))
      static_cast<SharedFile&>(*link.files[s.file]).needed_flag = true;
  need_for_libraries(link);
  bool dropped = false, weak = false;
  for (SharedFile* so : link.shareds) dropped |= !so->needed_flag;
  if (!dropped) return;
  for (Symbol& s : link.symbols)
    if (s.defined() && link.files[s.file]->kind == FileKind::shared &&
        !static_cast<SharedFile&>(*link.files[s.file]).needed_flag) {
      weak |= s.flags & referenced;
      forget_definition(s);
    }
  for (SharedFile* so : link.shareds) {
    so->dropped = !so->needed_flag;
    if (so->dropped) so->alive = false;
  }
  std::erase_if(link.shareds, [](SharedFile* f) { return !f->needed_flag; });
  if (weak) bind_again(link);
}

}  // namespace lode::link::elf
