// Debug information of IR modules, as sections of the link.
//
// What codegen/debug makes of a module depends on offsets in functions, which measuring finds, but on no address. So
// each module with debug information gets an object of its own beside it: its sections take their places in the output
// with those of the other objects, empty at first, and get bytes and relocations when functions have been measured.
// From there on they are sections like any other's, also for -r, compression and --gdb-index. The object's symbols are
// not resolved by name: they are the module's own, by number, so that locals are reached as well. Nothing refers to
// these objects, and they keep nothing alive.
#include "link/elf/code/debug_sections.h"


#include "codegen/native/debug_column.h"
#include "formats/bitcode/module.h"
#include "link/elf/code/lower_state.h"
#include "link/elf/machines/machine.h"
#include "link/common/parallel.h"

namespace lode::link::elf {

namespace dwarf = codegen::dwarf;

namespace {

constexpr uint32_t first_section = 1, section_count = dwarf::section_count;

// Strings may be merged by whoever links the output again.
Shdr header_of(uint32_t section, ObjectFile& file) {
  Shdr h{};
  h.name = uint32_t(file.strings.size());
  file.strings += dwarf::section_names[section];
  file.strings += '\0';
  h.type = SHT_PROGBITS;
  h.addralign = 1;
  return h;
}

bool add_object(Link& link, const ObjectFile& module, DebugSectionState& state) {
  auto object = std::make_unique<DebugSectionState::Object>();
  auto file = std::make_unique<ObjectFile>();
  file->kind = FileKind::object;
  file->id = uint32_t(link.files.size());
  file->path = module.path;
  file->name = module.name + std::string(debug_information);
  file->priority = link.next_priority++;
  file->alive = file->parsed = file->made = file->debug_information = true;
  file->has_gnu_stack = true;
  file->strings.assign(1, '\0');
  object->headers.emplace_back();
  object->syms.resize(first_section + section_count);
  for (uint32_t k = 0; k < section_count; k++) {
    object->headers.push_back(header_of(k, *file));
    object->syms[first_section + k].info = STT_SECTION;
    object->syms[first_section + k].shndx = uint16_t(first_section + k);
  }
  file->sections = object->headers;
  file->syms = object->syms;
  file->strtab = file->strings;
  file->first_global = uint32_t(object->syms.size());
  uint32_t unused;
  if (!link.atoms.append(file->sections.size(), file->atom_base) ||
      !link.atom_address.extend(file->sections.size(), unused)) {
    link.diag.error(too_many_sections);
    return false;
  }
  for (uint32_t k = 0; k < file->sections.size(); k++) {
    Atom& a = link.atoms[file->atom_base + k];
    link.atom_address[file->atom_base + k] = 0;
    a.file = file->id;
    a.section = k;
    a.kind = k ? AtomKind::regular : AtomKind::none;
    a.live = k != 0;
  }
  object->module = module.id;
  object->file = file->id;
  link.objects.push_back(file.get());
  link.files.push_back(std::move(file));
  state.objects.push_back(std::move(object));
  return true;
}

// The function as debug information sees it. False: it has none, or it is damaged.
bool describe(Link& link, ObjectFile& f, ModuleFunction& fn, codegen::DebugFunction& out) {
  LowerState& s = *link.lower;
  const mir::FunctionView view = s.store->view(fn.mir);
  if (view.debug.empty() || !s.target->debug_frame ||
      !codegen::read_debug_column(view.debug, view.count, out.column))
    return false;
  const ModuleState& m = *f.module;
  const SymbolId id = m.ids[m.module->functions[fn.index.value].symbol.value];
  if (!id.valid() || link.symbols[id.value].atom != f.atom_base + fn.section) return false;
  std::vector<uint32_t> labels;
  for (const codegen::DebugRow& r : out.column.rows) labels.push_back(r.inst);
  for (const codegen::DebugRange& r : out.column.ranges)
    if (r.end != ~0u) labels.push_back(r.begin), labels.push_back(r.end);
  if (!label_offsets(link, f.atom_base + fn.section, labels)) return false;
  if (auto r = s.target->debug_frame(view, out.frame); !r) return false;
  size_t at = 0;
  for (codegen::DebugRow& r : out.column.rows) r.inst = labels[at++];
  for (codegen::DebugRange& r : out.column.ranges)
    if (r.end != ~0u) r.begin = labels[at++], r.end = labels[at++];
  out.body = m.bitcode->body_number(fn.index);
  out.symbol = id.value;
  out.entry = fn.sizes.entry;
  out.text_size = fn.sizes.text;
  return true;
}

// The module's relocations name symbols by SymbolId; those of the object by its symbol table.
void make_relocations(Link& link, DebugSectionState::Object& object, ObjectFile& file) {
  std::unordered_map<uint32_t, uint32_t> number;  // by SymbolId
  for (uint32_t k = 0; k < section_count; k++) {
    auto& out = object.relocations[k];
    out.reserve(object.contents.of[k].relocations.size());
    for (const dwarf::Relocation& r : object.contents.of[k].relocations) {
      if (r.target == dwarf::Relocation::section) {
        out.push_back({r.offset, link.machine->r_word(4, false), first_section + r.index, r.addend});
        continue;
      }
      auto [it, fresh] = number.try_emplace(r.index, uint32_t(object.syms.size()));
      if (fresh) {
        Sym s{};
        s.info = uint8_t(STB_GLOBAL << 4);
        object.syms.push_back(s);
        file.globals.names.push_back({nullptr, 0, r.index, 0});
      }
      const uint32_t type =
          r.target == dwarf::Relocation::tls ? link.machine->r_dtpoff : link.machine->r_word(8, false);
      out.push_back({r.offset, type, it->second, r.addend});
    }
  }
  file.syms = object.syms;
}

void complete(Link& link, DebugSectionState::Object& object) {
  ObjectFile& f = link.object(object.module);
  ModuleState& m = *f.module;
  codegen::DebugInput input;
  input.module = m.bitcode->debug_module();
  input.dwarf_registers = link.lower->target->dwarf_registers;
  for (ModuleFunction& fn : m.functions) {
    const Atom& a = link.atoms[f.atom_base + fn.section];
    if (!a.live || a.folded || !fn.mir.valid()) continue;
    codegen::DebugFunction d;
    if (describe(link, f, fn, d)) input.functions.push_back(std::move(d));
  }
  input.global = [&](uint32_t global) {
    codegen::DebugGlobal g;
    const air::SymbolIndex s = m.bitcode->symbol_of_global(global);
    if (!s.valid() || !m.ids[s.value].valid()) return g;
    const Symbol& x = link.symbols[m.ids[s.value].value];
    g.symbol = m.ids[s.value].value;
    g.thread_local_ = m.module->symbols[s.value].tls != air::TlsModel::none;
    g.exists = x.defined() && !x.imported && x.file == f.id && x.atom != none && link.atoms[x.atom].live;
    return g;
  };
  std::vector<std::string> warnings;
  auto made = codegen::make_debug_sections(input, warnings);
  if (!made) warnings.push_back("debug information is left out: " + made.error().text());
  for (const std::string& w : warnings) link.diag.warning(f.name + ": " + w, uint64_t(f.priority) << 32);
  if (!made) return;
  object.contents = std::move(*made);
  ObjectFile& file = link.object(object.file);
  make_relocations(link, object, file);
  for (uint32_t k = 0; k < section_count; k++) {
    Atom& a = link.atoms[file.atom_base + first_section + k];
    a.data = object.contents.of[k].bytes.data();
    a.size = object.contents.of[k].bytes.size();
    a.relocs = object.relocations[k].data();
    a.reloc_count = uint32_t(object.relocations[k].size());
    object.headers[first_section + k].size = a.size;
  }
}

}  // namespace

void add_debug_sections(Link& link) {
  if (!link.has_modules || !link.lower || !link.lower->options.debug) return;
  std::vector<const ObjectFile*> modules;
  for (const ObjectFile* f : link.objects)
    if (f->kind == FileKind::module && f->module->bitcode && f->module->bitcode->debug_module()) modules.push_back(f);
  if (modules.empty()) return;
  link.debug_sections = std::make_shared<DebugSectionState>();
  for (const ObjectFile* f : modules)
    if (!add_object(link, *f, *link.debug_sections)) return;
}

void complete_debug_sections(Link& link) {
  if (!link.debug_sections) return;
  auto& objects = link.debug_sections->objects;
  parallel_for(size_t(0), objects.size(), [&](size_t k) { complete(link, *objects[k]); });
}

}  // namespace lode::link::elf
