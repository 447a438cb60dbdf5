// Reading a relocatable object: its sections become atoms, its groups and symbol names are noted. Nothing is copied.
//
// What an atom's contents mean (gABI chapter 4): SHF_MERGE sections are split later, .eh_frame is split into records,
// notes that only speak to the linker (.note.GNU-stack, .note.gnu.property) are read here and dropped; relocation
// sections are attached to the section they apply to.
#include <algorithm>
#include <cstring>

#include "base/bytes.h"

#include "link/elf/link.h"
#include "link/elf/code/modules.h"

namespace lode::link::elf {

Result<void> parse_object_header(Link& link, ObjectFile& file) {
  if (file.view.header || !file.sections.empty()) return {};
  if (file.kind == FileKind::module) return read_module(file, link);
  LODE_ASSIGN(file.view, ElfView::open(file.data));
  if (file.view.header->type != ET_REL) return error("not a relocatable object");
  if (file.view.header->machine != EM_X86_64)
    return error("incompatible file: machine " + std::to_string(uint16_t(file.view.header->machine)) +
                 " is not x86-64");
  file.sections = file.view.sections;
  file.syms = file.view.symbols;
  file.strtab = file.view.symbol_names;
  file.first_global = file.view.first_global;
  return {};
}

namespace {

// GCC marks an object that holds nothing but its intermediate language with a common symbol of this name.
constexpr std::string_view slim_lto_mark = "__gnu_lto_slim";

bool is_debug_section(std::string_view name) {
  return name.starts_with(".debug_") || name.starts_with(".zdebug_") || name == ".gdb_index" ||
         name.starts_with(".stab");
}

// Before COMDAT groups there were names: of all .gnu.linkonce.X.NAME one stays. Code goes by NAME, so that it also
// meets the COMDAT group that newer objects have for the same function; other kinds go by the whole name.
Group linkonce_group(ObjectFile& file, uint32_t section, std::string_view name) {
  auto member = std::make_unique<std::vector<uint8_t>>(4);
  store_le(member->data(), section);
  Group g;
  g.section = section;
  g.comdat = true;
  g.members = {reinterpret_cast<const Word*>(member->data()), 1};
  file.inflated.push_back(std::move(member));
  std::string_view signature = name.starts_with(".gnu.linkonce.t.") ? name.substr(16) : name;
  g.signature = {signature.data(), uint32_t(signature.size()), none, hash_name(signature)};
  return g;
}

// The names that meet other files': versions cut off, --wrap applied.
void read_global_names(Link& link, ObjectFile& file) {
  size_t globals = file.syms.size() - file.first_global;
  file.globals.names.resize(globals);
  for (size_t i = 0; i < globals; i++) {
    const Sym& s = file.syms[file.first_global + i];
    std::string_view name = file.sym_name(s);
    if (size_t at = name.find('@'); at != std::string_view::npos) {
      bool is_default = name.substr(at).starts_with("@@");
      file.symvers.emplace_back(uint32_t(file.first_global + i), std::string(name.substr(at)));
      if (is_default) name = name.substr(0, at);
    }
    if (!link.opt.wraps.empty() && s.shndx == SHN_UNDEF) {
      for (const std::string& w : link.opt.wraps) {
        if (name == w) {
          file.inflated.push_back(std::make_unique<std::vector<uint8_t>>());
          std::string wrapped = "__wrap_" + w;
          file.inflated.back()->assign(wrapped.begin(), wrapped.end());
          name = {reinterpret_cast<const char*>(file.inflated.back()->data()), wrapped.size()};
          break;
        }
        if (name.starts_with("__real_") && name.substr(7) == w) {
          name = name.substr(7);
          break;
        }
      }
    }
    file.globals.names[i] = {name.data(), uint32_t(name.size()), none, hash_name(name)};
  }
}

// .ctors and .dtors run from the back; reversed they can stand in .init_array and .fini_array.
void reverse_table(ObjectFile& file, Atom& a) {
  if (a.size % 8) return;
  auto body = std::make_unique<std::vector<uint8_t>>(a.size);
  for (uint64_t i = 0; i < a.size; i += 8) std::memcpy(body->data() + i, a.data + (a.size - 8 - i), 8);
  auto relocs = std::make_unique<std::vector<uint8_t>>(a.reloc_count * sizeof(Rela));
  auto* r = reinterpret_cast<Rela*>(relocs->data());
  for (uint32_t i = 0; i < a.reloc_count; i++) {
    r[i] = a.relocs[i];
    if (r[i].offset <= a.size - 8) r[i].offset = a.size - 8 - r[i].offset;
  }
  a.data = body->data();
  if (a.reloc_count) a.relocs = r;
  file.inflated.push_back(std::move(body));
  file.inflated.push_back(std::move(relocs));
}

void fail(Link& link, const ObjectFile& file, uint32_t section, const std::string& message) {
  std::string name = file.view.header ? std::string(file.view.section_name(section)) : std::string();
  link.diag.error(file.name + ":(" + name + "): " + message, uint64_t(file.priority) << 32 | section);
}

void parse_module(Link& link, ObjectFile& file) {
  ModuleState& m = *file.module;
  for (uint32_t i = 1; i < file.sections.size(); i++) {
    const Shdr& s = file.sections[i];
    Atom& a = link.atoms[file.atom_base + i];
    a.data = m.data[i];
    a.size = s.size;
    a.p2align = uint8_t(std::countr_zero(uint64_t(s.addralign)));
    a.relocs = m.relocs[i].data();
    a.reloc_count = uint32_t(m.relocs[i].size());
    a.kind = AtomKind::regular;
    if ((s.flags & SHF_MERGE) && a.size) a.kind = AtomKind::merge;
  }
  for (const ModuleFunction& f : m.functions) {
    link.atoms[file.atom_base + f.section].kind = AtomKind::function;
    link.atoms[file.atom_base + f.section + 1].kind = AtomKind::constants;
    if (f.exceptions) link.atoms[file.atom_base + f.exceptions].kind = AtomKind::constants;
    if (f.traps) link.atoms[file.atom_base + f.traps].kind = AtomKind::constants;
  }
  read_global_names(link, file);
}

void read_dependent_libraries(ObjectFile& file, uint32_t i) {
  const Bytes data = file.view.section_data(i);
  for (std::string_view names(reinterpret_cast<const char*>(data.data()), data.size()); !names.empty();) {
    size_t end = std::min(names.find('\0'), names.size());
    if (end) file.dependent_libraries.push_back(names.substr(0, end));
    names.remove_prefix(std::min(end + 1, names.size()));
  }
}

void read_group(Link& link, ObjectFile& file, uint32_t i) {
  const Shdr& s = file.sections[i];
  const size_t n = file.sections.size();
  auto words = records<Word>(file.view, s, "section group");
  if (!words || words->empty()) return fail(link, file, i, "malformed section group");
  if (s.info >= file.syms.size()) return fail(link, file, i, "section group's signature symbol is out of range");
  Group g;
  g.section = i;
  g.comdat = words->front().value & GRP_COMDAT;
  g.members = words->subspan(1);
  const Sym& sig = file.syms[s.info];
  std::string_view name = file.sym_name(sig);
  if (sig.type() == STT_SECTION && name.empty() && sig.shndx < n) name = file.view.section_name(sig.shndx);
  g.signature = {name.data(), uint32_t(name.size()), none, hash_name(name)};
  bool bad = false;
  for (uint32_t k = 0; k < g.members.size(); k++) bad |= g.members[k].value >= n;
  if (bad) fail(link, file, i, "section group names a section that does not exist");
  else file.groups.push_back(g);
}

// Whether a section's contents are for the output. What it says to the linker alone is noted.
bool is_content(Link& link, ObjectFile& file, uint32_t i) {
  const Shdr& s = file.sections[i];
  switch (s.type) {
    case SHT_NULL: case SHT_SYMTAB: case SHT_STRTAB: case SHT_SYMTAB_SHNDX: case SHT_LLVM_ADDRSIG:
    case SHT_HASH: case SHT_DYNAMIC: case SHT_DYNSYM:
      return false;
    case SHT_LLVM_DEPENDENT_LIBRARIES:
      if (link.relocatable) break;  // for the link that this output goes into
      read_dependent_libraries(file, i);
      return false;
    case SHT_REL: case SHT_RELA: case SHT_CREL: return false;  // attach_relocations(), when all sections are known
    case SHT_GROUP: read_group(link, file, i); return false;
    default: break;
  }
  std::string_view name = file.view.section_name(i);
  if (s.addralign > 1 && !is_power_of_two(s.addralign)) {
    fail(link, file, i, "alignment is not a power of two");
    return false;
  }
  if (s.addralign > (uint64_t{1} << 40) || s.size > (uint64_t{1} << 46)) {
    fail(link, file, i, "implausible size or alignment");
    return false;
  }
  if (name == ".note.GNU-stack") {
    file.has_gnu_stack = true;
    file.exec_stack |= (s.flags & SHF_EXECINSTR) != 0;
    return false;
  }
  if (name.starts_with(".gnu.lto_") || name.starts_with(".gnu.debuglto_"))
    return false;  // a fat object's; its code counts
  if ((s.flags & SHF_EXCLUDE) && !link.relocatable) return false;
  const auto& discarded = link.opt.discard_sections;
  if (!discarded.empty() && std::find(discarded.begin(), discarded.end(), name) != discarded.end()) return false;
  if (name.starts_with(".gnu.linkonce.")) file.groups.push_back(linkonce_group(file, i, name));
  if (name == ".note.gnu.property" && s.type == SHT_NOTE) {
    read_properties(file, file.view.section_data(i));
    if (!link.relocatable) return false;
  }
  if (name.starts_with(".gnu.warning.")) return false;
  // The range of types that programs may use for themselves tells nobody how the contents are to be laid out.
  if (s.type >= SHT_LOUSER && (s.flags & SHF_ALLOC) && !(s.flags & SHF_EXCLUDE)) {
    char hex[32];
    std::snprintf(hex, sizeof hex, "0x%x", unsigned(s.type));
    fail(link, file, i, std::string("unsupported section type: ") + hex);
    return false;
  }
  const bool strip_debug = link.opt.strip_debug || link.opt.strip_all;
  return !(strip_debug && !(s.flags & SHF_ALLOC) && is_debug_section(name));
}

void read_content(Link& link, ObjectFile& file, uint32_t i) {
  const Shdr& s = file.sections[i];
  Atom& a = link.atoms[file.atom_base + i];
  a.data = s.type == SHT_NOBITS || s.size == 0 ? nullptr : file.view.section_data(i).data();
  a.size = s.size;
  a.p2align = uint8_t(s.addralign > 1 ? std::countr_zero(uint64_t(s.addralign)) : 0);
  a.kind = AtomKind::regular;
  if (s.flags & SHF_COMPRESSED) {
    uint64_t align = 1;
    auto body = decompress(file.view.section_data(i), align);
    if (!body) {
      fail(link, file, i, body.error().message);
      a.kind = AtomKind::none;
      return;
    }
    file.inflated.push_back(std::make_unique<std::vector<uint8_t>>(std::move(*body)));
    a.data = file.inflated.back()->data();
    a.size = file.inflated.back()->size();
    a.p2align = uint8_t(std::countr_zero(align));
  }
  std::string_view name = file.view.section_name(i);
  if (s.type == SHT_INIT_ARRAY || s.type == SHT_FINI_ARRAY || name.starts_with(".ctors") || name.starts_with(".dtors"))
    file.has_init_arrays = true;
}

void attach_relocations(Link& link, ObjectFile& file, uint32_t i) {
  const Shdr& s = file.sections[i];
  if (s.type != SHT_RELA && s.type != SHT_REL && s.type != SHT_CREL) return;
  if (s.info == 0 || s.info >= file.sections.size())
    return fail(link, file, i, "relocations for a section that does not exist");
  Atom& a = link.atoms[file.atom_base + s.info];
  if (a.kind == AtomKind::none) return;
  if (s.type == SHT_REL)
    return fail(link, file, i, "relocations without addends (SHT_REL) are not supported on x86-64");
  std::vector<Rela> unpacked;
  auto relas = relocation_records(file.view, s, unpacked);
  if (!relas) return fail(link, file, i, relas.error().message);
  if (a.relocs) return fail(link, file, i, "several relocation sections for one section");
  a.relocs = relas->data();
  a.reloc_count = uint32_t(relas->size());
  // Moving a vector leaves its records where they are.
  if (s.type == SHT_CREL) file.unpacked_relocs.push_back(std::move(unpacked));
}

// What later passes take apart.
void set_kind(Link& link, ObjectFile& file, uint32_t i) {
  Atom& a = link.atoms[file.atom_base + i];
  if (a.kind != AtomKind::regular) return;
  std::string_view name = file.view.section_name(i);
  if (link.relocatable && name != ".eh_frame") return;
  if ((name == ".ctors" || name.starts_with(".ctors.") || name == ".dtors" || name.starts_with(".dtors.")) && a.data)
    reverse_table(file, a);
  const Shdr& s = file.sections[i];
  if (file.kind == FileKind::object && (s.flags & SHF_ALLOC) && name == ".eh_frame" && (a.data || !a.size))
    a.kind = AtomKind::eh_frame;
  else if ((s.flags & SHF_MERGE) && !(s.flags & SHF_WRITE) && s.entsize && a.size && a.data && !a.reloc_count &&
           s.entsize <= a.size)
    a.kind = AtomKind::merge;
}

}  // namespace

void parse_object(Link& link, ObjectFile& file) {
  const uint32_t n = uint32_t(file.sections.size());
  for (uint32_t i = 0; i < n; i++) {
    Atom* a = new (&link.atoms[file.atom_base + i]) Atom();
    a->file = file.id;
    a->section = i;
    link.atom_address[file.atom_base + i] = 0;
  }
  if (file.kind == FileKind::module) return parse_module(link, file);
  for (uint32_t i = 1; i < n; i++)
    if (is_content(link, file, i)) read_content(link, file, i);
  for (uint32_t i = 1; i < n; i++) attach_relocations(link, file, i);
  for (uint32_t i = 1; i < n; i++) set_kind(link, file, i);

  read_global_names(link, file);
  for (const NameRef& name : file.globals.names)
    if (name.size == slim_lto_mark.size() && name.str() == slim_lto_mark)
      link.diag.error(file.name +
                          ": a GCC LTO object without machine code, which needs GCC's linker plugin; compile with "
                          "-ffat-lto-objects or without -flto",
                      uint64_t(file.priority) << 32);
  split_eh_frames(link, file);
}

}  // namespace lode::link::elf
