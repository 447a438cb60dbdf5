// References of MIR functions that take a shorter form when their symbol turns out to be near: on riscv64 one `jal` for
// a call, one instruction by register 0, gp or tp for an address. The forms alone decide the sizes of a function, and
// the sizes decide the addresses, so that forms and layout are found together.
//
// The fix point is the one of relocations/shrink.h, and runs with it: a reference begins in the shortest form that its
// kind may have, and where the addresses of a layout say that it does not reach, it takes the next one, for good; the
// function is measured again, and layout runs again. A form never gets shorter, so this ends, after at most as many
// rounds as there are forms. Whether a call reaches is asked from both ends of its function's text, so that the answer
// holds for every place in it. The window of the global pointer is tried for what is written to, register 0 for what
// has no section; nothing could come of it elsewhere.
//
// Unwind records and exception tables hold distances in the text, and grow with it. There are no such forms under
// --no-relax, in objects, and where the output is to be patched in place.
#include "link/common/parallel.h"
#include "link/elf/code/lower_state.h"
#include "link/elf/relocations/referent.h"
#include "link/elf/relocations/shrink.h"

namespace lode::link::elf {

using codegen::ReferenceForm;
using mir::ReferenceKind;

namespace {

bool is_near(ReferenceForm f) { return f >= ReferenceForm::near; }

// The form that a reference had before nearness was asked for.
ReferenceForm full_form(const Link& link, const mir::Reference& r, ReferenceForm now) {
  switch (now) {
    case ReferenceForm::near: return ReferenceForm::direct;
    case ReferenceForm::tls_near: return ReferenceForm::tls_local_exec;
    case ReferenceForm::small_absolute: case ReferenceForm::gp_relative: return plain_form(link, r);
    default: return now;
  }
}

codegen::NearPlace place_of(Link& link, const mir::Reference& r, ReferenceForm form, const Atom& text, uint64_t begin) {
  const Symbol& x = link.symbols[r.symbol.value];
  codegen::NearPlace place;
  place.text_begin = begin;
  place.text_end = begin + text.size;
  place.global_pointer = link.opt.relax_gp && !link.pic ? link.gp : 0;
  const bool leads_nowhere = r.kind == ReferenceKind::call && !x.defined() && !x.imported && link.pic;
  place.address = leads_nowhere ? begin : code_address(link, x) + uint64_t(int64_t(r.addend));
  if (form == ReferenceForm::tls_near) place.address -= link.tp;
  return place;
}

struct Growth {
  bool grown = false, frames = false;
};

Growth grow(Link& link, LowerState& s, ObjectFile& f, ModuleFunction& fn) {
  Growth out;
  const auto references = s.store->references(fn.mir);
  Atom& text = link.atoms[f.atom_base + fn.section];
  const uint64_t begin = link.atom_address[f.atom_base + fn.section];
  for (size_t k = 0; k < references.size(); k++) {
    ReferenceForm& form = fn.references[k].form;
    if (!is_near(form)) continue;
    const mir::Reference& r = references[k];
    const ReferenceForm now =
        s.target->near_form(full_form(link, r, form), form, place_of(link, r, form, text, begin));
    out.grown |= now != form;
    form = now;
  }
  if (!out.grown) return out;
  const codegen::FunctionSizes before = fn.sizes;
  if (!measure_function(link, f, fn)) return {};
  out.frames = fn.sizes.cfi != before.cfi || fn.sizes.exceptions != before.exceptions;
  return out;
}

}  // namespace

ReferenceForm first_form(const Link& link, const mir::Reference& r, ReferenceForm full) {
  if (!link.opt.relax || link.patchable || !r.symbol.valid() || !link.lower->target->near_form) return full;
  const Symbol& x = link.symbols[r.symbol.value];
  switch (full) {
    case ReferenceForm::tls_local_exec: return ReferenceForm::tls_near;
    case ReferenceForm::direct:
      if (r.kind == ReferenceKind::call) return ReferenceForm::near;
      break;
    case ReferenceForm::absolute: break;
    default: return full;
  }
  if (full == ReferenceForm::absolute && x.atom == none) return ReferenceForm::small_absolute;
  if (link.pic || !link.opt.relax_gp || x.atom == none) return full;
  const Atom& a = link.atoms[x.atom];
  const bool written = a.out != none && (link.sections[a.out]->flags & (SHF_WRITE | SHF_TLS)) == SHF_WRITE;
  return written ? ReferenceForm::gp_relative : full;
}

bool has_near_references(const Link& link) {
  return link.has_modules && link.lower && link.lower->target && link.lower->target->near_form && link.opt.relax &&
         !link.patchable;
}

bool grow_functions(Link& link) {
  LowerState& s = *link.lower;
  std::vector<LiveFunction> fns = live_functions(link);
  std::vector<Growth> growth(fns.size());
  parallel_for(size_t(0), fns.size(), [&](size_t i) { growth[i] = grow(link, s, *fns[i].file, *fns[i].fn); });
  std::vector<uint8_t> changed(link.sections.size());
  bool any = false, frames = false;
  for (size_t i = 0; i < fns.size(); i++) {
    if (!growth[i].grown) continue;
    any = true;
    frames |= growth[i].frames;
    const uint32_t base = fns[i].file->atom_base;
    for (uint32_t section : {fns[i].fn->section, fns[i].fn->exceptions})
      if (section && link.atoms[base + section].out != none) changed[link.atoms[base + section].out] = 1;
  }
  if (!any) return false;
  parallel_for(size_t(0), link.sections.size(), [&](size_t i) {
    if (changed[i]) place_members(link, *link.sections[i]);
  });
  if (frames) layout_eh_frame(link);
  return true;
}

}  // namespace lode::link::elf
