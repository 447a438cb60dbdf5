// The contents of files enter a link: sections become atoms, groups, unwind records and names become the link's own,
// which later passes change.
//
// Contents that a link before this one has kept are the same for this one; else they are read here, and kept if the
// bytes stay. Modules are read by code/modules.cpp, into the form of an object; what they hold is the link's from the
// start.
#include <cstring>

#include "base/bytes.h"
#include "link/elf/code/modules.h"
#include "link/elf/link.h"
#include "link/elf/machines/machine.h"

namespace lode::link::elf {

namespace {

// GCC marks an object that holds nothing but its intermediate language with a common symbol of this name.
constexpr std::string_view slim_lto_mark = "__gnu_lto_slim";

// --wrap: references to NAME mean __wrap_NAME, those to __real_NAME mean NAME.
std::string_view wrapped_name(const Link& link, ObjectFile& file, std::string_view name) {
  for (const std::string& w : link.opt.wraps) {
    if (name == w) {
      file.owned.push_back(std::make_unique<std::vector<uint8_t>>());
      const std::string wrapped = "__wrap_" + w;
      file.owned.back()->assign(wrapped.begin(), wrapped.end());
      return {reinterpret_cast<const char*>(file.owned.back()->data()), wrapped.size()};
    }
    if (name.starts_with("__real_") && name.substr(7) == w) return name.substr(7);
  }
  return name;
}

void wrap_names(const Link& link, ObjectFile& file) {
  if (link.opt.wraps.empty()) return;
  for (size_t i = 0; i < file.globals.names.size(); i++) {
    if (file.syms[file.first_global + i].shndx != SHN_UNDEF) continue;
    const std::string_view name = file.globals.names[i].str(), meant = wrapped_name(link, file, name);
    if (meant.data() != name.data())
      file.globals.names[i] = {meant.data(), uint32_t(meant.size()), none, hash_name(meant)};
  }
}

void clear_atoms(Link& link, ObjectFile& file) {
  for (uint32_t i = 0; i < file.sections.size(); i++) {
    Atom* a = new (&link.atoms[file.atom_base + i]) Atom();
    a->file = file.id;
    a->section = i;
    link.atom_address[file.atom_base + i] = 0;
  }
}

void adopt_frame_records(ObjectFile& file, const ObjectContents& c) {
  file.cies.resize(c.cies.size());
  for (size_t i = 0; i < c.cies.size(); i++) {
    const CieContents& from = c.cies[i];
    Cie& to = file.cies[i];
    to.input_offset = from.offset;
    to.size = from.size;
    to.reloc_begin = from.reloc_begin;
    to.reloc_end = from.reloc_end;
    to.atom = file.atom_base + from.section;
  }
  file.fdes.resize(c.fdes.size());
  for (size_t i = 0; i < c.fdes.size(); i++) {
    const FdeContents& from = c.fdes[i];
    Fde& to = file.fdes[i];
    to.input_offset = from.offset;
    to.size = from.size;
    to.reloc_begin = from.reloc_begin;
    to.reloc_end = from.reloc_end;
    to.cie = from.cie;
    to.atom = file.atom_base + from.described;
    to.source = file.atom_base + from.section;
  }
}

// Records of .eh_frame that a module's own assembly makes.
void adopt_assembled_frames(Link& link, ObjectFile& file) {
  const ModuleState& m = *file.module;
  if (!m.assembly) return;
  ObjectContents c;
  c.sections.resize(file.sections.size());
  bool any = false;
  auto buffer = [&](const void* bytes, size_t size) {
    const auto* p = static_cast<const uint8_t*>(bytes);
    c.buffers.push_back(std::make_shared<const std::vector<uint8_t>>(p, p + size));
    return uint32_t(c.buffers.size());
  };
  for (uint32_t i = 1; i < file.sections.size(); i++) {
    Atom& a = link.atoms[file.atom_base + i];
    if (!(file.sections[i].flags & SHF_ALLOC) || section_name(file, i) != ".eh_frame" || !a.data) continue;
    a.kind = c.sections[i].kind = AtomKind::eh_frame;
    c.sections[i].size = a.size;
    c.sections[i].body = buffer(a.data, a.size);
    c.sections[i].reloc_count = a.reloc_count;
    c.sections[i].relocs_body = buffer(a.relocs, a.reloc_count * sizeof(Rela));
    any = true;
  }
  if (!any) return;
  std::vector<ReadProblem> problems;
  read_frame_records({}, c, problems, [&](uint32_t sym) -> uint32_t {
    const uint32_t section = sym < file.syms.size() ? file.section_of(sym) : 0;
    return section < file.sections.size() ? section : 0;
  });
  for (const ReadProblem& p : problems)
    link.diag.error(file.name + ":(.eh_frame of module-level assembly): " + p.message, uint64_t(file.priority) << 32);
  for (uint32_t i = 1; i < file.sections.size(); i++) {
    link.atoms[file.atom_base + i].fde_begin = c.sections[i].fde_begin;
    link.atoms[file.atom_base + i].fde_count = c.sections[i].fde_count;
  }
  adopt_frame_records(file, c);
}

void adopt_module(Link& link, ObjectFile& file) {
  ModuleState& m = *file.module;
  for (uint32_t i = 1; i < file.sections.size(); i++) {
    const Shdr& s = file.sections[i];
    Atom& a = link.atoms[file.atom_base + i];
    a.data = m.data[i];
    a.size = s.size;
    a.p2align = uint8_t(std::countr_zero(uint64_t(s.addralign)));
    a.relocs = m.relocs[i].data();
    a.reloc_count = uint32_t(m.relocs[i].size());
    const bool merges = (s.flags & SHF_MERGE) && !(s.flags & SHF_WRITE) && s.entsize && s.entsize <= a.size && a.data &&
                        !a.reloc_count && !link.relocatable;
    a.kind = merges ? AtomKind::merge : AtomKind::regular;
  }
  adopt_assembled_frames(link, file);
  for (const ModuleFunction& f : m.functions) {
    link.atoms[file.atom_base + f.section].kind = AtomKind::function;
    for (uint32_t part : {f.section + 1, f.exceptions, f.traps})
      if (part) link.atoms[file.atom_base + part].kind = AtomKind::constants;
  }
  file.globals.names.reserve(file.syms.size() - file.first_global);
  for (uint32_t i = file.first_global; i < file.syms.size(); i++) {
    std::string_view name = file.sym_name(file.syms[i]);
    if (size_t at = name.find('@'); at != std::string_view::npos) {
      file.symvers.emplace_back(i, std::string(name.substr(at)));
      if (name.substr(at).starts_with("@@")) name = name.substr(0, at);
    }
    file.globals.add(name);
  }
}

void adopt_atoms(Link& link, ObjectFile& file) {
  const ObjectContents& c = *file.contents;
  auto bytes = [&](uint32_t body, uint64_t offset) -> const uint8_t* {
    if (body == BodyPlace::zero) return nullptr;
    return (body == 0 ? file.data.data() : c.buffers[body - 1]->data()) + offset;
  };
  for (uint32_t i = 1; i < c.sections.size(); i++) {
    const SectionContents& s = c.sections[i];
    if (s.kind == AtomKind::none) continue;
    Atom& a = link.atoms[file.atom_base + i];
    a.data = bytes(s.body, s.offset);
    a.size = s.size;
    a.relocs = reinterpret_cast<const Rela*>(bytes(s.relocs_body, s.relocs_offset));
    a.reloc_count = s.reloc_count;
    a.fde_begin = s.fde_begin;
    a.fde_count = s.fde_count;
    a.p2align = s.p2align;
    a.kind = s.kind;
  }
  for (const GroupContents& g : c.groups) {
    const std::string_view signature = text_at(file.data, g.signature);
    Group group;
    group.signature = {signature.data(), uint32_t(signature.size()), none, g.signature.hash};
    group.members = {reinterpret_cast<const Word*>(bytes(g.members.body, g.members.offset)), g.member_count};
    group.section = g.section;
    group.comdat = g.comdat;
    file.groups.push_back(group);
  }
}

void adopt_names(NameBatch& batch, Bytes file, std::span<const NameContents> names) {
  batch.names.resize(names.size());
  for (size_t i = 0; i < names.size(); i++)
    batch.names[i] = {reinterpret_cast<const char*>(file.data()) + names[i].offset, names[i].size, none, names[i].hash};
}

std::shared_ptr<const ObjectContents> contents_of(Link& link, ObjectFile& file) {
  if (auto known = link.inputs.object(file.data)) return known;
  std::vector<ReadProblem> problems;
  auto read = std::make_shared<const ObjectContents>(read_object(file.view, read_options(link), problems));
  for (const ReadProblem& p : problems)
    link.diag.error(file.name + ":(" + std::string(file.view.section_name(p.section)) + "): " + p.message,
                    uint64_t(file.priority) << 32 | p.section);
  if (problems.empty()) link.inputs.keep(file.data, read);
  return read;
}

}  // namespace

ReadOptions read_options(const Link& link) {
  return {link.machine, link.relocatable, link.opt.strip_debug || link.opt.strip_all, link.opt.discard_sections};
}

Result<void> open_object(Link& link, ObjectFile& file) {
  if (file.view.header || !file.sections.empty()) return {};
  if (file.kind == FileKind::module) return read_module(file, link);
  LODE_ASSIGN(file.view, ElfView::open(file.data));
  if (file.view.header->type != ET_REL) return error("not a relocatable object");
  if (file.view.header->machine != link.machine->elf_machine)
    return wrong_machine(*link.machine, file.view.header->machine);
  file.sections = file.view.sections;
  file.syms = file.view.symbols;
  file.strtab = file.view.symbol_names;
  file.first_global = file.view.first_global;
  return {};
}

void adopt_object(Link& link, ObjectFile& file) {
  clear_atoms(link, file);
  if (file.kind == FileKind::module) {
    adopt_module(link, file);
    wrap_names(link, file);
    return;
  }
  file.contents = contents_of(link, file);
  const ObjectContents& c = *file.contents;
  adopt_atoms(link, file);
  adopt_frame_records(file, c);
  adopt_names(file.globals, file.data, c.names);
  file.symvers = c.symvers;
  file.properties = c.properties;
  file.has_gnu_stack = c.has_gnu_stack;
  file.exec_stack = c.exec_stack;
  file.has_init_arrays = c.has_init_arrays;
  for (const NameContents& n : c.dependent_libraries) file.dependent_libraries.push_back(text_at(file.data, n));
  for (const NameRef& name : file.globals.names)
    if (name.str() == slim_lto_mark)
      link.diag.error(file.name +
                          ": a GCC LTO object without machine code, which needs GCC's linker plugin; compile with "
                          "-ffat-lto-objects or without -flto",
                      uint64_t(file.priority) << 32);
  wrap_names(link, file);
}

Result<void> adopt_shared(Link& link, SharedFile& file) {
  std::shared_ptr<const SharedContents> c = link.inputs.shared(file.data);
  if (!c) {
    LODE_ASSIGN(SharedContents read, read_shared(file.data, *link.machine));
    c = std::make_shared<const SharedContents>(std::move(read));
    link.inputs.keep(file.data, c);
  }
  file.contents = c;
  if (!c->soname.empty()) file.soname = c->soname;
  for (const NameContents& n : c->needed) file.needed.push_back(text_at(file.data, n));
  for (const NameContents& n : c->version_names) file.version_names.push_back(text_at(file.data, n));
  file.audit = text_at(file.data, c->audit);
  file.versions = c->versions;
  file.syms = c->symbols;
  file.first_global = 0;
  LODE_ASSIGN(ElfView view, ElfView::open(file.data));
  file.strtab = view.symbol_names;
  adopt_names(file.globals, file.data, c->names);
  return {};
}

}  // namespace lode::link::elf
