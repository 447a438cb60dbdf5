// The state of code generation in one ELF link, shared by lower.cpp, measure.cpp and emit.cpp.
//
// prepare_modules makes it, and it lives as long as the link's decisions do. The walk (lower.cpp) fills the store; from
// store_drafts to the next walk the store is only read, by any thread, and what a pass finds out about a function it
// writes into the function's own ModuleFunction.
#pragma once


#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "base/stage_times.h"
#include "link/elf/code/lower.h"
#include "link/elf/code/modules.h"
#include "link/common/parallel.h"

namespace lode::link::elf {

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
  PerThread<Thread> threads;
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
  // In a relink: functions that are kept are taken without their code, which few of them will need; and whether a
  // function of these `places` is in the image, so that it need not be written. Its FDE then comes from there: what
  // `frame` gives, if it has one.
  bool without_code = false;
  std::function<bool(const ObjectFile&, const ModuleFunction&, std::span<const uint8_t>& frame)> is_still;
  // What relinks have to know of each function.
  struct Kept {
    bool without_code = false;  // its MIR is no more than its references; the code is in the cache
    bool still = false;         // its bytes are in the image already
    mir::Hash128 places;        // when written: of its key and of all that emit was told; zero: not to be gone by
    std::unique_ptr<mir::FunctionDraft> whole;  // of one without code, when it was needed after all
  };
  std::vector<std::vector<Kept>> kept;  // by file, by function of its module
  Kept& kept_of(const ObjectFile& f, const ModuleFunction& fn) {
    return kept[f.id][size_t(&fn - f.module->functions.data())];
  }
  std::unordered_set<std::string_view> said;  // warnings of modules; walks may be several
};

std::string function_name(const ObjectFile& f, const ModuleFunction& fn);

// Functions of the walk that are in the output, in the order of the link.
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
std::vector<LiveFunction> live_functions(Link& link);

// The form of a reference by what its symbol has become, wherever that is; the shorter one that it begins with (see
// near.cpp), or `full`.
codegen::ReferenceForm plain_form(const Link& link, const mir::Reference& r);
codegen::ReferenceForm first_form(const Link& link, const mir::Reference& r, codegen::ReferenceForm full);
// The sizes of a function whose references have forms, and of its atoms. False: it is damaged (reported).
bool measure_function(Link& link, ObjectFile& f, ModuleFunction& fn);

// The forms of a function's references, as one number: with them its sizes are fixed.
uint64_t hash_of_forms(const ModuleFunction& fn);

// The function with its code. An error: what the cache has of it is damaged.
Result<mir::FunctionView> whole_function(LowerState& s, const ObjectFile& f, const ModuleFunction& fn);

}  // namespace lode::link::elf
