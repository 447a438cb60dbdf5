// What the linker makes itself.
//
// Symbols: the globals __stack_pointer, __tls_base, __tls_size, __tls_align, the indirect function table,
// __wasm_call_ctors and its kin exist from the start, so that inputs refer to them like to anything else. Addresses
// that the layout decides (__heap_base, __data_end ...) are defined where someone refers to them and no input defines
// them.
//
// Functions are MIR like any other, made anew in each flush: __wasm_call_ctors calls the constructors by priority; the
// wrapper of an exported function of a command runs the constructors first (and the destructors last) when nothing else
// does; in a shared memory __wasm_init_memory lets the first thread copy the passive segments while the others wait,
// and __wasm_init_tls gives a thread its block. The protocol of __wasm_init_memory is the one that tool-conventions'
// Linking.md describes: a word in memory is 0 before, 1 during and 2 after the initialisation.
#include <algorithm>

#include "link/wasm/link.h"

namespace lode::link::wasm {

using cg::Op;
using cg::ValueType;

void Link::make_synthetic_symbols() {
  const uint8_t address = options.memory64 ? 0x7e : 0x7f;
  auto global = [&](const char* name, bool is_mutable) {
    Symbol s;
    s.name = name;
    s.kind = SymbolKind::global;
    s.global = {address, is_mutable};
    if (options.relocatable) {
      SymbolId id = intern(name);
      at(id).kind = s.kind;
      at(id).kind_known = true;
      at(id).global = s.global;
      return id;
    }
    Global g;
    g.type = s.global;
    g.name = name;
    g.synthetic = true;
    s.item = uint32_t(globals.size());
    s.synthetic = s.hidden = true;
    globals.push_back(g);
    return define(s);
  };
  stack_pointer = global("__stack_pointer", true);
  tls_base = global("__tls_base", true);
  tls_size = global("__tls_size", false);
  tls_align = global("__tls_align", false);
  memory_base = global("__memory_base", false);
  table_base = global("__table_base", false);
  exception_tag = intern("__cpp_exception");
  {
    Symbol s;
    s.name = "__indirect_function_table";
    s.kind = SymbolKind::table;
    s.table.element = 0x70;
    // Objects have LLVM's ABI. Executables keep 32-bit indices, which more engines know, unless an object asks for the
    // others.
    table64 = options.memory64 && options.relocatable;
    if (options.relocatable || options.import_table) {
      indirect_table = intern(s.name);
      at(indirect_table).kind = s.kind;
      at(indirect_table).kind_known = true;
      at(indirect_table).table = s.table;
    } else {
      Table t;
      t.type = s.table;
      t.name = s.name;
      s.item = uint32_t(tables.size());
      s.synthetic = s.hidden = true;
      tables.push_back(t);
      indirect_table = define(s);
    }
  }
  auto function = [&](const char* name, std::span<const ValueType> params, bool exists) {
    if (options.relocatable || !exists) return intern(name);
    Symbol s;
    s.name = name;
    s.kind = SymbolKind::function;
    s.type = types.intern(cg::signature_bytes(params, {}));
    s.item = uint32_t(functions.size());
    s.synthetic = s.hidden = true;
    Function f;
    f.source = Function::draft;
    f.name = name;
    f.type = s.type;
    functions.push_back(f);
    SymbolId id = define(s);
    functions.back().symbol = id;
    return id;
  };
  const ValueType pointer[] = {ValueType(address)};
  call_ctors = function("__wasm_call_ctors", {}, true);
  init_memory = function("__wasm_init_memory", {}, options.shared_memory || options.import_memory);
  init_tls = function("__wasm_init_tls", pointer, options.shared_memory);
}

namespace {
const char* const layout_names[] = {"__heap_base",  "__heap_end",  "__data_end",  "__global_base",
                                    "__dso_handle", "__stack_low", "__stack_high"};
}

void Link::define_layout_symbols() {
  if (options.relocatable) return;
  auto absolute = [&](std::string_view name) -> Symbol* {
    auto it = by_name.find(name);
    if (it == by_name.end()) return nullptr;
    Symbol& s = at(it->second);
    if (s.state != State::undefined && !s.synthetic) return nullptr;
    if (s.kind_known && s.kind != SymbolKind::data) return nullptr;
    s.kind = SymbolKind::data;
    s.kind_known = s.synthetic = s.absolute = true;
    s.state = State::defined;
    s.hidden = true;
    s.item = none;
    return &s;
  };
  if (options.export_all)
    for (const char* name : layout_names) intern(name);
  for (const char* name : layout_names) absolute(name);
  for (auto& [name, value] : options.defsyms) {
    SymbolId id = intern(keep(name));
    bool number = value[0] >= '0' && value[0] <= '9';
    if (number) {
      if (Symbol* s = absolute(at(id).name)) s->offset = std::strtoull(value.c_str(), nullptr, 0);
      else if (!at(id).synthetic)
        diagnostics.error("--defsym " + name + ": the symbol is defined in " + file_name(at(id).file));
      continue;
    }
    auto it = by_name.find(value);
    if (it == by_name.end() || at(it->second).state != State::defined) {
      diagnostics.error("--defsym " + name + "=" + value + ": symbol not found: " + value);
      continue;
    }
    const Symbol& target = at(it->second);
    Symbol& s = at(id);
    if (s.state == State::defined && !s.synthetic) {
      diagnostics.error("--defsym " + name + ": the symbol is defined in " + file_name(s.file));
      continue;
    }
    s.kind = target.kind;
    s.kind_known = s.synthetic = true;
    s.state = State::defined;
    s.item = target.item;
    s.offset = target.offset;
    s.size = target.size;
    s.type = target.type;
    s.file = target.file;
    s.absolute = target.absolute;
  }
  // __start_NAME, __stop_NAME of existing data segments. They stay undefined until fill_synthetic(): liveness looks at
  // the name.
}

mir::FunctionDraft& Link::start_draft(uint32_t item) {
  functions[item].local = uint32_t(drafts.size());
  mir::FunctionDraft& d = drafts.emplace_back();
  return d;
}

uint32_t Link::make_trap(const std::string& name, uint32_t type) {
  Function f;
  f.source = Function::trap;
  f.name = keep(name);
  f.type = type;
  f.live = true;
  f.count = 1;
  functions.push_back(f);
  return uint32_t(functions.size() - 1);
}

void Link::make_synthetic_functions() {
  // Constructors of what is linked, by priority, then in the order of the inputs.
  std::vector<std::pair<uint32_t, SymbolId>> all;
  for (const InputFile& f : files) {
    if (!f.live) continue;
    for (const InputFile::Init& i : f.inits)
      if (at(i.function).live) all.emplace_back(i.priority, i.function);
  }
  std::stable_sort(all.begin(), all.end(), [](auto& a, auto& b) { return a.first < b.first; });
  for (auto& [priority, id] : all) {
    ctors.push_back({priority, id});
    if (!cg::signature_shape(types[at(id).type]).params.empty())
      diagnostics.error("constructor functions cannot take arguments: " + describe(id));
  }
  if (table_needed) {
    at(indirect_table).live = true;
    if (at(indirect_table).state == State::defined) tables[at(indirect_table).item].live = true;
  }
  if (options.relocatable) return;

  auto revive = [&](SymbolId id) {
    at(id).live = true;
    functions[at(id).item].live = true;
    functions[at(id).item].count++;
  };
  for (SymbolId id : {stack_pointer, tls_base, tls_size, tls_align, memory_base, table_base})
    if (at(id).synthetic && is_exported(at(id))) globals[at(id).item].live = true;
  bool tls = false;
  for (const Segment& s : segments) tls |= s.live && (s.flags & fw::segment_flags::tls);
  // A memory that is imported may have been used before: then zeroes are written, too, if not as data.
  bool zeroes = false;
  for (const Segment& s : segments) zeroes |= s.live && s.name.starts_with(".bss");
  fill_zeroes = zeroes && options.import_memory && (used_features & cg::bit(cg::Feature::bulk_memory_opt));
  needs_init_memory = (options.shared_memory || fill_zeroes) && at(init_memory).synthetic;
  if (needs_init_memory) {
    revive(init_memory);
    if (tls) {
      globals[at(tls_base).item].live = at(tls_base).live = true;
      if (at(init_tls).synthetic) revive(init_tls);
    }
  }
  // Exported functions of a command whose start code is not linked: each call is a run of the program.
  bool called = at(call_ctors).referenced || at(call_ctors).forced_export || !at(call_ctors).synthetic ||
                options.entry == "__wasm_call_ctors";
  auto dtors = by_name.find("__wasm_call_dtors");
  SymbolId call_dtors = dtors != by_name.end() && at(dtors->second).live && at(dtors->second).state == State::defined
                            ? dtors->second
                            : SymbolId{};
  if (!called && (!ctors.empty() || call_dtors)) {
    revive(call_ctors);
    for (uint32_t i = 0; i < symbols.size(); i++) {
      const Symbol& s = symbols[i];
      bool entry = !options.no_entry && s.name == options.entry && s.state == State::defined && !s.local;
      if (s.kind != SymbolKind::function || s.synthetic || !(is_exported(s) || entry)) continue;
      Function f;
      f.source = Function::draft;
      f.name = keep(std::string(s.name) + ".command_export");
      f.type = s.type;
      f.live = true;
      f.count = 1;
      export_wrappers[i] = uint32_t(functions.size());
      functions.push_back(f);
    }
  }
}

void Link::fill_synthetic() {
  if (options.relocatable) return;
  // Values.
  auto set = [&](std::string_view name, uint64_t value) {
    auto it = by_name.find(name);
    if (it == by_name.end()) return;
    Symbol& s = at(it->second);
    if (s.synthetic && s.absolute) s.offset = value;
  };
  set("__heap_base", heap_base);
  set("__heap_end", memory_end);
  set("__data_end", data_end);
  set("__global_base", data_start);
  set("__dso_handle", data_start);
  set("__stack_low", stack_low);
  set("__stack_high", stack_high);
  for (Symbol& s : symbols) {
    if (s.local || s.kind != SymbolKind::data || !s.live || (s.state == State::defined && !s.synthetic)) continue;
    bool start = s.name.starts_with("__start_"), stop = s.name.starts_with("__stop_");
    if (!start && !stop) continue;
    for (const OutputSegment& o : output_segments)
      if (o.name == s.name.substr(start ? 8 : 7)) {
        s.state = State::defined;
        s.synthetic = s.absolute = true;
        s.item = none;
        s.offset = start ? o.address : o.address + o.size;
      }
  }
  auto value = [&](SymbolId id, uint64_t v) {
    if (at(id).synthetic) globals[at(id).item].value = v;
  };
  value(stack_pointer, stack_high);
  value(tls_base, options.shared_memory ? 0 : tls_start);
  value(tls_size, tls_bytes);
  value(tls_align, tls_alignment);
  value(memory_base, 0);
  value(table_base, options.table_base ? options.table_base : 1);

  // Bodies.
  cg::Builder b;
  auto shape = [&](uint32_t type, std::vector<ValueType>& params, std::vector<ValueType>& results) {
    cg::SignatureShape s = cg::signature_shape(types[type]);
    for (uint8_t t : s.params) params.push_back(ValueType(t));
    for (uint8_t t : s.results) results.push_back(ValueType(t));
  };
  auto begin = [&](uint32_t item) {
    std::vector<ValueType> params, results;
    shape(functions[item].type, params, results);
    b.start(start_draft(item), functions[item].symbol, params, results, options.memory64);
    return params.size();
  };
  auto is_live = [&](SymbolId id) {
    return at(id).synthetic && at(id).kind == SymbolKind::function && functions[at(id).item].live;
  };
  if (is_live(call_ctors)) {
    begin(at(call_ctors).item);
    for (const InputFile::Init& i : ctors) {
      b.call(i.function);
      for (size_t n = cg::signature_shape(types[at(i.function).type]).results.size(); n; n--) b.op(Op::drop);
    }
  }
  for (auto [symbol, item] : export_wrappers) {
    size_t params = begin(item);
    b.call(call_ctors);
    for (uint32_t i = 0; i < params; i++) b.op(Op::local_get, i);
    b.call(SymbolId(symbol));
    auto dtors = by_name.find("__wasm_call_dtors");
    if (dtors != by_name.end() && at(dtors->second).live && at(dtors->second).state == State::defined)
      b.call(dtors->second);
  }
  const OutputSegment* tls = nullptr;
  for (const OutputSegment& o : output_segments)
    if (o.is_tls) tls = &o;
  if (is_live(init_tls)) {
    begin(at(init_tls).item);
    if (tls && tls->index != none) {
      b.op(Op::local_get, 0), b.global_set(tls_base);
      b.op(Op::local_get, 0), b.i32_const(0), b.i32_const(int32_t(tls->file_size)), b.op(Op::memory_init, tls->index);
    }
  }
  if (is_live(init_memory)) {
    begin(at(init_memory).item);
    auto write = [&] {
      for (const OutputSegment& o : output_segments) {
        if (o.is_tls && options.shared_memory) b.address_const(int64_t(o.address)), b.global_set(tls_base);
        if (o.index != none && o.passive)
          b.address_const(int64_t(o.address)), b.i32_const(0), b.i32_const(int32_t(o.file_size)),
              b.op(Op::memory_init, o.index);
        if (o.is_bss && fill_zeroes)
          b.address_const(int64_t(o.address)), b.i32_const(0), b.address_const(int64_t(o.size)), b.op(Op::memory_fill);
      }
    };
    if (!options.shared_memory) return write();
    // The first thread to come writes, the others wait for it: 0, 1 while it writes, 2.
    b.block(Op::block), b.block(Op::block), b.block(Op::block);
    b.address_const(int64_t(init_flag)), b.i32_const(0), b.i32_const(1), b.memory(Op::i32_atomic_rmw_cmpxchg, 2, 0);
    const uint32_t targets[] = {0, 1};
    b.br_table(targets, 2), b.op(Op::end);
    write();
    b.address_const(int64_t(init_flag)), b.i32_const(2), b.memory(Op::i32_atomic_store, 2, 0);
    b.address_const(int64_t(init_flag)), b.i32_const(-1), b.memory(Op::memory_atomic_notify, 2, 0), b.op(Op::drop);
    b.op(Op::br, 1), b.op(Op::end);
    b.address_const(int64_t(init_flag)), b.i32_const(1), b.i64_const(-1), b.memory(Op::memory_atomic_wait32, 2, 0),
        b.op(Op::drop);
    b.op(Op::end);
    for (const OutputSegment& o : output_segments)
      if (o.index != none && o.passive && !o.is_tls) b.op(Op::data_drop, o.index);
  }
}

}  // namespace lode::link::wasm
