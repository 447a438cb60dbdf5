// Reading a relocatable object: its sections, groups, names and unwind records, as contents.h has them. Nothing of the
// file is copied but what has to be changed first.
//
// What a section's contents mean (gABI chapter 4): SHF_MERGE sections are split later, .eh_frame is split into records,
// notes that only speak to the linker (.note.GNU-stack, .note.gnu.property) are read here and dropped; relocation
// sections are attached to the section they apply to.
#include <algorithm>
#include <cstring>

#include "base/bytes.h"
#include "link/elf/decisions.h"
#include "link/elf/machines/machine.h"

namespace lode::link::elf {

namespace {

bool is_debug_section(std::string_view name) {
  return name.starts_with(".debug_") || name.starts_with(".zdebug_") || name == ".gdb_index" ||
         name.starts_with(".stab");
}

bool is_table_of_start_up(std::string_view name) {
  return name == ".ctors" || name.starts_with(".ctors.") || name == ".dtors" || name.starts_with(".dtors.");
}

class ObjectReader {
 public:
  ObjectReader(const ElfView& view, const ReadOptions& options, std::vector<ReadProblem>& problems)
      : view_(view), options_(options), problems_(problems), count_(uint32_t(view.sections.size())) {}

  ObjectContents run() {
    c_.sections.resize(count_);
    for (uint32_t i = 1; i < count_; i++) read_section(i);
    for (uint32_t i = 1; i < count_; i++) attach_relocations(i);
    for (uint32_t i = 1; i < count_; i++) decide_kind(i);
    read_names();
    read_frame_records(view_, c_, problems_);
    return std::move(c_);
  }

 private:
  void fail(uint32_t section, std::string message) { problems_.push_back({section, std::move(message)}); }

  uint32_t add_buffer(std::vector<uint8_t> bytes) {
    c_.buffers.push_back(std::make_shared<const std::vector<uint8_t>>(std::move(bytes)));
    return uint32_t(c_.buffers.size());
  }
  const uint8_t* bytes_at(uint32_t body, uint64_t offset) const {
    return (body == 0 ? view_.file.data() : c_.buffers[body - 1]->data()) + offset;
  }
  NameContents name(std::string_view text, bool with_hash = true) const {
    return place_of(view_.file, text, with_hash ? hash_name(text) : 0);
  }

  // Tables of the file itself: no contents, but what they say is noted. False: it is not one of those.
  bool read_table(uint32_t i, const Shdr& s) {
    switch (s.type) {
      case SHT_NULL: case SHT_SYMTAB: case SHT_STRTAB: case SHT_SYMTAB_SHNDX: case SHT_LLVM_ADDRSIG: case SHT_HASH:
      case SHT_DYNAMIC: case SHT_DYNSYM: return true;
      case SHT_REL: case SHT_RELA: case SHT_CREL: return true;  // when all sections are known
      case SHT_LLVM_DEPENDENT_LIBRARIES:
        if (options_.relocatable) return false;  // for the link that this output goes into
        read_dependent_libraries(view_.section_data(i));
        return true;
      case SHT_GROUP: read_group(i, s); return true;
      default: return false;
    }
  }

  void read_dependent_libraries(Bytes data) {
    for (std::string_view names(reinterpret_cast<const char*>(data.data()), data.size()); !names.empty();) {
      const size_t end = std::min(names.find('\0'), names.size());
      if (end) c_.dependent_libraries.push_back(name(names.substr(0, end), false));
      names.remove_prefix(std::min(end + 1, names.size()));
    }
  }

  void read_group(uint32_t i, const Shdr& s) {
    auto words = records<Word>(view_, s, "section group");
    if (!words || words->empty()) return fail(i, "malformed section group");
    if (s.info >= view_.symbols.size()) return fail(i, "section group's signature symbol is out of range");
    for (const Word& m : words->subspan(1))
      if (m.value >= count_) return fail(i, "section group names a section that does not exist");
    const Sym& sig = view_.symbols[s.info];
    std::string_view signature = view_.symbol_name(sig);
    if (sig.type() == STT_SECTION && signature.empty() && sig.shndx < count_)
      signature = view_.section_name(sig.shndx);
    GroupContents g;
    g.section = i;
    g.comdat = words->front().value & GRP_COMDAT;
    g.members = {s.offset + sizeof(Word), 0};
    g.member_count = uint32_t(words->size() - 1);
    g.signature = name(signature);
    c_.groups.push_back(g);
  }

  // Before COMDAT groups there were names: of all .gnu.linkonce.X.NAME one stays. Code goes by NAME, so that it also
  // meets the COMDAT group that newer objects have for the same function; other kinds go by the whole name.
  void add_linkonce_group(uint32_t section, std::string_view section_name) {
    std::vector<uint8_t> member(4);
    store_le(member.data(), section);
    GroupContents g;
    g.section = section;
    g.comdat = true;
    g.members = {0, add_buffer(std::move(member))};
    g.member_count = 1;
    g.signature = name(section_name.starts_with(".gnu.linkonce.t.") ? section_name.substr(16) : section_name);
    c_.groups.push_back(g);
  }

  // Sections that are well-formed but are not for the output. Notes to the linker are taken note of.
  bool left_out(uint32_t i, const Shdr& s, std::string_view name) {
    if (name == ".note.GNU-stack") {
      c_.has_gnu_stack = true;
      c_.exec_stack |= (s.flags & SHF_EXECINSTR) != 0;
      return true;
    }
    if (name.starts_with(".gnu.lto_") || name.starts_with(".gnu.debuglto_")) return true;  // a fat object's
    if ((s.flags & SHF_EXCLUDE) && !options_.relocatable) return true;
    const auto& discarded = options_.discard_sections;
    if (std::find(discarded.begin(), discarded.end(), name) != discarded.end()) return true;
    if (name.starts_with(".gnu.linkonce.")) add_linkonce_group(i, name);
    if (name == ".note.gnu.property" && s.type == SHT_NOTE) {
      read_properties(c_, view_.section_data(i));
      if (!options_.relocatable) return true;
    }
    if (name.starts_with(".gnu.warning.")) return true;
    if (options_.machine->attributes_type && s.type == options_.machine->attributes_type) return true;
    // The range of types that programs may use for themselves tells nobody how the contents are to be laid out.
    if (s.type >= SHT_LOUSER && (s.flags & SHF_ALLOC) && !(s.flags & SHF_EXCLUDE)) {
      char hex[32];
      std::snprintf(hex, sizeof hex, "0x%x", unsigned(s.type));
      fail(i, std::string("unsupported section type: ") + hex);
      return true;
    }
    return options_.strip_debug && !(s.flags & SHF_ALLOC) && is_debug_section(name);
  }

  void read_section(uint32_t i) {
    const Shdr& s = view_.sections[i];
    if (read_table(i, s)) return;
    const std::string_view name = view_.section_name(i);
    if (s.addralign > 1 && !is_power_of_two(s.addralign)) return fail(i, "alignment is not a power of two");
    if (s.addralign > (uint64_t{1} << 40) || s.size > (uint64_t{1} << 46))
      return fail(i, "implausible size or alignment");
    if (left_out(i, s, name)) return;
    SectionContents& a = c_.sections[i];
    if (s.type != SHT_NOBITS && s.size != 0) {
      a.body = 0;
      a.offset = s.offset;
    }
    a.size = s.size;
    a.p2align = uint8_t(s.addralign > 1 ? std::countr_zero(uint64_t(s.addralign)) : 0);
    if (s.flags & SHF_COMPRESSED) {
      uint64_t align = 1;
      auto body = decompress(view_.section_data(i), align);
      if (!body) return fail(i, body.error().message);
      a.size = body->size();
      a.body = add_buffer(std::move(*body));
      a.offset = 0;
      a.p2align = uint8_t(std::countr_zero(align));
    }
    a.kind = AtomKind::regular;
    c_.has_init_arrays |= s.type == SHT_INIT_ARRAY || s.type == SHT_FINI_ARRAY || name.starts_with(".ctors") ||
                          name.starts_with(".dtors");
  }

  void attach_relocations(uint32_t i) {
    const Shdr& s = view_.sections[i];
    if (s.type != SHT_RELA && s.type != SHT_REL && s.type != SHT_CREL) return;
    if (s.info == 0 || s.info >= count_) return fail(i, "relocations for a section that does not exist");
    SectionContents& a = c_.sections[s.info];
    if (a.kind == AtomKind::none) return;
    if (s.type == SHT_REL)
      return fail(i, std::string("relocations without addends (SHT_REL) are not supported on ") +
                         options_.machine->name);
    std::vector<Rela> unpacked;
    auto relas = relocation_records(view_, s, unpacked);
    if (!relas) return fail(i, relas.error().message);
    if (a.relocs_body != BodyPlace::zero) return fail(i, "several relocation sections for one section");
    if (relas->empty()) return;
    a.reloc_count = uint32_t(relas->size());
    if (s.type == SHT_CREL) {
      const auto* bytes = reinterpret_cast<const uint8_t*>(unpacked.data());
      a.relocs_body = add_buffer({bytes, bytes + unpacked.size() * sizeof(Rela)});
    } else {
      a.relocs_body = 0;
      a.relocs_offset = s.offset;
    }
    if (options_.machine->sorted_relocations) sort_relocations(a);
  }

  // By place; those of one place keep their order, which means something.
  void sort_relocations(SectionContents& a) {
    const auto* r = reinterpret_cast<const Rela*>(bytes_at(a.relocs_body, a.relocs_offset));
    auto earlier = [](const Rela& x, const Rela& y) { return uint64_t(x.offset) < uint64_t(y.offset); };
    if (std::is_sorted(r, r + a.reloc_count, earlier)) return;
    std::vector<uint8_t> copy(a.reloc_count * sizeof(Rela));
    std::memcpy(copy.data(), r, copy.size());
    auto* sorted = reinterpret_cast<Rela*>(copy.data());
    std::stable_sort(sorted, sorted + a.reloc_count, earlier);
    a.relocs_body = add_buffer(std::move(copy));
    a.relocs_offset = 0;
  }

  void decide_kind(uint32_t i) {
    SectionContents& a = c_.sections[i];
    if (a.kind != AtomKind::regular) return;
    const std::string_view name = view_.section_name(i);
    if (options_.relocatable && name != ".eh_frame") return;
    const bool has_bytes = a.body != BodyPlace::zero;
    if (is_table_of_start_up(name) && has_bytes) reverse_table(a);
    const Shdr& s = view_.sections[i];
    if ((s.flags & SHF_ALLOC) && name == ".eh_frame" && (has_bytes || !a.size)) a.kind = AtomKind::eh_frame;
    else if ((s.flags & SHF_MERGE) && !(s.flags & SHF_WRITE) && s.entsize && a.size && has_bytes && !a.reloc_count &&
             s.entsize <= a.size)
      a.kind = AtomKind::merge;
  }

  // .ctors and .dtors run from the back; reversed they can stand in .init_array and .fini_array.
  void reverse_table(SectionContents& a) {
    if (a.size % 8) return;
    const uint8_t* from = bytes_at(a.body, a.offset);
    std::vector<uint8_t> body(a.size), relocs(a.reloc_count * sizeof(Rela));
    for (uint64_t i = 0; i < a.size; i += 8) std::memcpy(body.data() + i, from + (a.size - 8 - i), 8);
    auto* r = reinterpret_cast<Rela*>(relocs.data());
    if (a.reloc_count) std::memcpy(r, bytes_at(a.relocs_body, a.relocs_offset), relocs.size());
    for (uint32_t i = 0; i < a.reloc_count; i++)
      if (r[i].offset <= a.size - 8) r[i].offset = a.size - 8 - r[i].offset;
    a.body = add_buffer(std::move(body));
    a.offset = 0;
    if (!a.reloc_count) return;
    a.relocs_body = add_buffer(std::move(relocs));
    a.relocs_offset = 0;
  }

  void read_names() {
    const size_t globals = view_.symbols.size() - view_.first_global;
    c_.names.resize(globals);
    for (size_t i = 0; i < globals; i++) {
      std::string_view text = view_.symbol_name(view_.symbols[view_.first_global + i]);
      if (size_t at = text.find('@'); at != std::string_view::npos) {
        c_.symvers.emplace_back(uint32_t(view_.first_global + i), std::string(text.substr(at)));
        if (text.substr(at).starts_with("@@")) text = text.substr(0, at);
      }
      c_.names[i] = name(text);
    }
  }

  const ElfView& view_;
  const ReadOptions& options_;
  std::vector<ReadProblem>& problems_;
  const uint32_t count_;
  ObjectContents c_;
};

}  // namespace

ObjectContents read_object(const ElfView& view, const ReadOptions& options, std::vector<ReadProblem>& problems) {
  return ObjectReader(view, options, problems).run();
}

}  // namespace lode::link::elf
