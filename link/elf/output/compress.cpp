// --compress-debug-sections and --compress-sections: the finished bodies of sections that are not loaded, packed where
// that is shorter (gABI chapter 4, "Section Compression").

#include <cstring>

#include "formats/linker_script.h"
#include "link/elf/relocations/actions.h"
#include "link/common/parallel.h"

namespace lode::link::elf {

// They have no address, so nothing that has one moves when they shrink; a second layout closes the gaps in the file.
bool compress_sections(Link& link) {
  std::vector<std::pair<OutputSection*, const CompressRule*>> list;
  for (OutputSection* s : link.order) {
    if (s->alloc() || !s->size || s->write || s->nobits() || s->type == SHT_SYMTAB || s->type == SHT_STRTAB) continue;
    const CompressRule* rule = nullptr;
    for (const CompressRule& r : link.opt.compress_sections)
      if (formats::glob_match(r.glob, s->name)) rule = &r;
    if (rule && rule->type) list.emplace_back(s, rule);
  }
  parallel_for(size_t(0), list.size(), [&](size_t i) {
    OutputSection& s = *list[i].first;
    const CompressRule& rule = *list[i].second;
    std::vector<uint8_t> body(s.size);
    for (uint32_t id : s.atoms) {
      Atom& a = link.atoms[id];
      if (a.kind == AtomKind::merged) {
        write_merged(*link.merged[a.extra], body.data() + a.offset);
      } else if (a.data) {
        std::memcpy(body.data() + a.offset, a.data, a.size);
        apply_nonalloc(link, link.object(a.file), a, body.data() + a.offset);
      }
    }
    std::vector<uint8_t> packed = compress(body, rule.type, s.align,
                                           rule.level >= 0                 ? rule.level
                                           : rule.type == ELFCOMPRESS_ZLIB ? 1
                                                                           : 3);
    if (packed.size() >= body.size() && rule.level < 0) return;
    s.compressed = std::move(packed);
    s.size = s.compressed.size();
    s.align = 8;
    s.flags |= SHF_COMPRESSED;
  });
  if (!layout(link)) return false;
  assign_symbol_addresses(link);
  return !link.diag.has_errors();
}

}  // namespace lode::link::elf
