// .note.gnu.property on x86: how what objects say of themselves combines (Linux gABI extension, "Program Property", and
// the x86-64 psABI, section "Program Property").
//
// The type's range says how: AND (a property that one object lacks is gone), OR (what any needs), OR_AND (the union, if
// all say something). Options add to the result: -z ibt, -z shstk, -z x86-64-v3.
#include <algorithm>
#include <map>

#include "base/bytes.h"
#include "link/elf/link.h"
#include "link/elf/machines/x86_64.h"

namespace lode::link::elf::x86_64 {

constexpr uint32_t and_high = 0xc0007fff, or_high = 0xc000ffff;

std::vector<uint8_t> merge_properties(Link& link) {
  struct Merged {
    uint32_t value = 0;
    size_t files = 0;
  };
  std::map<uint32_t, Merged> merged;
  size_t files = 0;
  for (ObjectFile* f : link.objects) {
    if (f->kind == FileKind::internal || f->made) continue;
    files++;
    for (auto& [type, value] : f->properties) {
      Merged& m = merged[type];
      m.value = m.files == 0 ? value : type <= and_high ? m.value & value : m.value | value;
      m.files++;
    }
  }
  std::erase_if(merged, [&](auto& entry) {
    auto& [type, m] = entry;
    return m.value == 0 || ((type <= and_high || type > or_high) && m.files < files);
  });
  uint32_t features = (link.opt.z_ibt ? uint32_t(GNU_PROPERTY_X86_FEATURE_1_IBT) : 0) |
                      (link.opt.z_shstk ? uint32_t(GNU_PROPERTY_X86_FEATURE_1_SHSTK) : 0);
  if (features) merged[GNU_PROPERTY_X86_FEATURE_1_AND].value |= features;
  if (link.opt.isa_needed) merged[GNU_PROPERTY_X86_ISA_1_NEEDED].value |= link.opt.isa_needed;
  const auto feature = merged.find(GNU_PROPERTY_X86_FEATURE_1_AND);
  link.ibt_plt =
      link.opt.z_ibtplt || (feature != merged.end() && (feature->second.value & GNU_PROPERTY_X86_FEATURE_1_IBT));
  std::vector<uint8_t> note;
  if (merged.empty()) return note;
  append_le(note, uint32_t(4));
  append_le(note, uint32_t(merged.size() * 16));
  append_le(note, uint32_t(NT_GNU_PROPERTY_TYPE_0));
  for (char c : {'G', 'N', 'U', '\0'}) note.push_back(uint8_t(c));
  for (auto& [type, m] : merged) {
    append_le(note, type);
    append_le(note, uint32_t(4));
    append_le(note, m.value);
    append_le(note, uint32_t(0));
  }
  return note;
}

// -z cet-report: which objects keep the output from being marked for control-flow enforcement.
void report_missing_cet(Link& link) {
  if (link.opt.cet_report == CetReport::none) return;
  bool is_error = link.opt.cet_report == CetReport::error;
  for (ObjectFile* f : link.objects) {
    if ((f->kind != FileKind::object && f->kind != FileKind::module) || f->made) continue;
    uint32_t features = 0;
    for (auto& [type, value] : f->properties)
      if (type == GNU_PROPERTY_X86_FEATURE_1_AND) features |= value;
    auto report = [&](uint32_t bit, const char* name) {
      if (features & bit) return;
      std::string text = f->name + ": -cet-report=" + (is_error ? "error" : "warning") + ": missing " + name;
      if (is_error) link.diag.error(text, uint64_t(f->priority) << 32 | bit);
      else link.diag.warning(text, uint64_t(f->priority) << 32 | bit);
    };
    report(GNU_PROPERTY_X86_FEATURE_1_IBT, "GNU_PROPERTY_X86_FEATURE_1_IBT");
    report(GNU_PROPERTY_X86_FEATURE_1_SHSTK, "GNU_PROPERTY_X86_FEATURE_1_SHSTK");
  }
}

}  // namespace lode::link::elf::x86_64
