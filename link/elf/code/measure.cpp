// MIR functions before layout: what they need of the link, what equals them, how large they are.
//
// Asked for: the walk is over, its functions are in the store (lower.cpp). A reference gets its form here, by what its
// symbol has become: an address, a GOT slot, one of the models of thread-local storage. The forms alone decide the
// sizes of a function, so it can be measured before anything has an address, and the sizes that an earlier link or
// flush found for the same forms hold. True after measure_functions: text, constants, exception table and trap list of
// every live function have their sizes, the symbols of its entry and its patchable places stand where the entry is, and
// emit.cpp finds forms and sizes in the ModuleFunction. Measuring again, after the forms changed, sets all of it anew.
//
// Functions are folded (graph/icf.cpp) before they are measured, by their MIR: equal MIR with equal references is equal
// code.
#include <xxhash.h>

#include <algorithm>

#include "base/stage_times.h"
#include "link/cache/cached_functions.h"
#include "link/elf/code/lower_state.h"
#include "link/elf/machines/machine.h"
#include "link/elf/relocations/actions.h"
#include "link/common/parallel.h"

namespace lode::link::elf {

using codegen::ReferenceForm;
using mir::ReferenceKind;

static ModuleFunction* function_at(Link& link, uint32_t atom) {
  ObjectFile& f = link.object(link.atoms[atom].file);
  uint32_t k = f.module->function_of_section[link.atoms[atom].section];
  return k == none || !f.module->functions[k].mir.valid() ? nullptr : &f.module->functions[k];
}

// ---- identical functions

bool function_can_fold(Link& link, uint32_t atom) {
  ModuleFunction* fn = function_at(link, atom);
  return fn && fn->blocks.empty() && !fn->patchable &&
         !(link.lower->store->record(fn->mir).flags & codegen::draft_flags::has_asm_sections);
}

void fold_parts(Link& link, uint32_t atom) {
  const ModuleFunction* fn = function_at(link, atom);
  link.atoms[atom + 1].folded = 1;
  if (fn && fn->exceptions) link.atoms[atom - fn->section + fn->exceptions].folded = 1;
  if (fn && fn->traps) link.atoms[atom - fn->section + fn->traps].folded = 1;
}

bool function_address_matters(Link& link, uint32_t atom) {
  const Atom& a = link.atoms[atom];
  const ModuleState& m = *link.object(a.file).module;
  for (uint32_t i = 0; i < m.sym_of.size(); i++)
    if (m.sym_of[i] && link.object(a.file).wide_sections[m.sym_of[i]] == a.section &&
        !m.module->symbols[i].unnamed_addr)
      return true;
  return false;
}

void hash_function(Link& link, uint32_t atom, const std::function<void(const void*, size_t)>& add,
                   const std::function<void(uint32_t, int64_t)>& reference) {
  mir::FunctionView v = link.lower->store->view(function_at(link, atom)->mir);
  uint64_t shape[] = {
      v.count, v.extra.size(), v.locals.size(), v.references.size(), v.constants.size(), v.constants_align_log2,
      v.flags, v.tag_bytes};
  add(shape, sizeof shape);
  add(v.tags, size_t(v.count) * v.tag_bytes);
  add(v.operands, size_t(v.count) * sizeof *v.operands);
  add(v.extra.data(), v.extra.size_bytes());
  add(v.locals.data(), v.locals.size_bytes());
  add(v.constants.data(), v.constants.size_bytes());
  if (v.frame) add(v.frame, 6 * sizeof *v.frame);
  for (const mir::Reference& r : v.references) {
    add(&r.kind, sizeof r.kind);
    if (r.symbol.valid()) reference(r.symbol.value, r.addend);
    else add(&r.addend, sizeof r.addend);
  }
}

// ---- what references ask for

void scan_functions(Link& link) {
  LowerState& s = *link.lower;
  std::vector<LiveFunction> fns = live_functions(link);
  parallel_for(size_t(0), fns.size(), [&](size_t i) {
    auto refs = s.store->references(fns[i].fn->mir);
    const auto& forms = fns[i].fn->references;
    ObjectFile& f = *fns[i].file;
    const Atom& atom = link.atoms[f.atom_base + fns[i].fn->section];
    for (size_t k = 0; k < refs.size(); k++) {
      if (!refs[k].symbol.valid()) continue;
      Symbol& x = link.symbols[refs[k].symbol.value];
      if (!x.defined() && !x.imported && note_undefined(link, refs[k].symbol.value, f, atom, 0)) continue;
      bool ifunc = x.type == STT_GNU_IFUNC && !x.imported && x.defined();
      if (ifunc) atomic_or(x.flags, uint32_t(needs_plt));
      if (refs[k].kind == ReferenceKind::call && link.pic && is_absolute(link, x)) {
        link.diag.error(f.name + ": function " + function_name(f, *fns[i].fn) + ": a call of `" + link.display(x) +
                            "`, which is at a fixed address, can not be used in position-independent code",
                        uint64_t(f.priority) << 32 | fns[i].fn->section);
        continue;
      }
      switch (forms[k].form) {
        case ReferenceForm::direct: case ReferenceForm::absolute: case ReferenceForm::near:
        case ReferenceForm::small_absolute: case ReferenceForm::gp_relative:
          if (!x.imported) break;
          if (refs[k].kind == ReferenceKind::call) atomic_or(x.flags, uint32_t(needs_plt));
          else if (x.type == STT_FUNC || x.type == STT_GNU_IFUNC)
            atomic_or(x.flags, uint32_t(needs_plt) | needs_canonical_plt | needs_dynsym);
          else if (!link.shared && x.defined() && !link.files[x.file]->is_object())
            atomic_or(x.flags, uint32_t(needs_copy) | needs_dynsym);
          break;
        case ReferenceForm::got: atomic_or(x.flags, uint32_t(needs_got)); break;
        case ReferenceForm::tls_initial_exec: atomic_or(x.flags, uint32_t(needs_gottp)); break;
        case ReferenceForm::tls_general_dynamic: atomic_or(x.flags, uint32_t(needs_tlsgd)); break;
        case ReferenceForm::tls_local_dynamic:
          std::atomic_ref<uint8_t>(link.needs_tlsld).store(1, std::memory_order_relaxed);
          break;
        default: break;
      }
      if (forms[k].form == ReferenceForm::tls_initial_exec && link.shared)
        std::atomic_ref<uint8_t>(link.has_static_tls).store(1, std::memory_order_relaxed);
    }
  });
}

std::vector<uint32_t> slot_symbols(Link& link) {
  std::vector<uint32_t> out;
  std::vector<bool> seen(link.symbols.size());
  for_each_live_function(link, [&](ObjectFile&, ModuleFunction& x) {
    if (!x.has_exceptions) return;
    for (const mir::Reference& r : link.lower->store->references(x.mir)) {
      if (r.kind != ReferenceKind::got_slot || !r.symbol.valid() || seen[r.symbol.value]) continue;
      seen[r.symbol.value] = true;
      out.push_back(r.symbol.value);
    }
  });
  return out;
}

// Constants of live functions belong to the output with them.
void place_functions(Link& link) {
  for_each_live_function(link, [&](ObjectFile& f, ModuleFunction& x) {
    link.atoms[f.atom_base + x.section + 1].live = 1;
    if (x.has_exceptions && x.exceptions) link.atoms[f.atom_base + x.exceptions].live = 1;
    if (x.traps) link.atoms[f.atom_base + x.traps].live = x.has_traps;
  });
}

// ---- forms and sizes

ReferenceForm plain_form(const Link& link, const mir::Reference& r) {
  if (!r.symbol.valid()) return ReferenceForm::direct;
  const Symbol& x = link.symbols[r.symbol.value];
  bool fixed =
      !x.imported && (!x.defined() || (x.atom == none && link.files[x.file]->is_object() && !x.linker_defined));
  switch (r.kind) {
    case ReferenceKind::tls_general_dynamic:
      if (link.shared) return ReferenceForm::tls_general_dynamic;
      return x.imported ? ReferenceForm::tls_initial_exec : ReferenceForm::tls_local_exec;
    case ReferenceKind::tls_local_dynamic:
      return link.shared ? ReferenceForm::tls_local_dynamic : ReferenceForm::tls_local_exec;
    case ReferenceKind::tls_initial_exec:
      return link.shared || x.imported ? ReferenceForm::tls_initial_exec : ReferenceForm::tls_local_exec;
    case ReferenceKind::tls_local_exec: return ReferenceForm::tls_local_exec;
    case ReferenceKind::call: return ReferenceForm::direct;
    case ReferenceKind::got_slot: return ReferenceForm::got;
    case ReferenceKind::got:
      if (x.imported) return ReferenceForm::got;
      [[fallthrough]];
    default:
      if (x.imported) return ReferenceForm::direct;
      if (fixed) return ReferenceForm::absolute;
      // Below 2 GiB an address is a 32-bit immediate.
      return link.pic || link.opt.image_base >= (uint64_t{1} << 30) ? ReferenceForm::direct : ReferenceForm::absolute;
  }
}

// The names of functions whose entries do not stand where the last measure had them; and the sizes of all, for .symtab.
static void settle_symbols(Link& link, ObjectFile& f) {
  ModuleState& m = *f.module;
  size_t start = 0;
  for (uint32_t i = 1; i < f.syms.size(); i++) {
    const uint32_t section = f.wide_sections[i];
    const bool is_start = start < m.start_syms.size() && m.start_syms[start] == i;
    start += is_start;
    if (!section || m.function_of_section[section] == none) continue;
    const ModuleFunction& fn = m.functions[m.function_of_section[section]];
    Sym& s = m.syms[i];
    if (fn.moved && !is_start) {
      s.value += fn.moved;
      Symbol& x = link.symbols[i < f.first_global ? m.first_local_id + i : f.symbol_id(i)];
      if (x.file == f.id && x.sym == i) x.value = s.value;
    }
    // A name in front of the entry ends there.
    if (s.type() != STT_SECTION) s.size = is_start ? fn.sizes.entry : m.sections[section].size - fn.sizes.entry;
  }
  for (ModuleFunction& fn : m.functions) fn.moved = 0;
  for (ModuleFunction& fn : m.functions)
    if (fn.patchable) m.relocs[fn.patchable][0].addend = int64_t(fn.sizes.entry) + fn.patchable_place;
}

uint64_t hash_of_forms(const ModuleFunction& fn) {
  std::vector<uint8_t> forms(fn.references.size());
  for (size_t k = 0; k < forms.size(); k++) forms[k] = uint8_t(fn.references[k].form);
  return XXH3_64bits(forms.data(), forms.size());
}

// The sizes of a function: as an earlier link or flush found them, or measured.
static Result<codegen::FunctionSizes> measure(LowerState& s, const ObjectFile& f, ModuleFunction& fn) {
  ModuleState& m = *f.module;
  if (!m.cache || fn.key == mir::Hash128{}) return s.target->measure(s.store->view(fn.mir), fn.references, s.options);
  CachedModule& functions = m.cache->functions();
  const uint64_t forms = hash_of_forms(fn);
  if (auto kept = functions.kept_code(fn.key); kept && kept->forms == forms) return kept->sizes;
  if (auto known = functions.sizes(fn.index.value, forms)) return *known;
  LODE_ASSIGN(const mir::FunctionView view, whole_function(s, f, fn));
  LODE_ASSIGN(const codegen::FunctionSizes sizes, s.target->measure(view, fn.references, s.options));
  functions.note_sizes(fn.index.value, forms, sizes);
  return sizes;
}

bool measure_function(Link& link, ObjectFile& f, ModuleFunction& fn) {
  LowerState::Use use(*link.lower, link);
  StageClock clock(Stage::measure);
  auto sizes = measure(*link.lower, f, fn);
  Atom& text = link.atoms[f.atom_base + fn.section];
  if (!sizes) {
    link.diag.error(std::move(sizes.error()).at(f.name + ": function " + function_name(f, fn)),
                    uint64_t(f.priority) << 32 | text.section);
    return false;
  }
  fn.moved = sizes->entry - fn.sizes.entry;
  fn.sizes = *sizes;
  text.size = sizes->text;
  link.atoms[f.atom_base + fn.section + 1].size = sizes->constants;
  if (fn.exceptions) link.atoms[f.atom_base + fn.exceptions].size = sizes->exceptions;
  if (fn.traps) link.atoms[f.atom_base + fn.traps].size = 4 * sizes->traps;
  f.module->sections[fn.section].size = sizes->text;
  return true;
}

void settle_function_symbols(Link& link) {
  for (ObjectFile* f : link.objects)
    if (f->kind == FileKind::module) settle_symbols(link, *f);
}

bool measure_functions(Link& link) {
  LowerState& s = *link.lower;
  std::vector<LiveFunction> fns = live_functions(link);
  parallel_for(size_t(0), fns.size(), [&](size_t i) {
    auto [f, fn] = fns[i];
    mir::FunctionView view = s.store->view(fn->mir);
    fn->references.resize(view.references.size());
    for (size_t k = 0; k < view.references.size(); k++) {
      const mir::Reference& r = view.references[k];
      fn->references[k] = {
          0, link.relocatable ? ReferenceForm::relocation : first_form(link, r, plain_form(link, r))};
    }
    if (!measure_function(link, *f, *fn)) return;
    Atom& text = link.atoms[f->atom_base + fn->section];
    text.p2align = std::max(text.p2align, view.text_align_log2);
    link.atoms[f->atom_base + fn->section + 1].p2align = view.constants_align_log2;
  });
  settle_function_symbols(link);
  return !link.diag.has_errors();
}

bool label_offsets(Link& link, uint32_t atom, std::span<uint32_t> labels) {
  const ModuleFunction* fn = function_at(link, atom);
  if (!fn || !link.atoms[atom].live) return false;
  LowerState& s = *link.lower;
  if (auto r = s.target->label_offsets(s.store->view(fn->mir), fn->references, s.options, labels); !r) {
    link.diag.error(std::move(r.error()).at(link.object(link.atoms[atom].file).name));
    return false;
  }
  return true;
}

}  // namespace lode::link::elf
