// MIR functions as atoms of the link.
//
// Lowering happens inside the liveness walk, on whichever thread reached the function; the drafts are put into the MIR
// store in the order of the atoms when the walk is over, so the store does not depend on the threads. From then on a
// function is its FunctionId: its references take part in the scan like relocations do, their forms decide its size,
// and it writes itself into the output at its place.
#include "link/elf/code/lower.h"

#include <tbb/enumerable_thread_specific.h>
#include <tbb/parallel_for.h>
#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <unordered_set>

#include "base/bytes.h"
#include "base/stage_times.h"
#include "codegen/air/legalize.h"
#include "link/cache/cached_functions.h"
#include "link/elf/code/modules.h"
#include "link/elf/machines/machine.h"
#include "link/elf/relocations/actions.h"

namespace lode::link::elf {

using codegen::ReferenceForm;
using codegen::ResolvedReference;
using mir::ReferenceKind;

struct LowerState {
  struct Thread {
    std::unique_ptr<codegen::LowerScratch> scratch;
    air::Function function;
    StageTimes times;
  };
  // The calling thread's state; its work is timed until `use` is gone if the link was asked for --stats.
  struct Use {
    Thread& thread;
    StageTimesUse times;
    Use(LowerState& s, const Link& link)
        : thread(s.threads.local()), times(link.opt.stats || !link.opt.time_trace.empty() ? &thread.times : nullptr) {}
  };
  const codegen::NativeTarget* target = nullptr;
  tbb::enumerable_thread_specific<Thread> threads;
  std::vector<SymbolId> runtime;
  codegen::TargetOptions options;
  std::unique_ptr<mir::MirStore> store;
  // In .eh_frame, in order; the first is that of functions without exceptions.
  struct CommonCie {
    uint32_t symbol = none;  // of the personality routine
    uint32_t offset = 0;
    uint32_t field = 0;      // where in it the routine is named
    std::vector<uint8_t> bytes;
  };
  std::vector<CommonCie> cies;
  std::unordered_set<std::string_view> said;  // warnings of modules; walks may be several
};

namespace {

LowerState& state(Link& link) {
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
    for (unsigned i = 0; i < air::runtime_function_count; i++)
      s.runtime.emplace_back(link.intern(air::runtime_function_table[i].name));
  }
  return *link.lower;
}

std::string function_name(const ObjectFile& f, const ModuleFunction& fn) {
  const air::Module& m = *f.module->module;
  return std::string(m.name_of(m.functions[fn.index.value].symbol));
}

template <class F>
void for_each_live_function(Link& link, F&& fn) {
  for (ObjectFile* f : link.objects) {
    if (f->kind != FileKind::module) continue;
    for (ModuleFunction& x : f->module->functions)
      if (const Atom& a = link.atoms[f->atom_base + x.section]; a.live && !a.folded && x.mir.valid()) fn(*f, x);
  }
}

struct LiveFunction {
  ObjectFile* file;
  ModuleFunction* fn;
};
std::vector<LiveFunction> live_functions(Link& link) {
  std::vector<LiveFunction> out;
  for_each_live_function(link, [&](ObjectFile& f, ModuleFunction& x) { out.push_back({&f, &x}); });
  return out;
}

}  // namespace

void intern_runtime_names(Link& link) {
  for (unsigned i = 0; i < air::runtime_function_count; i++) link.intern(air::runtime_function_table[i].name);
}

// What the modules' readers had to say, each thing once; and what becomes of debug information.
static void warn_of_modules(Link& link) {
  LowerState& s = *link.lower;
  const ObjectFile* debug = nullptr;
  for (ObjectFile* f : link.objects) {
    if (f->kind != FileKind::module) continue;
    for (const std::string& w : f->module->module->warnings)
      if (s.said.insert(w).second) link.diag.warning(f->name + ": " + w, uint64_t(f->priority) << 32);
    if (!debug && f->module->module->debug_information) debug = f;
  }
  if (debug && !link.opt.strip_debug && !link.opt.strip_all && s.said.insert("debug information").second)
    link.diag.warning(
        debug->name + ": debug information of IR is left out of the output (--strip-debug: without this warning)",
        uint64_t(debug->priority) << 32);
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
  if (!link.mir_cache) return;
  const LowerState& s = *link.lower;
  tbb::parallel_for(size_t(0), link.objects.size(), [&](size_t k) {
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
    LODE_ASSIGN(const CachedFunction::Outcome outcome, cached.take_or_read(draft, thread.function));
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
  auto ids = s.store->append_all(drafts, 0);
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

static ModuleFunction* function_at(Link& link, uint32_t atom) {
  ObjectFile& f = link.object(link.atoms[atom].file);
  uint32_t k = f.module->function_of_section[link.atoms[atom].section];
  return k == none || !f.module->functions[k].mir.valid() ? nullptr : &f.module->functions[k];
}

bool function_can_fold(Link& link, uint32_t atom) {
  ModuleFunction* fn = function_at(link, atom);
  return fn && fn->blocks.empty() && !fn->patchable &&
         !(link.lower->store->record(fn->mir).flags & codegen::draft_flags::has_asm_sections);
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

void scan_functions(Link& link) {
  LowerState& s = *link.lower;
  std::vector<LiveFunction> fns = live_functions(link);
  tbb::parallel_for(size_t(0), fns.size(), [&](size_t i) {
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
        case ReferenceForm::direct: case ReferenceForm::absolute:
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

static ReferenceForm form_of(Link& link, const mir::Reference& r) {
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
  for (ModuleFunction& fn : m.functions)
    if (fn.patchable) m.relocs[fn.patchable][0].addend = int64_t(fn.sizes.entry) + fn.patchable_place;
}

// The forms of a function's references, as one number.
static uint64_t hash_of_forms(const ModuleFunction& fn) {
  std::vector<uint8_t> forms(fn.references.size());
  for (size_t k = 0; k < forms.size(); k++) forms[k] = uint8_t(fn.references[k].form);
  return XXH3_64bits(forms.data(), forms.size());
}

// The sizes of a function: as an earlier link or flush found them, or measured.
static Result<codegen::FunctionSizes> measure(LowerState& s, ModuleState& m, ModuleFunction& fn,
                                              const mir::FunctionView& view) {
  if (!m.cache || fn.key == mir::Hash128{}) return s.target->measure(view, fn.references, s.options);
  CachedModule& functions = m.cache->functions();
  const uint64_t forms = hash_of_forms(fn);
  if (auto kept = functions.kept_code(fn.key); kept && kept->forms == forms) return kept->sizes;
  if (auto known = functions.sizes(fn.index.value, forms)) return *known;
  LODE_ASSIGN(const codegen::FunctionSizes sizes, s.target->measure(view, fn.references, s.options));
  functions.note_sizes(fn.index.value, forms, sizes);
  return sizes;
}

// All that emit is told about where things are.
static mir::Hash128 hash_of_places(const ModuleFunction& fn, const codegen::EmitPlace& place) {
  std::vector<uint64_t> words{place.text_address, place.constants_address, place.exceptions_address,
                              uint64_t(place.cfi != nullptr), uint64_t(place.constants != nullptr)};
  for (const ResolvedReference& r : fn.references) words.push_back(r.address), words.push_back(uint64_t(r.form));
  const XXH128_hash_t h = XXH3_128bits(words.data(), words.size() * sizeof words[0]);
  return {h.low64, h.high64};
}

// Emits the function, or copies what an earlier flush emitted at the same place.
static Result<void> emit_or_copy(LowerState& s, ModuleState& m, ModuleFunction& fn, const mir::FunctionView& view,
                                 const codegen::EmitPlace& place) {
  const bool keeps =
      m.cache && m.cache->functions().keeps_code() && !(fn.key == mir::Hash128{}) && !place.traps && !place.fixups;
  if (!keeps) return s.target->emit(view, fn.references, s.options, place);
  const mir::Hash128 places = hash_of_places(fn, place);
  const uint64_t forms = hash_of_forms(fn);
  CachedModule& functions = m.cache->functions();
  auto copy = [](uint8_t* to, const std::vector<uint8_t>& from) {
    if (to && !from.empty()) std::memcpy(to, from.data(), from.size());
  };
  if (auto kept = functions.kept_code(fn.key); kept && kept->forms == forms && kept->places == places) {
    copy(place.text, kept->text);
    copy(place.constants, kept->constants);
    copy(place.exceptions, kept->exceptions);
    if (place.cfi) *place.cfi = kept->cfi;
    functions.keep_code(fn.index.value, kept);
    return {};
  }
  LODE_TRY(s.target->emit(view, fn.references, s.options, place));
  auto made = std::make_shared<KeptCode>();
  made->key = fn.key;
  made->forms = forms;
  made->sizes = fn.sizes;
  made->places = places;
  made->text.assign(place.text, place.text + fn.sizes.text);
  if (place.constants) made->constants.assign(place.constants, place.constants + fn.sizes.constants);
  if (place.exceptions) made->exceptions.assign(place.exceptions, place.exceptions + fn.sizes.exceptions);
  if (place.cfi) made->cfi = *place.cfi;
  functions.keep_code(fn.index.value, std::move(made));
  return {};
}

bool measure_functions(Link& link) {
  LowerState& s = *link.lower;
  std::vector<LiveFunction> fns = live_functions(link);
  tbb::parallel_for(size_t(0), fns.size(), [&](size_t i) {
    auto [f, fn] = fns[i];
    mir::FunctionView view = s.store->view(fn->mir);
    fn->references.resize(view.references.size());
    for (size_t k = 0; k < view.references.size(); k++)
      fn->references[k] = {0, link.relocatable ? ReferenceForm::relocation : form_of(link, view.references[k])};
    LowerState::Use use(s, link);
    StageClock clock(Stage::measure);
    auto sizes = measure(s, *f->module, *fn, view);
    Atom& text = link.atoms[f->atom_base + fn->section];
    if (!sizes) {
      link.diag.error(std::move(sizes.error()).at(f->name + ": function " + function_name(*f, *fn)),
                      uint64_t(f->priority) << 32 | text.section);
      return;
    }
    fn->moved = sizes->entry - fn->sizes.entry;
    fn->sizes = *sizes;
    text.size = sizes->text;
    text.p2align = std::max(text.p2align, view.text_align_log2);
    Atom& constants = link.atoms[f->atom_base + fn->section + 1];
    constants.size = sizes->constants;
    constants.p2align = view.constants_align_log2;
    if (fn->exceptions) link.atoms[f->atom_base + fn->exceptions].size = sizes->exceptions;
    if (fn->traps) link.atoms[f->atom_base + fn->traps].size = 4 * sizes->traps;
    f->module->sections[fn->section].size = sizes->text;
  });
  for (ObjectFile* f : link.objects)
    if (f->kind == FileKind::module) settle_symbols(link, *f);
  return !link.diag.has_errors();
}

// Constants of live functions belong to the output with them.
void place_functions(Link& link) {
  for_each_live_function(link, [&](ObjectFile& f, ModuleFunction& x) {
    link.atoms[f.atom_base + x.section + 1].live = 1;
    if (x.has_exceptions && x.exceptions) link.atoms[f.atom_base + x.exceptions].live = 1;
    if (x.traps) link.atoms[f.atom_base + x.traps].live = x.has_traps;
  });
}

// Of a function with exceptions the FDE holds the distance to its table.
static constexpr uint32_t fde_table_field = 17;
static uint32_t fde_size(const ModuleFunction& fn) {
  return uint32_t(align_up(17 + (fn.sizes.exceptions ? 4 : 0) + fn.sizes.cfi, 8));
}

// The symbol of its personality routine, or none.
static uint32_t personality_of(const LowerState& s, const ModuleFunction& fn) {
  if (!fn.sizes.exceptions) return none;
  auto refs = s.store->references(fn.mir);
  return fn.sizes.personality < refs.size() ? refs[fn.sizes.personality].symbol.value : none;
}

static const LowerState::CommonCie* cie_of(const LowerState& s, uint32_t personality) {
  for (const LowerState::CommonCie& c : s.cies)
    if (c.symbol == personality) return &c;
  return nullptr;
}

// An FDE but for the addresses of its function and of the exception table.
static void put_fde(const LowerState& s, const ModuleFunction& fn, uint8_t* p, uint32_t text_size,
                    std::span<const uint8_t> cfi) {
  uint32_t size = fde_size(fn);
  std::memset(p, 0, size);
  store_le(p, size - 4);
  store_le(p + 4, fn.frame_offset + 4 - cie_of(s, personality_of(s, fn))->offset);
  store_le(p + 12, text_size);
  p[16] = fn.sizes.exceptions ? 4 : 0;
  if (!cfi.empty()) std::memcpy(p + fde_table_field + p[16], cfi.data(), cfi.size());
}

void emit_objects(Link& link, const std::function<void(const EmittedFunction&)>& sink) {
  LowerState& s = *link.lower;
  std::vector<uint8_t> text, constants, exceptions, cfi, frame;
  std::vector<codegen::Fixup> fixups;
  std::vector<uint32_t> traps;
  for (auto [f, fn] : live_functions(link)) {
    mir::FunctionView view = s.store->view(fn->mir);
    text.assign(fn->sizes.text, 0);
    constants.assign(fn->sizes.constants, 0);
    exceptions.assign(fn->sizes.exceptions, 0);
    cfi.clear();
    fixups.clear();
    codegen::EmitPlace place;
    place.sizes = &fn->sizes;
    place.text = text.data();
    place.constants = constants.data();
    place.exceptions = exceptions.data();
    place.fixups = &fixups;
    place.cfi = &cfi;
    traps.clear();
    place.traps = &traps;
    if (auto r = s.target->emit(view, fn->references, s.options, place); !r) {
      link.diag.error(std::move(r.error()).at(f->name + ": function " + function_name(*f, *fn)),
                      uint64_t(f->priority) << 32 | fn->section);
      continue;
    }
    if (size_t n = fn->blocks.size(); n && fn->sizes.constants >= 4 * n) {
      uint64_t table = fn->sizes.constants - 4 * n;
      fn->block_offsets.assign(n, 0);
      for (const codegen::Fixup& x :
           fixups)  // label - place = (text + addend) - place, addend = label + distance of the place
        if (x.place == codegen::Fixup::Place::constants && x.target == codegen::Fixup::Target::text &&
            x.offset >= table && (x.offset - table) / 4 < n)
          fn->block_offsets[(x.offset - table) / 4] = x.addend - int64_t(x.offset - table);
    }
    EmittedFunction e;
    e.text_atom = f->atom_base + fn->section;
    e.text = text;
    e.constants = constants;
    e.exceptions = exceptions;
    if (!exceptions.empty()) e.exceptions_atom = f->atom_base + fn->exceptions;
    e.fixups = fixups;
    if (fn->has_traps && fn->traps) {
      e.traps_atom = f->atom_base + fn->traps;
      e.traps = traps;
    }
    e.references = view.references;
    if (fn->frame_offset != none && cfi.size() <= fn->sizes.cfi) {
      frame.resize(fde_size(*fn));
      put_fde(s, *fn, frame.data(), fn->sizes.text, cfi);
      e.frame = frame;
      e.frame_offset = fn->frame_offset;
      if (!exceptions.empty()) e.table_field = fn->frame_offset + fde_table_field;
    }
    sink(e);
  }
  for (ObjectFile* f : link.objects)
    if (f->kind == FileKind::module) patch_block_references(*f->module);
}

void write_functions(Link& link) {
  LowerState& s = *link.lower;
  std::vector<LiveFunction> fns = live_functions(link);
  OutputSection& frame = *link.eh_frame;
  tbb::enumerable_thread_specific<std::vector<uint8_t>> buffers;
  tbb::parallel_for(size_t(0), fns.size(), [&](size_t i) {
    auto [f, fn] = fns[i];
    const Atom& text = link.atoms[f->atom_base + fn->section];
    const Atom& constants = link.atoms[f->atom_base + fn->section + 1];
    mir::FunctionView view = s.store->view(fn->mir);
    uint64_t text_address = link.atom_address[f->atom_base + fn->section];
    uint64_t constants_address = link.atom_address[f->atom_base + fn->section + 1];
    for (size_t k = 0; k < view.references.size(); k++) {
      const mir::Reference& r = view.references[k];
      ResolvedReference& out = fn->references[k];
      if (!r.symbol.valid()) {
        out.address = constants_address + uint64_t(int64_t(r.addend));
        continue;
      }
      const Symbol& x = link.symbols[r.symbol.value];
      const SymbolAux* aux = x.aux == none ? nullptr : &link.aux[x.aux];
      switch (out.form) {
        case ReferenceForm::got: out.address = aux ? got_address(link, aux->got) : 0; break;
        case ReferenceForm::tls_initial_exec: out.address = aux ? got_address(link, aux->gottp) : 0; break;
        case ReferenceForm::tls_general_dynamic: out.address = aux ? got_address(link, aux->tlsgd) : 0; break;
        case ReferenceForm::tls_local_dynamic: out.address = got_address(link, link.tlsld_slot); break;
        case ReferenceForm::tls_local_exec: out.address = x.address + uint64_t(int64_t(r.addend)) - link.tp; break;
        default: {
          bool through_plt =
              x.imported && (x.flags & needs_plt) && (r.kind == ReferenceKind::call || !(x.flags & needs_copy));
          uint64_t base = through_plt ? plt_address(link, x) : x.address;
          out.address = base + uint64_t(int64_t(r.addend));
          if (r.kind == ReferenceKind::call && !x.defined() && !x.imported && link.pic) out.address = text_address;
        }
      }
    }
    LowerState::Use use(s, link);
    StageClock clock(Stage::emit);
    auto& cfi = buffers.local();
    cfi.clear();
    codegen::EmitPlace place;
    place.sizes = &fn->sizes;
    place.text = link.image + link.sections[text.out]->offset + text.offset;
    place.constants =
        constants.out == none ? nullptr : link.image + link.sections[constants.out]->offset + constants.offset;
    place.text_address = text_address;
    place.constants_address = constants_address;
    if (fn->sizes.exceptions) {
      const Atom& table = link.atoms[f->atom_base + fn->exceptions];
      place.exceptions = link.image + link.sections[table.out]->offset + table.offset;
      place.exceptions_address = link.atom_address[f->atom_base + fn->exceptions];
    }
    std::vector<uint32_t> traps;
    if (fn->has_traps && fn->traps) place.traps = &traps;
    place.cfi = fn->frame_offset == none ? nullptr : &cfi;
    if (auto r = emit_or_copy(s, *f->module, *fn, view, place); !r) {
      link.diag.error(std::move(r.error()).at(f->name + ": function " + function_name(*f, *fn)),
                      uint64_t(f->priority) << 32 | text.section);
      return;
    }
    // .kcfi_traps: the distance from each entry to its trap.
    for (size_t k = 0; k < traps.size() && k < fn->sizes.traps; k++) {
      const Atom& list = link.atoms[f->atom_base + fn->traps];
      const uint64_t address = link.atom_address[f->atom_base + fn->traps] + 4 * k;
      store_le(link.image + link.sections[list.out]->offset + list.offset + 4 * k,
               uint32_t(text_address + traps[k] - address));
    }
    if (size_t n = fn->blocks.size(); n && fn->sizes.constants >= 4 * n) {
      uint64_t table = fn->sizes.constants - 4 * n;
      fn->block_offsets.resize(n);
      for (size_t k = 0; k < n; k++)
        fn->block_offsets[k] =
            load_le<int32_t>(place.constants + table + 4 * k) + int64_t(constants_address + table - text_address);
    }
    if (fn->frame_offset != none && cfi.size() <= fn->sizes.cfi) {
      uint8_t* p = link.image + frame.offset + fn->frame_offset;
      put_fde(s, *fn, p, uint32_t(text.size), cfi);
      store_le(p + 8, uint32_t(text_address - (frame.addr + fn->frame_offset + 8)));
      if (fn->sizes.exceptions)
        store_le(p + fde_table_field,
                 uint32_t(place.exceptions_address - (frame.addr + fn->frame_offset + fde_table_field)));
    }
  });
}

void finish_functions(Link& link) {
  for (ObjectFile* f : link.objects)
    if (f->kind == FileKind::module) patch_block_references(*f->module);
}

StageTimes stage_times(const Link& link) {
  StageTimes sum;
  if (!link.lower) return sum;
  for (const LowerState::Thread& t : link.lower->threads)
    for (size_t k = 0; k < stage_count; k++) sum.nanoseconds[k] += t.times.nanoseconds[k];
  return sum;
}

void layout_function_frames(Link& link, uint64_t& offset, uint64_t& count) {
  if (!link.has_modules) return;
  LowerState& s = *link.lower;
  std::vector<LiveFunction> fns = live_functions(link);
  if (fns.empty()) return;
  s.cies.clear();
  offset = align_up(offset, 4);
  auto add_cie = [&](uint32_t personality) {
    LowerState::CommonCie cie;
    cie.symbol = personality;
    cie.offset = uint32_t(offset);
    auto& c = cie.bytes;
    c.assign(8, 0);  // length, CIE id 0
    c.push_back(1);
    for (char ch : personality == none ? std::string_view("zR") : std::string_view("zPLR")) c.push_back(uint8_t(ch));
    c.push_back(0);
    append_uleb(c, s.target->cie_code_align);
    append_sleb(c, s.target->cie_data_align);
    c.push_back(uint8_t(s.target->cie_return_register));
    append_uleb(c, personality == none ? 1 : 7);
    if (personality != none) {
      c.push_back(0x9b);  // the personality: through a pointer at a pc-relative distance of 4 bytes
      cie.field = uint32_t(c.size());
      c.insert(c.end(), 4, 0);
      c.push_back(0x1b);  // exception tables: pc-relative, 4 bytes signed
    }
    c.push_back(0x1b);  // FDE pointers: the same
    c.insert(c.end(), s.target->cie_instructions.begin(), s.target->cie_instructions.end());
    c.resize(align_up(c.size(), 8));
    store_le(c.data(), uint32_t(c.size() - 4));
    offset += c.size();
    s.cies.push_back(std::move(cie));
  };
  add_cie(none);
  for (auto [f, fn] : fns)
    if (uint32_t p = personality_of(s, *fn); !cie_of(s, p)) add_cie(p);
  for (auto [f, fn] : fns) {
    fn->frame_offset = uint32_t(offset);
    offset += fde_size(*fn);
    count++;
  }
}

void write_common_cies(Link& link, uint8_t* eh_frame, const std::function<void(uint32_t, uint32_t)>& personality) {
  for (const LowerState::CommonCie& c : link.lower->cies) {
    std::memcpy(eh_frame + c.offset, c.bytes.data(), c.bytes.size());
    if (c.field) personality(c.offset + c.field, c.symbol);
  }
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

void write_function_frames(Link& link, OutputSection& section, uint8_t* out) {
  if (!link.has_modules) return;
  write_common_cies(link, out, [&](uint32_t at, uint32_t symbol) {
    const Symbol& x = link.symbols[symbol];
    const uint64_t slot = x.aux == none ? section.addr + at : got_address(link, link.aux[x.aux].got);
    store_le(out + at, uint32_t(slot - (section.addr + at)));
  });
  for (auto [f, fn] : live_functions(link))
    if (fn->frame_offset != none)
      link.eh_frame_table.emplace_back(link.atom_address[f->atom_base + fn->section], section.addr + fn->frame_offset);
}

}  // namespace lode::link::elf
