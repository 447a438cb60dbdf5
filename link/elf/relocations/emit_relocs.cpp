// --emit-relocs: the relocations that were applied, kept beside the sections of a linked output for tools that rewrite
// it (post-link optimisers, kernels that move themselves).
//
// Each output section NAME gets a section .relaNAME, not loaded, whose entries give addresses as the output has them. A
// symbol that is in .symtab is named; anything else (section symbols, unnamed strings) becomes the symbol of its output
// section and a distance. Where the linker changed instructions, the type is what now describes the field
// (Machine::describe); of what is gone a R_*_NONE stays, so that the number of entries is known before layout.

#include "link/elf/relocations/actions.h"
#include "link/common/parallel.h"

namespace lode::link::elf {

namespace {

uint64_t relocations_of(Link& link, uint32_t atom) {
  const Atom& a = link.atoms[atom];
  bool copied =
      a.kind == AtomKind::regular && !a.folded && a.file != none && link.files[a.file]->kind == FileKind::object;
  return copied ? a.reloc_count : 0;
}

template <class Fn>  // fn(file, atom, first relocation, past the last, offset in the output minus offset in the input)
void for_each_frame_record(Link& link, Fn&& fn) {
  for (ObjectFile* f : link.objects) {
    for (const Cie& c : f->cies)
      if (c.out_offset != none)
        fn(*f, link.atoms[c.atom], c.reloc_begin, c.reloc_end, int64_t(c.out_offset) - int64_t(c.input_offset));
    for (const Fde& d : f->fdes)
      if (d.out_offset != none)
        fn(*f, link.atoms[d.source], d.reloc_begin, d.reloc_end, int64_t(d.out_offset) - int64_t(d.input_offset));
  }
}

class Writer {
 public:
  explicit Writer(Link& link) : link_(link), global_index_(link.symbols.size(), 0), local_index_(link.files.size()) {
    uint32_t at = uint32_t(link.symtab_count - link.symtab_globals.size());
    for (uint32_t i = 0; i < link.symtab_globals.size(); i++) global_index_[link.symtab_globals[i]] = at + i;
    parallel_for(size_t(0), link.objects.size(), [&](size_t k) {
      local_index_[link.objects[k]->id] = local_symtab_indices(link, *link.objects[k]);
    });
  }

  Rela translate(ObjectFile& f, const Atom& a, uint32_t i, uint64_t place) {
    Rela r = a.relocs[i];
    r.offset = place;
    if (r.sym >= f.syms.size()) return {place, 0, 0, 0};
    Referent t = referent(link_, f, r.sym);
    if (t.id != none && global_index_[t.id]) {
      r.sym = global_index_[t.id];
      return r;
    }
    if (t.id == none && !t.section_symbol && local_index_[f.id][r.sym]) {
      r.sym = local_index_[f.id][r.sym];
      return r;
    }
    uint32_t atom = t.id != none ? link_.symbols[t.id].atom : t.atom;
    if (atom == none || t.discarded || !link_.atoms[atom].live) return {place, 0, 0, 0};
    const Atom& to = link_.atoms[atom];
    uint32_t out = to.kind == AtomKind::merge      ? link_.merged[link_.merge_inputs[to.extra].merged]->out
                   : to.kind == AtomKind::eh_frame ? link_.eh_frame->id
                                                   : to.out;
    if (out == none || !link_.sections[out]->symtab_index) return {place, 0, 0, 0};
    uint64_t address =
        t.id != none ? link_.symbols[t.id].address + uint64_t(int64_t(r.addend)) : local_address(link_, t, r.addend);
    r.sym = link_.sections[out]->symtab_index;
    r.addend = int64_t(address - link_.sections[out]->addr);
    return r;
  }

  void write(OutputSection& relocated, uint8_t* out) {
    auto* at = reinterpret_cast<Rela*>(out);
    std::vector<size_t> begin(relocated.atoms.size() + 1);
    for (size_t k = 0; k < relocated.atoms.size(); k++)
      begin[k + 1] = begin[k] + relocations_of(link_, relocated.atoms[k]);
    parallel_for(size_t(0), relocated.atoms.size(), [&](size_t k) {
      if (begin[k] == begin[k + 1]) return;
      Atom& a = link_.atoms[relocated.atoms[k]];
      ObjectFile& f = link_.object(a.file);
      for (uint32_t i = 0; i < a.reloc_count; i++) {
        Rela r = translate(f, a, i, relocated.addr + a.offset + a.relocs[i].offset);
        if (relocated.alloc() && r.type) describe_relocation(link_, f, a, i, r);
        const Want want = link_.machine->row(r.type).want;
        if (want == Want::relax_mark || want == Want::alignment || want == Want::gp_distance)
          r = {uint64_t(r.offset), link_.machine->r_none, 0, 0};  // have been made, or have no number
        at[begin[k] + i] = r;
      }
    });
  }

  void write_frames(uint8_t* out) {
    auto* at = reinterpret_cast<Rela*>(out);
    for_each_frame_record(link_, [&](ObjectFile& f, const Atom& a, uint32_t first, uint32_t last, int64_t moved) {
      for (uint32_t i = first; i < last; i++)
        *at++ = translate(f, a, i, link_.eh_frame->addr + uint64_t(int64_t(uint64_t(a.relocs[i].offset)) + moved));
    });
  }

 private:
  Link& link_;
  std::vector<uint32_t> global_index_;
  std::vector<std::vector<uint32_t>> local_index_;
};

}  // namespace

void create_emitted_relocations(Link& link) {
  if (!link.opt.emit_relocs || !link.symtab) return;
  auto nothing = [](Link&, OutputSection&, uint8_t*) {};
  auto make = [&](OutputSection& of, uint64_t count) {
    if (!count) return;
    OutputSection* s = make_section(link, ".rela" + of.name, SHT_RELA, SHF_INFO_LINK, 8, nothing);
    s->entsize = sizeof(Rela);
    s->size = count * sizeof(Rela);
    s->link_to = link.symtab;
    s->info_to = &of;
    link.emitted_relocations.push_back(s);
  };
  for (size_t i = 0, n = link.sections.size(); i < n; i++) {
    OutputSection& s = *link.sections[i];
    uint64_t count = 0;
    if (!s.write)
      for (uint32_t atom : s.atoms) count += relocations_of(link, atom);
    make(s, count);
  }
  uint64_t frames = 0;
  layout_eh_frame(link);
  for_each_frame_record(
      link, [&](ObjectFile&, const Atom&, uint32_t first, uint32_t last, int64_t) { frames += last - first; });
  make(*link.eh_frame, frames);
  for (ObjectFile* f : link.objects)
    if (f->kind == FileKind::module)
      link.diag.warning("--emit-relocs: " + f->name + ": code that lode makes from IR has no relocations");
}

void write_emitted_relocations(Link& link) {
  if (link.emitted_relocations.empty()) return;
  Writer w(link);
  for (OutputSection* s : link.emitted_relocations) {
    OutputSection& of = const_cast<OutputSection&>(*s->info_to);
    if (!s->index) continue;
    if (&of == link.eh_frame) w.write_frames(link.image + s->offset);
    else w.write(of, link.image + s->offset);
  }
}

}  // namespace lode::link::elf
