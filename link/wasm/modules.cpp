// Inputs of IR: bitcode and AIR text. A module's functions and data become items like an object's; a function's code
// comes into being when liveness first reaches it: its body is read, lowered and put into the MIR store, where it stays
// from flush to flush.
//
// Functions are lowered by all threads, each with its own scratch memory; the store takes them in the order of the
// inputs.

#include <algorithm>
#include <functional>
#include <optional>
#include <unordered_set>

#include "codegen/air/aliases.h"
#include "codegen/air/legalize.h"
#include "codegen/air/text.h"
#include "link/common/lazy_threads.h"
#include "link/common/module_file.h"
#include "codegen/import/import.h"
#include "codegen/native/module_asm.h"
#include "codegen/wasm/target.h"
#include "codegen/wasm/mir.h"
#include "link/cache/cached_functions.h"
#include "link/wasm/link.h"
#include "link/common/parallel.h"

namespace lode::link::wasm {

using cg::ValueType;

struct ModuleInput {
  std::unique_ptr<codegen::BitcodeModule> bitcode;
  std::unique_ptr<air::Module> owned;
  air::Module* air = nullptr;
  std::vector<codegen::SymbolReach> reach;  // by air symbol
  std::unique_ptr<ModuleCache> cache;       // null: none
  std::unordered_map<uint32_t, uint32_t> signatures;  // air type -> type of the link
};

void ModuleInputDeleter::operator()(ModuleInput* m) const { delete m; }

namespace {

struct Adder {
  Link& l;
  uint32_t number;
  InputFile& file;
  ModuleInput& m;
  air::Module& air;
  std::vector<uint32_t> items;  // function or segment, by air symbol; none
  air::AliasBases aliases;

  std::string_view text(air::StringRef r) const { return air.str(r); }

  uint32_t signature(air::TypeId t, std::string_view name) {
    auto [it, fresh] = m.signatures.emplace(t.value, none);
    if (!fresh) return it->second;
    auto bytes = cg::signature_of(air.types, t, file.features);
    if (!bytes.ok()) {
      l.diagnostics.error(file.name + ": " + std::string(name) + ": " + bytes.error().text());
      return it->second = l.types.intern(cg::signature_bytes({}, {}));
    }
    return it->second = l.types.intern(*bytes);
  }

  bool defines(const air::Symbol& y) const { return y.defined && y.linkage != air::Linkage::available_externally; }

  Symbol start(const air::Symbol& y) {
    Symbol s;
    s.name = y.name.size ? text(y.name) : l.keep(".L__unnamed_" + std::to_string(&y - air.symbols.data()));
    s.file = number;
    s.local = y.linkage == air::Linkage::internal && y.defined;
    using L = air::Linkage;
    s.weak = y.linkage == L::weak_any || y.linkage == L::weak_odr || y.linkage == L::linkonce_any ||
             y.linkage == L::linkonce_odr || y.linkage == L::common || y.linkage == L::extern_weak;
    s.hidden = y.visibility == air::Visibility::hidden;
    s.no_strip = y.used || y.retain;
    s.tls = y.tls != air::TlsModel::none;
    if (y.wasm_import) {
      s.explicit_import = true;
      s.import_module = text(y.wasm_import_module);
      s.import_name = text(y.wasm_import_name);
    }
    if (y.wasm_export_name.size) {
      s.exported = true;
      s.export_name = text(y.wasm_export_name);
    }
    return s;
  }

  bool dropped(const air::Symbol& y) {
    if (!y.comdat.valid()) return false;
    auto [it, fresh] = l.comdats.emplace(text(air.comdats[y.comdat.value].name), number);
    return it->second != number;
  }

  std::string_view segment_name(const air::Symbol& y, std::string_view name) {
    if (y.section.size) return text(y.section);
    const char* stem = y.tls != air::TlsModel::none ? (y.bytes_size || y.reloc_count ? ".tdata." : ".tbss.")
                       : y.constant                ? ".rodata."
                       : y.bytes_size || y.reloc_count ? ".data." : ".bss.";
    return l.keep(stem + std::string(name));
  }

  void items_of_symbols() {
    items.assign(air.symbols.size(), none);
    file.first_function = uint32_t(l.functions.size());
    file.first_segment = uint32_t(l.segments.size());
    for (uint32_t i = 0; i < air.symbols.size(); i++) {
      air::Symbol& y = air.symbols[i];
      if (y.tls != air::TlsModel::none &&
          !(file.features & cg::bit(cg::Feature::atomics))) {  // one thread: ordinary data
        y.tls = air::TlsModel::none;
        file.one_thread = true;
      }
      if (!defines(y)) continue;
      bool drop = dropped(y);
      if (y.kind == air::SymbolKind::function && y.function.valid()) {
        Function f;
        f.source = Function::module;
        f.file = number;
        f.local = y.function.value;
        f.type = signature(y.type, text(y.name));
        f.discarded = drop;
        if (y.comdat.valid()) f.comdat = text(air.comdats[y.comdat.value].name);
        items[i] = uint32_t(l.functions.size());
        l.functions.push_back(f);
      } else if (y.kind == air::SymbolKind::data) {
        Segment s;
        s.file = number;
        s.local = i;
        s.size = y.size;
        s.bytes = Bytes(air.data.data() + y.bytes_offset, y.bytes_size);
        s.align_log2 = y.align_log2;
        s.flags =
            (y.tls != air::TlsModel::none ? fw::segment_flags::tls : 0) | (y.retain ? fw::segment_flags::retain : 0);
        s.first_reloc = y.relocs;
        s.reloc_count = y.reloc_count;
        s.discarded = drop;
        s.mergeable = y.constant && y.unnamed_addr && !y.reloc_count && !y.section.size && !y.used && !y.retain &&
                      y.linkage == air::Linkage::internal && y.tls == air::TlsModel::none;
        if (y.comdat.valid()) s.comdat = text(air.comdats[y.comdat.value].name);
        items[i] = uint32_t(l.segments.size());
        l.segments.push_back(s);
      }
    }
  }

  ValueType pointer() const { return l.options.memory64 ? ValueType::i64 : ValueType::i32; }

  // A function that the linker makes for this module. `s` says name and binding.
  SymbolId made_function(Symbol s, std::string_view comdat, std::span<const ValueType> params,
                         std::span<const ValueType> results, const std::function<void(cg::Builder&)>& body) {
    s.file = number;
    s.kind = SymbolKind::function;
    s.type = l.types.intern(cg::signature_bytes(params, results));
    s.item = uint32_t(l.functions.size());
    SymbolId id = l.define(s);
    Function f;
    f.source = Function::module;
    f.file = number;
    f.local = none;
    f.type = s.type;
    f.name = s.name;
    f.symbol = id;
    f.comdat = comdat;
    mir::FunctionDraft d;
    cg::Builder b;
    b.start(d, id, params, results, l.options.memory64);
    body(b);
    if (auto added = l.store.append(d); added.ok()) f.mir = *added;
    l.functions.push_back(f);
    return id;
  }

  // C's start-up code calls main(argc, argv). A main without parameters, as front ends other than clang leave it,
  // becomes __original_main, and main calls that: what LLVM's back end makes of it. Defines both; returns the first.
  SymbolId split_main(Symbol s) {
    const ValueType params[] = {ValueType::i32, pointer()}, result[] = {ValueType::i32};
    if (s.local || s.name != "main" || l.types[s.type].size() != 3 ||
        s.type != l.types.intern(cg::signature_bytes({}, result)))
      return {};
    Symbol main = s;
    std::string_view comdat = l.functions[s.item].comdat;
    s.name = "__original_main";
    SymbolId original = l.define(s);
    main.exported = false;
    main.export_name = {};
    made_function(main, comdat, params, result,
                  [&](cg::Builder& b) { b.call(original, false, b.type(l.types[s.type])); });
    return original;
  }

  void add_symbols() {
    for (uint32_t i = 0; i < air.symbols.size(); i++) {
      const air::Symbol& y = air.symbols[i];
      Symbol s = start(y);
      int64_t offset = 0;
      uint32_t target = i;
      if (y.kind == air::SymbolKind::ifunc)
        l.diagnostics.error(file.name + ": " + std::string(s.name) +
                            ": indirect functions (ifunc) are not supported for wasm");
      if (y.kind == air::SymbolKind::alias) {
        const air::AliasBase base = aliases.of(air::SymbolIndex(i));
        target = base.symbol.valid() ? base.symbol.value : none;
        offset = base.offset;
        if (target == none || items[target] == none) {
          l.diagnostics.error(file.name + ": alias " + std::string(s.name) +
                              " stands for nothing that the module defines");
          target = i;
        }
      }
      const air::Symbol& real = air.symbols[target];
      bool function = real.kind == air::SymbolKind::function;
      s.kind = function ? SymbolKind::function : SymbolKind::data;
      uint32_t item = items[target];
      bool discarded = item != none && (function ? l.functions[item].discarded : l.segments[item].discarded);
      if (function) s.type = signature(real.type, s.name);
      SymbolId id;
      if (item == none || (discarded && !s.local)) {
        s.type_declared = item == none;
        bool first = l.by_name.find(s.name) == l.by_name.end() || l.at(l.by_name.find(s.name)->second).type == none;
        id = l.refer(s);
        if (first && s.type_declared) l.at(id).type_declared = true;
      } else {
        s.item = item;
        s.offset = uint64_t(offset);
        s.size = function ? 0 : l.segments[item].size;
        if (function && target == i) id = split_main(s);
        if (!id.valid()) id = l.define(s);
        if (function && l.functions[item].name.empty()) {
          l.functions[item].name = l.at(id).name;
          l.functions[item].symbol = id;
        }
        if (!function && !l.segments[item].symbol.valid()) {
          l.segments[item].symbol = id;
          l.segments[item].name = segment_name(real, s.name);
        }
      }
      file.symbols.push_back(id);
    }
  }

  // Destructors (llvm.global_dtors) are registered with __cxa_atexit by a constructor of their priority.
  void add_inits() {
    for (const air::InitEntry& e : air.inits) {
      if (!e.function.valid() || e.function.value >= file.symbols.size()) continue;
      if (e.associated.valid() && e.associated.value < items.size()) {
        uint32_t item = items[e.associated.value];
        const air::Symbol& a = air.symbols[e.associated.value];
        if (item != none &&
            (a.kind == air::SymbolKind::function ? l.functions[item].discarded : l.segments[item].discarded))
          continue;
      }
      SymbolId target = file.symbols[e.function.value];
      if (!e.destructor) {
        file.inits.push_back({e.priority, target});
        continue;
      }
      std::string name(l.at(target).name);
      ValueType one[] = {pointer()}, three[] = {pointer(), pointer(), pointer()}, result[] = {ValueType::i32};
      auto reference = [&](const char* symbol, SymbolKind kind, uint32_t type) {
        Symbol s;
        s.name = symbol;
        s.kind = kind;
        s.file = number;
        s.type = type;
        s.hidden = kind == SymbolKind::data;
        return l.refer(s);
      };
      uint32_t atexit_type = l.types.intern(cg::signature_bytes(three, result));
      SymbolId atexit = reference("__cxa_atexit", SymbolKind::function, atexit_type);
      SymbolId handle = reference("__dso_handle", SymbolKind::data, none);
      auto function = [&](const std::string& function_name, std::span<const ValueType> params,
                          const std::function<void(cg::Builder&)>& body) {
        Symbol s;
        s.name = l.keep(function_name);
        s.local = true;
        return made_function(s, {}, params, {}, body);
      };
      SymbolId call = function(".Lcall_dtor." + name, one, [&](cg::Builder& b) { b.call(target); });
      SymbolId registers = function(".Lregister_dtor." + name, {}, [&](cg::Builder& b) {
        b.function_address(call);
        b.address_const(0);
        b.data_address(handle, 0);
        b.call(atexit, false, b.type(three, result));
        b.op(cg::Op::drop);
      });
      file.inits.push_back({e.priority, registers});
    }
  }
};

bool add(Link& l, std::unique_ptr<ModuleInput, ModuleInputDeleter> input, const std::string& name, bool eager) {
  air::Module& air = *input->air;
  if (air.types.layout().pointer_bytes != l.pointer_bytes()) {
    l.diagnostics.error(name + ": was made for another target (" +
                        (air.triple.empty()
                             ? "pointers of " + std::to_string(air.types.layout().pointer_bytes) + " bytes"
                             : air.triple) +
                        ")");
    return true;
  }
  if (!air.triple.empty() && !air.triple.starts_with("wasm")) {
    l.diagnostics.error(name + ": was made for another target (" + air.triple + ")");
    return true;
  }
  uint32_t number = uint32_t(l.files.size());
  InputFile& f = l.files.emplace_back();
  f.name = name;
  f.eager = eager;
  f.module = std::move(input);
  read_features(l, f, air);
  Adder a{l, number, f, *f.module, air, {}, {air, false}};
  a.items_of_symbols();
  a.add_symbols();
  a.add_inits();
  f.module->reach.assign(air.symbols.size(), codegen::SymbolReach::direct);
  for (const air::DataReloc& r : air.data_relocs)
    if (r.kind == air::DataRelocKind::symbol_minus_place && r.symbol.valid() && r.symbol.value < f.symbols.size() &&
        l.at(f.symbols[r.symbol.value]).kind == SymbolKind::function)
      l.diagnostics.error(name + ": the difference between a function's address and a place in data (" +
                          std::string(l.at(f.symbols[r.symbol.value]).name) + ") does not exist in wasm");
  return true;
}

}  // namespace

namespace {

// Of module-level assembly only what it says of symbols.
Result<void> take_assembly(air::Module& air) {
  LODE_ASSIGN(auto object, codegen::take_module_asm(air, nullptr));
  if (!object) return {};
  for (const codegen::AsmObjectSection& s : object->sections)
    if (s.size) return error("module-level assembly that makes code or data is not supported for wasm");
  return {};
}

// Null: no module. An error: a damaged one.
Result<std::unique_ptr<ModuleInput, ModuleInputDeleter>> open_module(Bytes bytes, const std::string& name) {
  std::unique_ptr<ModuleInput, ModuleInputDeleter> input(new ModuleInput);
  std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (is_bitcode(bytes)) {
    LODE_ASSIGN(input->bitcode, codegen::BitcodeModule::open(bytes, name));
    input->air = &input->bitcode->module();
    LODE_TRY(take_assembly(input->bitcode->module()));
  } else if (is_air_text(bytes, name)) {
    LODE_ASSIGN(air::Module read, air::read_text(text, name));
    input->owned = std::make_unique<air::Module>(std::move(read));
    LODE_TRY(take_assembly(*input->owned));
    input->air = input->owned.get();
  } else {
    input.reset();
  }
  return input;
}

}  // namespace

// What the modules' readers had to say, each thing once; and what becomes of debug information.
void warn_of_modules(Link& l) {
  std::unordered_set<std::string_view> said;
  const InputFile* debug = nullptr;
  for (const InputFile& f : l.files) {
    if (!f.module || !f.live) continue;
    for (const std::string& w : f.module->air->warnings)
      if (said.insert(w).second) l.diagnostics.warning(f.name + ": " + w);
    if (!debug && f.module->air->debug_information) debug = &f;
  }
  if (debug && !l.options.strip_debug && !l.options.strip_all)
    l.diagnostics.warning(debug->name +
                          ": debug information of IR is left out of the output (--strip-debug: without this warning)");
}

bool Link::add_module(Bytes bytes, const std::string& name, bool eager) {
  auto input = open_module(bytes, name);
  if (!input.ok()) {
    diagnostics.error(input.error());
    return true;
  }
  return *input && add(*this, std::move(*input), name, eager);
}

bool Link::offered_names_of_module(Bytes bytes, const std::string& name, std::vector<std::string_view>& out) {
  auto input = open_module(bytes, name);
  if (!input.ok()) {
    diagnostics.error(input.error());
    return true;
  }
  if (!*input) return false;
  const air::Module& air = *(*input)->air;
  for (const air::Symbol& y : air.symbols)
    if (y.defined && y.name.size && y.linkage != air::Linkage::internal &&
        y.linkage != air::Linkage::available_externally)
      out.push_back(keep(std::string(air.str(y.name))));
  return true;
}

void Link::add_air(std::unique_ptr<air::Module> module, bool eager) {
  const std::string name = module->name;
  add_air(std::move(module), name, eager);
}

void Link::add_air(std::unique_ptr<air::Module> module, const std::string& name, bool eager) {
  std::unique_ptr<ModuleInput, ModuleInputDeleter> input(new ModuleInput);
  input->owned = std::move(module);
  input->air = input->owned.get();
  add(*this, std::move(input), name, eager);
  extract_pending();
}

// The names of runtime functions, so that code from IR can call them. They are taken from archives when code does.
void Link::prepare_lowering() {
  if (!runtime.empty() || std::none_of(files.begin(), files.end(), [](const InputFile& f) { return bool(f.module); }))
    return;
  const air::Module* any = nullptr;
  for (const InputFile& f : files)
    if (f.module) any = f.module->air;
  for (unsigned i = 0; i < air::runtime_function_count; i++) {
    auto r = air::RuntimeFunction(i);
    SymbolId id = intern(air::info(r).name);
    Symbol& s = at(id);
    if (!s.kind_known) {
      s.kind = SymbolKind::function;
      s.kind_known = true;
      auto bytes = cg::signature_of(any->types, r, features);
      if (bytes.ok() && s.type == none) s.type = types.intern(*bytes);
    }
    runtime.push_back(id);
  }
  stack_guard = intern("__stack_chk_guard");
  if (Symbol& s = at(stack_guard); !s.kind_known) {
    s.kind = SymbolKind::data;
    s.kind_known = true;
  }
}

void Link::lower(std::span<const uint32_t> wave) {
  struct Worker {
    std::unique_ptr<codegen::LowerScratch> scratch = cg::make_scratch();
    air::Function fn;
  };
  constexpr uint64_t work_of_function = 8192;  // as long as so many bytes of an object take
  if (threads) threads->add_work(wave.size() * work_of_function);
  PerThread<Worker> workers;
  std::vector<mir::FunctionDraft> drafts_of_wave(wave.size());
  enum : char { failed, made, from_cache };
  std::vector<char> good(wave.size(), failed);
  // What code refers to without a name of its module: in an order that is always the same, for the cache.
  std::vector<SymbolId> own = runtime;
  own.insert(own.end(), {stack_pointer, tls_base, tls_size, tls_align, exception_tag, stack_guard});
  auto options_of = [&](const InputFile& f) {
    codegen::TargetOptions o;
    o.object = options.relocatable;
    o.features = f.features;
    return o;
  };
  if (mir_cache)
    for (uint32_t n : wave) {
      InputFile& f = files[functions[n].file];
      if (!f.module->cache)
        f.module->cache = std::make_unique<ModuleCache>(*mir_cache, f.name, *f.module->air, f.module->bitcode.get(),
                                                        options_of(f), cg::store_target);
    }
  auto work = [&](size_t i) {
    Worker& w = workers.local();
    const Function& f = functions[wave[i]];
    InputFile& file = files[f.file];
    const air::Module& module = *file.module->air;
    cg::LowerContext c;
    c.module = &module;
    c.symbols = file.symbols;
    c.reach = file.module->reach;
    c.runtime = runtime;
    c.options = options_of(file);
    c.stack_pointer = stack_pointer;
    c.tls_base = tls_base;
    c.tls_size = tls_size;
    c.tls_align = tls_align;
    c.exception_tag = exception_tag;
    c.stack_guard = stack_guard;
    std::optional<CachedFunction> cached;
    if (file.module->cache) {
      cached.emplace(*file.module->cache, c, own, air::FunctionIndex(f.local));
      auto outcome = cached->take_or_read(drafts_of_wave[i], w.fn);
      if (!outcome.ok()) return diagnostics.error(outcome.error(), wave[i]);
      if (*outcome == CachedFunction::taken) {
        drafts_of_wave[i].symbol = f.symbol;
        good[i] = from_cache;
        return;
      }
    } else if (module.bodies) {
      auto read = module.bodies->read(air::FunctionIndex(f.local), w.fn);
      if (!read.ok()) return diagnostics.error(read.error(), wave[i]);
    } else {
      w.fn = module.in_memory[f.local];
    }
    auto done = cg::lower(w.fn, c, *w.scratch, drafts_of_wave[i]);
    if (!done.ok()) return diagnostics.error(std::move(done.error()).at(file.name), wave[i]);
    if (cached) cached->keep(drafts_of_wave[i]);
    drafts_of_wave[i].symbol = f.symbol;
    good[i] = made;
  };
  parallel_for(size_t(0), wave.size(), work);
  std::vector<const mir::FunctionDraft*> list;
  std::vector<uint32_t> items;
  for (size_t i = 0; i < wave.size(); i++)
    if (good[i]) {
      list.push_back(&drafts_of_wave[i]);
      items.push_back(wave[i]);
    }
  auto ids = store.append_all(list, SerialScope::is_open() ? 1 : options.threads);
  if (!ids.ok()) return diagnostics.error(ids.error());
  for (size_t i = 0; i < items.size(); i++) {
    functions[items[i]].mir = (*ids)[i];
    files[functions[items[i]].file].one_thread |= bool(list[i]->flags & cg::function_flags::one_thread);
  }
  lowered += uint64_t(std::count(good.begin(), good.end(), made));
}

void data_references(const Link& link, uint32_t segment, std::vector<DataReference>& out) {
  const Segment& s = link.segments[segment];
  const InputFile& f = link.files[s.file];
  const air::Module& module = *f.module->air;
  for (uint32_t i = 0; i < s.reloc_count; i++) {
    const air::DataReloc& r = module.data_relocs[s.first_reloc + i];
    DataReference d;
    d.offset = r.offset;
    d.addend = r.addend;
    d.size = r.size;
    switch (r.kind) {
      case air::DataRelocKind::block_address:
        d.addend = int64_t(r.symbol.value) + 1;
        break;  // as select numbers blocks
      case air::DataRelocKind::block_difference: d.addend = int64_t(r.symbol.value) - r.addend; break;
      default:
        d.symbol = f.symbols[r.symbol.value];
        d.is_function = link.at(d.symbol).kind == SymbolKind::function;
        d.relative = r.kind == air::DataRelocKind::symbol_minus_place;
    }
    out.push_back(d);
  }
}

}  // namespace lode::link::wasm
