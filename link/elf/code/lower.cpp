// MIR functions as atoms of the link: how they come to be.
//
// Lowering happens inside the liveness walk, on whichever thread reached the function; the drafts are put into the MIR
// store in the order of the atoms when the walk is over, so the store does not depend on the threads. Asked for before
// it: that all symbols are resolved, since how code reaches a symbol depends on who defines it (prepare_modules, before
// each walk). True after it: every live function has a FunctionId, its references count as such in the symbol table,
// and nothing is lowered again, however often the walk runs. What the functions need of the link and how large they are
// is found in measure.cpp; they are written by emit.cpp.
#include "link/elf/code/lower.h"


#include "codegen/air/legalize.h"
#include "link/cache/cached_functions.h"
#include "link/elf/code/lower_state.h"
#include "link/elf/machines/machine.h"
#include "link/elf/relocations/actions.h"
#include "link/common/parallel.h"

namespace lode::link::elf {

using mir::ReferenceKind;

static LowerState& state(Link& link) {
  if (!link.lower) {
    link.lower = std::make_shared<LowerState>();
    LowerState& s = *link.lower;
    s.target = link.machine->code();
    s.store = std::make_unique<mir::MirStore>(2, s.target->elf_machine);
    s.options.pic = link.pic;
    s.options.shared = link.shared;
    s.options.object = link.relocatable;
    if (link.relocatable) s.options.pic = true;
    s.options.branch_targets = link.opt.z_ibt;
    s.options.debug = !link.opt.strip_debug && !link.opt.strip_all;
    for (unsigned i = 0; i < air::runtime_function_count; i++)
      s.runtime.emplace_back(link.intern(air::runtime_function_table[i].name));
  }
  return *link.lower;
}

std::string function_name(const ObjectFile& f, const ModuleFunction& fn) {
  const air::Module& m = *f.module->module;
  return std::string(m.name_of(m.functions[fn.index.value].symbol));
}

Result<mir::FunctionView> whole_function(LowerState& s, const ObjectFile& f, const ModuleFunction& fn) {
  const mir::FunctionView view = s.store->view(fn.mir);
  LowerState::Kept& kept = s.kept_of(f, fn);
  if (!kept.without_code) return view;
  if (!kept.whole) {
    auto whole = std::make_unique<mir::FunctionDraft>();
    if (!add_code(f.module->cache->functions(), fn.index.value, *whole) ||
        whole->references.size() != view.references.size())
      return error("the kept code is damaged");
    std::copy(view.references.begin(), view.references.end(), whole->references.begin());
    whole->symbol = view.symbol;
    kept.whole = std::move(whole);
  }
  return mir::as_view(*kept.whole);
}

std::vector<LiveFunction> live_functions(Link& link) {
  std::vector<LiveFunction> out;
  for_each_live_function(link, [&](ObjectFile& f, ModuleFunction& x) { out.push_back({&f, &x}); });
  return out;
}

void intern_runtime_names(Link& link) {
  for (unsigned i = 0; i < air::runtime_function_count; i++) link.intern(air::runtime_function_table[i].name);
}

// What the modules' readers had to say, each thing once; and what becomes of debug information that is not made.
static void warn_of_modules(Link& link) {
  LowerState& s = *link.lower;
  for (ObjectFile* f : link.objects) {
    if (f->kind != FileKind::module) continue;
    for (const std::string& w : f->module->module->warnings)
      if (s.said.insert(w).second) link.diag.warning(f->name + ": " + w, uint64_t(f->priority) << 32);
    const ModuleState& m = *f->module;
    if (s.options.debug && m.module->debug_information && !(m.bitcode && m.bitcode->debug_module()) &&
        s.said.insert("debug information").second)
      link.diag.warning(
          f->name + ": debug information of AIR is left out of the output (--strip-debug: without this warning)",
          uint64_t(f->priority) << 32);
  }
}

void prepare_modules(Link& link) {
  state(link);
  warn_of_modules(link);
  for (ObjectFile* f : link.objects) {
    if (f->kind != FileKind::module) continue;
    ModuleState& m = *f->module;
    m.reach.assign(m.ids.size(), codegen::SymbolReach::direct);
    for (size_t i = 0; i < m.ids.size(); i++) {
      if (!m.ids[i].valid()) continue;
      const Symbol& x = link.symbols[m.ids[i].value];
      const air::Symbol& a = m.module->symbols[i];
      bool elsewhere = x.imported;
      if (link.relocatable) elsewhere = !(a.dso_local || x.local || a.visibility != air::Visibility::default_);
      // A symbol that nobody defines is at address 0 in an executable, which pc-relative code cannot say in a PIE.
      // Nor can it say any other absolute address.
      if ((!x.defined() || is_absolute(link, x)) && link.pic) elsewhere = true;
      if (elsewhere) m.reach[i] = codegen::SymbolReach::got;
    }
  }
  LowerState& s = *link.lower;
  s.kept.resize(link.files.size());
  for (ObjectFile* f : link.objects)
    if (f->kind == FileKind::module) s.kept[f->id].resize(f->module->functions.size());
  if (!link.mir_cache) return;
  parallel_for(size_t(0), link.objects.size(), [&](size_t k) {
    ObjectFile& f = *link.objects[k];
    if (f.kind != FileKind::module || f.module->cache) return;
    ModuleState& m = *f.module;
    m.cache = std::make_shared<ModuleCache>(*link.mir_cache, f.name, *m.module, m.bitcode.get(), s.options,
                                            s.target->elf_machine);
  });
}

void module_roots(Link& link, const std::function<void(uint32_t)>& mark_atom) {
  for (ObjectFile* f : link.objects) {
    if (f->kind != FileKind::module) continue;
    ModuleState& m = *f->module;
    // A definition that lost to another file's is not a root, whatever its linkage.
    std::vector<uint8_t> lost(m.sections.size());
    for (uint32_t i = f->first_global; i < f->syms.size(); i++) {
      uint32_t section = f->wide_sections[i];
      if (!section || section >= m.sections.size()) continue;
      const Symbol& x = link.symbols[f->symbol_id(i)];
      if (x.file != f->id && lost[section] == 0) lost[section] = 1;
      if (x.file == f->id) lost[section] = 2;
    }
    for (uint32_t s = 1; s < m.sections.size(); s++)
      if (m.roots[s] == 2 || (m.roots[s] == 1 && lost[s] != 1 && !link.opt.gc_sections)) mark_atom(f->atom_base + s);
  }
}

// The MIR of a function: from the cache, or by reading and lowering it.
static Result<void> make_function(Link& link, ObjectFile& f, ModuleFunction& fn, LowerState::Thread& thread,
                                  mir::FunctionDraft& draft) {
  LowerState& s = *link.lower;
  ModuleState& m = *f.module;
  codegen::LowerContext context;
  context.module = m.module;
  context.symbols = m.ids;
  context.reach = m.reach;
  context.runtime = s.runtime;
  context.options = s.options;
  context.exported_blocks = fn.blocks;
  auto lower = [&] { return s.target->lower(thread.function, context, *thread.scratch, draft); };
  thread.function.clear();
  if (m.cache) {
    CachedFunction cached(*m.cache, context, s.runtime, fn.index);
    LODE_ASSIGN(const CachedFunction::Outcome outcome, cached.take_or_read(draft, thread.function, s.without_code));
    s.kept_of(f, fn).without_code = outcome == CachedFunction::taken_without_code;
    if (outcome == CachedFunction::translated) {
      LODE_TRY(lower());
      cached.keep(draft);
    }
    fn.key = cached.key();
    return {};
  }
  if (m.bodies()) {
    LODE_TRY(m.bodies()->read(fn.index, thread.function));
  } else {
    if (fn.index.value >= m.module->in_memory.size()) return error("no body");
    thread.function = m.module->in_memory[fn.index.value];
  }
  return lower();
}

void lower_function(Link& link, uint32_t atom, const std::function<void(uint32_t)>& mark_symbol) {
  LowerState& s = *link.lower;
  Atom& a = link.atoms[atom];
  ObjectFile& f = link.object(a.file);
  ModuleState& m = *f.module;
  ModuleFunction& fn = m.functions[m.function_of_section[a.section]];
  auto mark_references = [&](std::span<const mir::Reference> refs) {
    for (const mir::Reference& r : refs)
      if (r.symbol.valid()) mark_symbol(r.symbol.value);
  };
  if (fn.mir.valid()) {  // the walk runs again after late members came in
    mark_references(s.store->references(fn.mir));
    return;
  }
  LowerState::Use use(s, link);
  LowerState::Thread& thread = use.thread;
  if (!thread.scratch) thread.scratch = s.target->make_scratch();
  auto fail = [&](Error e) {
    if (e.place.empty()) e.place = f.name;
    else if (!e.place.starts_with(f.name)) e = std::move(e).at(f.name);
    if (e.text().find(function_name(f, fn)) == std::string::npos)
      e.message = "function " + function_name(f, fn) + ": " + e.message;
    link.diag.error(e, uint64_t(f.priority) << 32 | a.section);
  };
  auto draft = std::make_unique<mir::FunctionDraft>();
  if (auto r = make_function(link, f, fn, thread, *draft); !r) return fail(r.take_error());
  if (!fn.exceptions)
    for (const mir::Reference& r : draft->references)
      if (r.kind == ReferenceKind::got_slot)
        return fail(error("landing pads in a function that was declared without a personality"));
  draft->symbol = m.ids[m.module->functions[fn.index.value].symbol.value];
  mark_references(draft->references);
  fn.draft = std::move(draft);
}

// The walk is over: the drafts enter the store, and references that no symbol table mentioned count as such.
void store_drafts(Link& link) {
  LowerState& s = *link.lower;
  std::vector<const mir::FunctionDraft*> drafts;
  std::vector<LiveFunction> fns;
  for (ObjectFile* f : link.objects) {
    if (f->kind != FileKind::module) continue;
    for (ModuleFunction& x : f->module->functions)
      if (x.draft) {
        drafts.push_back(x.draft.get());
        fns.push_back({f, &x});
      }
  }
  if (drafts.empty()) return;
  LowerState::Use use(s, link);
  StageClock clock(Stage::store);
  auto ids = s.store->append_all(drafts, SerialScope::is_open() ? 1 : unsigned(link.opt.threads));
  if (!ids) {
    link.diag.error(ids.error());
    return;
  }
  std::vector<bool> is_runtime(link.symbols.size());
  for (SymbolId id : s.runtime) is_runtime[id.value] = true;
  for (size_t i = 0; i < fns.size(); i++) {
    ModuleFunction& x = *fns[i].fn;
    x.mir = (*ids)[i];
    for (const mir::Reference& r : x.draft->references) x.has_exceptions |= r.kind == ReferenceKind::got_slot;
    x.has_traps = x.draft->flags & codegen::draft_flags::has_type_checks;
    for (const mir::Reference& r : x.draft->references)
      if (r.symbol.valid() && is_runtime[r.symbol.value])
        link.symbols[r.symbol.value].flags |= referenced | referenced_strong;
    x.draft.reset();
  }
}

// The library that was left out after --as-needed, and that defines the name: the first of the command line.
static SharedFile* dropped_definer(Link& link, uint32_t symbol) {
  SharedFile* best = nullptr;
  for (auto& f : link.files) {
    if (f->kind != FileKind::shared || (best && best->priority < f->priority)) continue;
    auto& so = static_cast<SharedFile&>(*f);
    if (!so.dropped) continue;
    for (uint32_t i = 0; i < so.globals.names.size(); i++)
      if (so.globals.names[i].id == symbol && so.syms[i].shndx != SHN_UNDEF) best = &so;
  }
  return best;
}

bool take_late_members(Link& link) {
  bool any = false;
  LowerState& s = *link.lower;
  std::vector<bool> seen(link.symbols.size());
  for_each_live_function(link, [&](ObjectFile&, ModuleFunction& x) {
    for (const mir::Reference& r : s.store->references(x.mir)) {
      if (!r.symbol.valid()) continue;
      const Symbol& sym = link.symbols[r.symbol.value];
      if (sym.local || (sym.defined() && link.files[sym.file]->is_object()) || !(sym.flags & referenced_strong) ||
          seen[r.symbol.value])
        continue;
      seen[r.symbol.value] = true;
      uint32_t lazy = link.lazy_of[r.symbol.value];
      if (lazy != none && link.lazy[lazy].taken) lazy = none;
      // As if an object had named it: the first of the command line that has it, archive or library, is taken.
      if (SharedFile* so = sym.defined() ? nullptr : dropped_definer(link, r.symbol.value);
          so && (lazy == none || so->priority < link.lazy[lazy].priority)) {
        so->alive = true;
        so->dropped = false;
        any = true;
        continue;
      }
      if (lazy == none) continue;
      if (sym.defined() && link.files[sym.file]->priority < link.lazy[lazy].priority) continue;
      any |= take_lazy(link, lazy) != nullptr;
    }
  });
  return any;
}

void for_each_reference(Link& link, const std::function<void(uint32_t, uint32_t)>& fn) {
  for_each_live_function(link, [&](ObjectFile& f, ModuleFunction& x) {
    for (const mir::Reference& r : link.lower->store->references(x.mir))
      if (r.symbol.valid()) fn(f.atom_base + x.section, r.symbol.value);
  });
}

void for_each_asm_function(
    Link& link,
    const std::function<void(uint32_t, std::vector<codegen::AsmSection>&&, std::span<const mir::Reference>)>& f) {
  LowerState& s = *link.lower;
  for_each_live_function(link, [&](ObjectFile& file, ModuleFunction& x) {
    if (!(s.store->record(x.mir).flags & codegen::draft_flags::has_asm_sections)) return;
    const mir::FunctionView view = s.store->view(x.mir);
    std::vector<codegen::AsmSection> sections;
    if (s.target->asm_sections(view, sections)) f(file.atom_base + x.section, std::move(sections), view.references);
    else
      link.diag.error(file.name + ": function " + function_name(file, x) +
                      ": damaged record of its assembly's sections");
  });
}

StageTimes stage_times(const Link& link) {
  StageTimes sum;
  if (!link.lower) return sum;
  link.lower->threads.for_each([&](const LowerState::Thread& t) {
    for (size_t k = 0; k < stage_count; k++) sum.nanoseconds[k] += t.times.nanoseconds[k];
  });
  return sum;
}

}  // namespace lode::link::elf
