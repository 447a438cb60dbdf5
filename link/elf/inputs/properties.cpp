// .note.gnu.property of an object: (type, value) pairs in notes (Linux gABI extension, "Program Property").
//
// Only 4-byte values of the processor's ranges are read: those are what links combine, each machine by its rules
// (Machine::merge_properties); others say nothing that a link could keep true.
#include <cstring>

#include "base/bytes.h"
#include "link/elf/inputs/contents.h"

namespace lode::link::elf {

namespace {

constexpr uint32_t processor_low = 0xc0000000, processor_high = 0xc0017fff;

// An object may say the same thing in parts, in several notes (each from another source of the assembler): they are
// joined.
void add_property(ObjectContents& contents, uint32_t type, uint32_t value) {
  for (auto& [known, bits] : contents.properties)
    if (known == type) {
      bits |= value;
      return;
    }
  contents.properties.emplace_back(type, value);
}

}  // namespace

void read_properties(ObjectContents& contents, Bytes data) {
  while (data.size() >= sizeof(Nhdr)) {
    Nhdr h = load_le<Nhdr>(data.data());
    uint64_t name_end = sizeof h + align_up(h.namesz, 4);
    uint64_t end = name_end + align_up(h.descsz, 8);
    if (name_end + h.descsz > data.size()) return;
    if (h.type == NT_GNU_PROPERTY_TYPE_0 && h.namesz == 4 && std::memcmp(data.data() + sizeof h, "GNU", 4) == 0) {
      Bytes desc = data.subspan(name_end, h.descsz);
      while (desc.size() >= 8) {
        uint32_t type = load_le<uint32_t>(desc.data()), size = load_le<uint32_t>(desc.data() + 4);
        if (size > desc.size() - 8) return;
        if (type >= processor_low && type <= processor_high && size == 4)
          add_property(contents, type, load_le<uint32_t>(desc.data() + 8));
        uint64_t step = 8 + align_up(size, 8);
        if (step > desc.size()) return;
        desc = desc.subspan(step);
      }
    }
    if (end > data.size()) return;
    data = data.subspan(end);
  }
}

}  // namespace lode::link::elf
