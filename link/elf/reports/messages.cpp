// Messages of a link for the program that has it made: which of its files they are about.
#include "link/elf/link.h"
#include "link/common/message_place.h"

namespace lode::link::elf {

std::vector<Diagnostic> take_apart(const Link& link, bool is_error, const std::string& text) {
  auto file_at_start = [&](std::string_view at) {
    size_t longest = 0;
    auto consider = [&](const std::string& name) {
      if (name.size() > longest && at.starts_with(name)) longest = name.size();
    };
    for (const auto& f : link.files) consider(f->name);
    for (const auto& a : link.archives) consider(a->path);
    for (const std::string& name : link.linked_names) consider(name);
    for (const std::string& name : link.side_files) consider(name);
    for (const MemoryInput& m : link.opt.memory) consider(m.name);
    return longest;
  };
  return link::take_apart(is_error ? Severity::error : Severity::warning, text, file_at_start);
}

}  // namespace lode::link::elf
