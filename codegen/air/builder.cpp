// The builder: instructions wait by block, and get their places when the function is finished.
#include "codegen/air/builder.h"

#include <algorithm>
#include <bit>

namespace lode::air {

using T = TypeTable;

ModuleBuilder::ModuleBuilder(std::string name, const DataLayout& layout) {
  module_.name = std::move(name);
  module_.files.push_back("");
  module_.types.set_layout(layout);
}

TypeId ModuleBuilder::error_union(TypeId value) {
  return value == T::void_type ? structure({i16()}) : structure({value, i16()});
}

SymbolIndex ModuleBuilder::find_or_add(std::string_view name, SymbolKind kind, TypeId type, Linkage linkage) {
  if (!name.empty()) {
    auto [it, fresh] = names_.try_emplace(std::string(name), uint32_t(module_.symbols.size()));
    if (!fresh) return SymbolIndex(it->second);
  }
  Symbol s;
  std::string made = name.empty() ? ".L" + std::to_string(module_.symbols.size()) : std::string(name);
  s.name = module_.add_string(made);
  s.kind = kind;
  s.type = type;
  s.linkage = name.empty() ? Linkage::internal : linkage;
  module_.symbols.push_back(s);
  return SymbolIndex(uint32_t(module_.symbols.size() - 1));
}

SymbolIndex ModuleBuilder::declare_function(std::string_view name, TypeId type, Linkage linkage) {
  return find_or_add(name, SymbolKind::function, type, linkage);
}
SymbolIndex ModuleBuilder::declare_data(std::string_view name, TypeId type, Linkage linkage) {
  return find_or_add(name, SymbolKind::data, type, linkage);
}

SymbolIndex ModuleBuilder::define_data(std::string_view name, TypeId type, std::string_view bytes, Linkage linkage,
                                       bool constant, uint32_t align_log2) {
  SymbolIndex index = find_or_add(name, SymbolKind::data, type, linkage);
  Symbol& s = module_.symbols[index.value];
  s.defined = true;
  s.type = type;
  if (!name.empty()) s.linkage = linkage;
  s.constant = constant;
  s.align_log2 = align_log2;
  s.size = std::max<uint64_t>(module_.types.size_of(type), bytes.size());
  s.bytes_offset = module_.data.size();
  s.bytes_size = bytes.size();
  s.relocs = uint32_t(module_.data_relocs.size());
  module_.data.insert(module_.data.end(), bytes.begin(), bytes.end());
  return index;
}

SymbolIndex ModuleBuilder::define_bytes(std::string_view name, std::string_view text, Linkage linkage, bool constant,
                                        bool zero_terminated) {
  std::string bytes(text);
  if (zero_terminated) bytes += '\0';
  return define_data(name, array(i8(), bytes.size()), bytes, linkage, constant, 0);
}

void ModuleBuilder::add_address(SymbolIndex data, uint64_t offset, SymbolIndex target, int64_t addend) {
  Symbol& s = module_.symbols[data.value];
  if (!s.reloc_count) s.relocs = uint32_t(module_.data_relocs.size());
  DataReloc r;
  r.offset = offset;
  r.addend = addend;
  r.symbol = target;
  r.size = module_.types.layout().pointer_bytes;
  module_.data_relocs.push_back(r);
  s.reloc_count++;
}

void ModuleBuilder::add_relative(SymbolIndex data, uint64_t offset, SymbolIndex target, int64_t addend, uint8_t bytes) {
  add_address(data, offset, target, addend);
  module_.data_relocs.back().kind = DataRelocKind::symbol_minus_place;
  module_.data_relocs.back().size = bytes;
}

void ModuleBuilder::add_block_address(SymbolIndex data, uint64_t offset, SymbolIndex function, BlockId block) {
  add_address(data, offset, SymbolIndex(block.value));
  module_.data_relocs.back().kind = DataRelocKind::block_address;
  module_.data_relocs.back().function = function;
}

SymbolIndex ModuleBuilder::define_alias(std::string_view name, SymbolIndex target, int64_t offset, Linkage linkage) {
  SymbolIndex index = find_or_add(name, SymbolKind::alias, module_.symbols[target.value].type, linkage);
  Symbol& s = module_.symbols[index.value];
  s.defined = true;
  s.aliasee = target;
  s.alias_offset = offset;
  return index;
}

SymbolIndex ModuleBuilder::define_ifunc(std::string_view name, SymbolIndex resolver, Linkage linkage) {
  const SymbolIndex index = define_alias(name, resolver, 0, linkage);
  module_.symbols[index.value].kind = SymbolKind::ifunc;
  return index;
}

ComdatIndex ModuleBuilder::comdat(std::string_view name, ComdatKind kind) {
  auto [it, fresh] = comdats_.try_emplace(std::string(name), uint32_t(module_.comdats.size()));
  if (fresh) module_.comdats.push_back({module_.add_string(name), kind});
  return ComdatIndex(it->second);
}

void ModuleBuilder::import(SymbolIndex s, std::string_view module, std::string_view name) {
  symbol(s).wasm_import = true;
  symbol(s).wasm_import_module = module_.add_string(module);
  symbol(s).wasm_import_name = module_.add_string(name);
}

void ModuleBuilder::processor(std::string_view name, std::string_view features) {
  TargetAttributes attributes{std::string(name), std::string(features)};
  if (std::find(module_.processors.begin(), module_.processors.end(), attributes) == module_.processors.end())
    module_.processors.push_back(std::move(attributes));
}

Result<Module> ModuleBuilder::take() {
  for (const Symbol& s : module_.symbols)
    if (s.kind == SymbolKind::function && s.defined && !s.function.valid())
      return lode::error("the function " + std::string(module_.str(s.name)) + " was begun, but not finished: finish()");
  if (!twice_.empty())
    return lode::error("the function " + std::string(module_.name_of(SymbolIndex(twice_[0]))) + " has two bodies");
  return std::move(module_);
}

void ModuleBuilder::add_init(SymbolIndex function, uint32_t priority, bool destructor, SymbolIndex associated) {
  InitEntry e;
  e.associated = associated;
  e.function = function;
  e.priority = priority;
  e.destructor = destructor;
  module_.inits.push_back(e);
}

uint32_t ModuleBuilder::file(std::string_view name) {
  module_.debug_information = true;
  auto it = std::find(module_.files.begin() + 1, module_.files.end(), name);
  if (it == module_.files.end()) it = module_.files.insert(it, std::string(name));
  return uint32_t(it - module_.files.begin());
}

// ---- functions ------------------------------------------------------------------------------------------------------

FunctionBuilder::FunctionBuilder(ModuleBuilder& module, SymbolIndex symbol) : module_(module) {
  Symbol& s = module.symbol(symbol);
  fn_.symbol = symbol;
  fn_.type = s.type;
  s.defined = true;  // and without a body until finish()
  const Type& t = module.module_.types[s.type];
  if (t.vararg) fn_.flags |= function_flags::vararg;
  std::vector<TypeId> params(t.field_count);
  for (uint32_t k = 0; k < t.field_count; k++) params[k] = module.module_.types.member(t, k);
  add_block(params);
}

BlockId FunctionBuilder::add_block(const std::vector<TypeId>& params) {
  uint32_t b = uint32_t(fn_.blocks.size());
  Block block;
  block.first_param = uint32_t(fn_.values.size());
  block.param_count = uint32_t(params.size());
  for (TypeId t : params) fn_.values.push_back(Value::make(t, ValueKind::Param, b));
  fn_.blocks.push_back(block);
  insts_.emplace_back();
  locations_.emplace_back();
  done_.push_back(0);
  return BlockId(b);
}

void FunctionBuilder::attributes(uint32_t parameter, ParamAttr attributes) {
  if (fn_.param_attrs.empty()) fn_.param_attrs.resize(fn_.blocks[0].param_count);
  if (parameter < fn_.param_attrs.size()) fn_.param_attrs[parameter] = attributes;
}

void FunctionBuilder::location(uint32_t file, uint32_t line, uint32_t column) {
  if (fn_.locations.empty()) fn_.locations.push_back({});
  uint64_t key = uint64_t(file) << 48 ^ uint64_t(line) << 16 ^ column;
  auto [it, fresh] = location_ids_.try_emplace(key, uint32_t(fn_.locations.size()));
  if (fresh) fn_.locations.push_back({file, line, column});
  location_ = it->second;
}

ValueId FunctionBuilder::constant(const Constant& c) {
  ValueId v(uint32_t(fn_.values.size()));
  fn_.values.push_back(Value::make(c.type, ValueKind::Const, uint32_t(fn_.constants.size())));
  fn_.constants.push_back(c);
  return v;
}

ValueId FunctionBuilder::integer(TypeId t, uint64_t value) {
  uint32_t bits = module_.module_.types[t].bits;
  if (bits > 64) return integer(t, value, 0);
  if (bits < 64) value &= (uint64_t{1} << bits) - 1;
  return constant({ConstantKind::Int, t, ~0u, value});
}

ValueId FunctionBuilder::integer(TypeId t, uint64_t low, uint64_t high) {
  uint32_t bits = module_.module_.types[t].bits;
  if (bits <= 64) return integer(t, low);
  uint32_t words[4] = {uint32_t(low), uint32_t(low >> 32), uint32_t(high), uint32_t(high >> 32)};
  uint32_t n = (bits + 31) / 32;
  Constant c{ConstantKind::WideInt, t, ~0u, fn_.extra.size()};
  for (uint32_t k = 0; k < n; k++) {
    uint32_t w = k < 4 ? words[k] : 0;
    if (k + 1 == n && bits % 32) w &= (1u << bits % 32) - 1;
    fn_.extra.push_back(w);
  }
  return constant(c);
}

ValueId FunctionBuilder::floating(TypeId t, double value) {
  if (t == T::f32) return constant({ConstantKind::Float, t, ~0u, std::bit_cast<uint32_t>(float(value))});
  return constant({ConstantKind::Float, t, ~0u, std::bit_cast<uint64_t>(value)});
}

ValueId FunctionBuilder::bits(TypeId t, uint64_t low, uint64_t high) {
  if (t != T::f80 && t != T::f128) return constant({ConstantKind::Float, t, ~0u, low});
  Constant c{ConstantKind::WideFloat, t, ~0u, fn_.extra.size()};
  fn_.extra.insert(fn_.extra.end(), {uint32_t(low), uint32_t(low >> 32), uint32_t(high)});
  if (t == T::f128) fn_.extra.push_back(uint32_t(high >> 32));
  else fn_.extra.back() &= 0xffff;
  return constant(c);
}

ValueId FunctionBuilder::zero(TypeId t) {
  const Type& x = module_.module_.types[t];
  if (x.kind == TypeKind::Int && x.bits <= 64) return integer(t, 0);
  if (x.kind >= TypeKind::F16 && x.kind <= TypeKind::F64) return constant({ConstantKind::Float, t, ~0u, 0});
  return constant({ConstantKind::Zero, t, ~0u, 0});
}
ValueId FunctionBuilder::undef(TypeId t) { return constant({ConstantKind::Undef, t, ~0u, 0}); }
ValueId FunctionBuilder::address(SymbolIndex s, int64_t offset) {
  return constant({ConstantKind::Symbol, T::ptr, s.value, uint64_t(offset)});
}
ValueId FunctionBuilder::block_address(BlockId b) { return constant({ConstantKind::BlockAddress, T::ptr, b.value, 0}); }
ValueId FunctionBuilder::aggregate(TypeId t, const std::vector<ValueId>& constants) {
  Constant c{ConstantKind::Aggregate, t, ~0u, fn_.extra.size()};
  for (ValueId v : constants) fn_.extra.push_back(v.value);
  return constant(c);
}

uint32_t FunctionBuilder::log2_align(TypeId t) const {
  return uint32_t(std::countr_zero(module_.module_.types.align_of(t)));
}

ValueId FunctionBuilder::emit(Inst i) {
  if (i.type != T::void_type) {
    i.result = ValueId(uint32_t(fn_.values.size()));
    fn_.values.push_back(Value::make(i.type, ValueKind::Inst, 0));  // its index is known in finish()
  }
  insts_[current_].push_back(i);
  locations_[current_].push_back(location_);
  if (is_terminator(i.op)) done_[current_] = 1;
  return i.result;
}

static Inst make(Op op, TypeId t, ValueId a = {}, ValueId b = {}, ValueId c = {}) {
  Inst i{op};
  i.type = t;
  i.a = a.value;
  i.b = b.value;
  i.c = c.value;
  return i;
}

ValueId FunctionBuilder::binary(Op op, ValueId a, ValueId b, uint8_t flags) {
  TypeId t = info(op).result == ResultRule::None ? T::void_type : type_of(a);
  if (info(op).result == ResultRule::Pair) {
    const Type& x = module_.module_.types[t];
    TypeId flag = x.kind == TypeKind::Vector ? module_.vector(T::i1, x.count) : T::i1;
    t = module_.structure({t, flag});
  }
  Inst i = make(op, t, a, b);
  i.flags = flags;
  return emit(i);
}
ValueId FunctionBuilder::unary(Op op, ValueId a) {
  return emit(make(op, info(op).result == ResultRule::None ? T::void_type : type_of(a), a));
}
ValueId FunctionBuilder::ternary(Op op, ValueId a, ValueId b, ValueId c) { return emit(make(op, type_of(a), a, b, c)); }
ValueId FunctionBuilder::convert(Op op, ValueId a, TypeId to) { return emit(make(op, to, a)); }

ValueId FunctionBuilder::icmp(IntPredicate p, ValueId a, ValueId b) {
  const Type& t = module_.module_.types[type_of(a)];
  Inst i = make(Op::icmp, t.kind == TypeKind::Vector ? module_.vector(T::i1, t.count) : T::i1, a, b);
  i.aux = uint16_t(p);
  return emit(i);
}
ValueId FunctionBuilder::fcmp(FloatPredicate p, ValueId a, ValueId b) {
  const Type& t = module_.module_.types[type_of(a)];
  Inst i = make(Op::fcmp, t.kind == TypeKind::Vector ? module_.vector(T::i1, t.count) : T::i1, a, b);
  i.aux = uint16_t(p);
  return emit(i);
}
ValueId FunctionBuilder::select(ValueId c, ValueId a, ValueId b) { return emit(make(Op::select, type_of(a), c, a, b)); }

ValueId FunctionBuilder::slot(uint64_t size, uint32_t align_log2) {
  fn_.slots.push_back({size, align_log2});
  Inst i = make(Op::slot_addr, T::ptr);
  i.a = uint32_t(fn_.slots.size() - 1);
  const ValueId address = emit(i);
  slot_addresses_.push_back(address.value);
  return address;
}
void FunctionBuilder::lifetime(Op mark, ValueId slot) {
  Inst i = make(mark, T::void_type);
  i.a =
      uint32_t(std::lower_bound(slot_addresses_.begin(), slot_addresses_.end(), slot.value) - slot_addresses_.begin());
  fn_.lifetime_markers = true;
  emit(i);
}
void FunctionBuilder::slot_array(ValueId slot, SlotArray array) {
  const auto at = std::lower_bound(slot_addresses_.begin(), slot_addresses_.end(), slot.value);
  if (at != slot_addresses_.end()) fn_.slots[size_t(at - slot_addresses_.begin())].array = array;
}
ValueId FunctionBuilder::alloca_(ValueId bytes, uint32_t align_log2) {
  Inst i = make(Op::alloca, T::ptr, bytes);
  i.aux = uint16_t(align_log2);
  return emit(i);
}
ValueId FunctionBuilder::stack_save() { return emit(make(Op::stack_save, T::ptr)); }
void FunctionBuilder::stack_restore(ValueId saved) { unary(Op::stack_restore, saved); }
ValueId FunctionBuilder::load(TypeId t, ValueId address, AtomicOrdering order, bool is_volatile) {
  return load(t, address, MemoryFlags::pack(is_volatile, order, log2_align(t)));
}
void FunctionBuilder::store(ValueId value, ValueId address, AtomicOrdering order, bool is_volatile) {
  store(value, address, MemoryFlags::pack(is_volatile, order, log2_align(type_of(value))));
}
ValueId FunctionBuilder::load(TypeId t, ValueId address, bool is_volatile) {
  return load(t, address, MemoryFlags::pack(is_volatile, AtomicOrdering::not_atomic, log2_align(t)));
}
ValueId FunctionBuilder::load(TypeId t, ValueId address, uint16_t memory_flags) {
  Inst i = make(Op::load, t, address);
  i.aux = memory_flags;
  return emit(i);
}
void FunctionBuilder::store(ValueId value, ValueId address, bool is_volatile) {
  store(value, address, MemoryFlags::pack(is_volatile, AtomicOrdering::not_atomic, log2_align(type_of(value))));
}
void FunctionBuilder::store(ValueId value, ValueId address, uint16_t memory_flags) {
  Inst i = make(Op::store, T::void_type, address, value);
  i.aux = memory_flags;
  emit(i);
}
ValueId FunctionBuilder::offset(ValueId base, int64_t bytes) { return index(base, ValueId{}, 1, bytes); }
ValueId FunctionBuilder::index(ValueId base, ValueId x, int64_t scale, int64_t bytes) {
  Inst i = make(Op::ptr_add, type_of(base), base, x);
  i.c = uint32_t(fn_.extra.size());
  for (uint64_t w : {uint64_t(scale), uint64_t(bytes)}) {
    fn_.extra.push_back(uint32_t(w));
    fn_.extra.push_back(uint32_t(w >> 32));
  }
  return emit(i);
}
ValueId FunctionBuilder::field(TypeId structure, ValueId base, uint32_t i) {
  return offset(base, int64_t(module_.module_.types.field_offset(structure, i)));
}
ValueId FunctionBuilder::element(TypeId element_type, ValueId base, ValueId i) {
  return index(base, i, int64_t(module_.module_.types.size_of(element_type)));
}
void FunctionBuilder::block3(Op op, ValueId to, ValueId from, ValueId bytes, uint32_t align_log2) {
  Inst i = make(op, T::void_type, to, from, bytes);
  i.aux = MemoryFlags::pack(false, AtomicOrdering::not_atomic, align_log2);
  emit(i);
}
void FunctionBuilder::memcpy(ValueId to, ValueId from, ValueId bytes, uint32_t align_log2) {
  block3(Op::memcpy, to, from, bytes, align_log2);
}
void FunctionBuilder::memmove(ValueId to, ValueId from, ValueId bytes, uint32_t align_log2) {
  block3(Op::memmove, to, from, bytes, align_log2);
}
void FunctionBuilder::memset(ValueId to, ValueId byte, ValueId bytes, uint32_t align_log2) {
  block3(Op::memset, to, byte, bytes, align_log2);
}
ValueId FunctionBuilder::atomic_rmw(RmwOp op, ValueId address, ValueId operand, AtomicOrdering order,
                                    bool is_volatile) {
  Inst i = make(Op::atomic_rmw, type_of(operand), address, operand);
  i.aux = MemoryFlags::pack(is_volatile, order, log2_align(type_of(operand)), op);
  return emit(i);
}
ValueId FunctionBuilder::cmpxchg(ValueId address, ValueId expected, ValueId desired, AtomicOrdering order,
                                 bool is_volatile) {
  Inst i = make(Op::cmpxchg, module_.structure({type_of(expected), T::i1}), address, expected, desired);
  i.aux = MemoryFlags::pack(is_volatile, order, log2_align(type_of(expected)));
  return emit(i);
}
void FunctionBuilder::fence(AtomicOrdering order) { fixed(Op::fence, uint32_t(order), T::void_type); }
void FunctionBuilder::prefetch(ValueId address, Keep keep) {
  Inst i = make(Op::prefetch, T::void_type, address);
  i.aux = uint16_t(keep);
  emit(i);
}

static TypeId part_type(const TypeTable& types, TypeId t, const std::vector<uint32_t>& path) {
  for (uint32_t i : path) t = types[t].kind == TypeKind::Struct ? types.member(types[t], i) : types[t].element;
  return t;
}
ValueId FunctionBuilder::extract(ValueId aggregate, const std::vector<uint32_t>& path) {
  Inst i = make(Op::extract, part_type(module_.module_.types, type_of(aggregate), path), aggregate);
  i.b = uint32_t(fn_.extra.size());
  fn_.extra.push_back(uint32_t(path.size()));
  fn_.extra.insert(fn_.extra.end(), path.begin(), path.end());
  return emit(i);
}
ValueId FunctionBuilder::insert(ValueId aggregate, ValueId part, const std::vector<uint32_t>& path) {
  Inst i = make(Op::insert, type_of(aggregate), aggregate, part);
  i.c = uint32_t(fn_.extra.size());
  fn_.extra.push_back(uint32_t(path.size()));
  fn_.extra.insert(fn_.extra.end(), path.begin(), path.end());
  return emit(i);
}

ValueId FunctionBuilder::extract_element(ValueId vector, ValueId lane) {
  return emit(make(Op::extract_element, module_.module_.types[type_of(vector)].element, vector, lane));
}
ValueId FunctionBuilder::insert_element(ValueId vector, ValueId element, ValueId lane) {
  return emit(make(Op::insert_element, type_of(vector), vector, element, lane));
}
ValueId FunctionBuilder::shuffle(ValueId a, ValueId b, const std::vector<uint32_t>& lanes) {
  Inst i = make(Op::shuffle, module_.vector(module_.module_.types[type_of(a)].element, lanes.size()), a, b);
  i.c = uint32_t(fn_.extra.size());
  fn_.extra.push_back(uint32_t(lanes.size()));
  fn_.extra.insert(fn_.extra.end(), lanes.begin(), lanes.end());
  return emit(i);
}

ValueId FunctionBuilder::reduce(Op op, ValueId vector) {
  return emit(make(op, module_.module_.types[type_of(vector)].element, vector));
}
ValueId FunctionBuilder::reduce(Op op, ValueId start, ValueId vector) {
  return emit(make(op, type_of(start), start, vector));
}

ValueId FunctionBuilder::call(SymbolIndex callee, const std::vector<ValueId>& args) {
  return call(address(callee), module_.symbol(callee).type, args);
}
ValueId FunctionBuilder::call(ValueId callee, TypeId function_type, const std::vector<ValueId>& args,
                              const std::vector<ParamAttr>& attrs, uint16_t call_flags) {
  CallOptions options;
  options.flags = call_flags;
  options.attributes = attrs;
  return call(callee, function_type, args, options);
}
uint32_t FunctionBuilder::call_site(CallSite site, const std::vector<ValueId>& args, const CallOptions& options) {
  site.args = uint32_t(fn_.extra.size());
  site.arg_count = uint32_t(args.size());
  site.flags = options.flags;
  site.conv = options.cc;
  site.result_attrs = options.result_attributes;
  for (ValueId v : args) fn_.extra.push_back(v.value);
  if (!options.attributes.empty()) {
    // The function's own attributes stand first.
    if (fn_.param_attrs.empty()) fn_.param_attrs.resize(fn_.blocks[0].param_count);
    site.attrs = uint32_t(fn_.param_attrs.size());
    fn_.param_attrs.insert(fn_.param_attrs.end(), options.attributes.begin(), options.attributes.end());
    fn_.param_attrs.resize(site.attrs + args.size());
  }
  fn_.calls.push_back(site);
  return uint32_t(fn_.calls.size() - 1);
}
ValueId FunctionBuilder::call(ValueId callee, TypeId function_type, const std::vector<ValueId>& args,
                              const CallOptions& options) {
  CallSite site;
  site.callee = callee;
  site.function_type = function_type;
  Inst i = make(Op::call, module_.module_.types[function_type].element);
  i.a = call_site(site, args, options);
  return emit(i);
}
ValueId FunctionBuilder::asm_(const Assembly& assembly, TypeId result_type, const std::vector<ValueId>& args,
                              const CallOptions& options) {
  InlineAsm a;
  auto keep = [&](std::string_view text, uint32_t& at, uint32_t& size) {
    at = uint32_t(fn_.strings.size());
    size = uint32_t(text.size());
    fn_.strings += text;
  };
  keep(assembly.text, a.text, a.text_len);
  keep(assembly.constraints, a.constraints, a.constraints_len);
  a.side_effects = assembly.sideeffect;
  a.align_stack = assembly.alignstack;
  a.intel = assembly.intel;
  a.can_throw = assembly.can_throw;
  std::vector<TypeId> types;
  for (ValueId v : args) types.push_back(type_of(v));
  CallSite site;
  site.function_type = module_.function_type(result_type, types);
  site.inline_asm = uint32_t(fn_.inline_asms.size());
  fn_.inline_asms.push_back(a);
  Inst i = make(Op::call, result_type);
  i.a = call_site(site, args, options);
  return emit(i);
}
ValueId FunctionBuilder::plain(Op op, TypeId t) { return emit(make(op, t)); }

ValueId FunctionBuilder::invoke(SymbolIndex callee, const std::vector<ValueId>& args, BlockId next, BlockId unwind) {
  return invoke(address(callee), module_.symbol(callee).type, args, next, unwind);
}
ValueId FunctionBuilder::invoke(ValueId callee, TypeId function_type, const std::vector<ValueId>& args, BlockId next,
                                const std::vector<ValueId>& next_args, BlockId unwind,
                                const std::vector<ValueId>& unwind_args, const CallOptions& options) {
  CallSite site;
  site.callee = callee;
  site.function_type = function_type;
  Inst i = make(Op::invoke, module_.module_.types[function_type].element);
  i.a = call_site(site, args, options);
  i.b = edge(next, next_args);
  i.c = edge(unwind, unwind_args);
  const ValueId made = emit(i);
  // The value's number is known now.
  for (size_t k = 0; k < next_args.size(); k++)
    if (next_args[k] == result) fn_.extra[fn_.edges[i.b].args + k] = made.value;
  return made;
}
ValueId FunctionBuilder::landing_pad(const std::vector<Clause>& clauses, bool cleanup) {
  LandingPad pad;
  pad.cleanup = cleanup;
  pad.clauses = uint32_t(fn_.extra.size());
  pad.clause_count = uint32_t(clauses.size());
  for (const Clause& c : clauses) {
    fn_.extra.push_back(c.filter);
    fn_.extra.push_back(uint32_t(c.typeinfos.size()));
    for (ValueId v : c.typeinfos) fn_.extra.push_back(v.value);
  }
  fn_.landing_pads.push_back(pad);
  return fixed(Op::landing_pad, uint32_t(fn_.landing_pads.size() - 1), module_.structure({T::ptr, T::i32}));
}
void FunctionBuilder::resume(ValueId exception) { unary(Op::resume, exception); }

ValueId FunctionBuilder::fixed(Op op, uint32_t immediate, TypeId t) {
  Inst i = make(op, t);
  i.a = immediate;
  return emit(i);
}

uint32_t FunctionBuilder::edge(BlockId target, const std::vector<ValueId>& args) {
  fn_.edges.push_back({target, uint32_t(fn_.extra.size()), uint32_t(args.size())});
  for (ValueId v : args) fn_.extra.push_back(v.value);
  return uint32_t(fn_.edges.size() - 1);
}
void FunctionBuilder::br(BlockId target, const std::vector<ValueId>& args) {
  Inst i = make(Op::br, T::void_type);
  i.a = edge(target, args);
  emit(i);
}
void FunctionBuilder::cond_br(ValueId c, BlockId if_true, const std::vector<ValueId>& true_args, BlockId if_false,
                              const std::vector<ValueId>& false_args) {
  Inst i = make(Op::cond_br, T::void_type, c);
  i.b = edge(if_true, true_args);
  i.c = edge(if_false, false_args);
  emit(i);
}
void FunctionBuilder::switch_on(ValueId v, const std::vector<Case>& cases, BlockId otherwise,
                                const std::vector<ValueId>& args) {
  Inst i = make(Op::switch_, T::void_type, v);
  i.b = edge(otherwise, args);
  uint32_t bits = module_.module_.types[type_of(v)].bits;
  std::vector<uint32_t> list{uint32_t(cases.size())};
  for (const Case& c : cases) {
    uint64_t value = bits < 64 ? c.value & ((uint64_t{1} << bits) - 1) : c.value;
    list.insert(list.end(), {uint32_t(value), uint32_t(value >> 32), edge(c.target, c.args)});
  }
  i.c = uint32_t(fn_.extra.size());
  fn_.extra.insert(fn_.extra.end(), list.begin(), list.end());
  emit(i);
}
void FunctionBuilder::indirect_br(ValueId address, const std::vector<BlockId>& targets) {
  Inst i = make(Op::indirect_br, T::void_type, address);
  std::vector<uint32_t> edges{uint32_t(targets.size())};
  for (BlockId b : targets) edges.push_back(edge(b, {}));
  i.b = uint32_t(fn_.extra.size());
  fn_.extra.insert(fn_.extra.end(), edges.begin(), edges.end());
  emit(i);
}
uint32_t FunctionBuilder::list(const std::vector<ValueId>& values) {
  uint32_t at = uint32_t(fn_.extra.size());
  fn_.extra.push_back(uint32_t(values.size()));
  for (ValueId v : values) fn_.extra.push_back(v.value);
  return at;
}
void FunctionBuilder::ret() {
  Inst i = make(Op::ret, T::void_type);
  i.a = list({});
  emit(i);
}
void FunctionBuilder::ret(ValueId v) {
  Inst i = make(Op::ret, T::void_type);
  i.a = list({v});
  emit(i);
}
void FunctionBuilder::trap() { emit(make(Op::trap, T::void_type)); }
void FunctionBuilder::unreachable() { emit(make(Op::unreachable, T::void_type)); }

// ---- sugar ----------------------------------------------------------------------------------------------------------

void FunctionBuilder::fail_if(ValueId condition) {
  if (!failure_.valid()) failure_ = add_block();
  BlockId next = add_block();
  cond_br(condition, failure_, next);
  switch_to(next);
}

ValueId FunctionBuilder::some(TypeId optional, ValueId v) {
  if (optional == T::ptr) return v;
  return insert(insert(undef(optional), v, {0}), boolean(true), {1});
}
ValueId FunctionBuilder::none(TypeId optional) { return zero(optional); }
ValueId FunctionBuilder::has_value(ValueId optional) {
  if (type_of(optional) == T::ptr) return icmp(IntPredicate::ne, optional, zero(T::ptr));
  return extract(optional, {1});
}
ValueId FunctionBuilder::unwrap(ValueId optional) {
  ValueId present = has_value(optional);
  fail_if(binary(Op::xor_, present, boolean(true)));
  return type_of(optional) == T::ptr ? optional : extract(optional, {0});
}
ValueId FunctionBuilder::value_or(ValueId optional, ValueId otherwise) {
  ValueId present = has_value(optional);
  return select(present, type_of(optional) == T::ptr ? optional : extract(optional, {0}), otherwise);
}

ValueId FunctionBuilder::success(TypeId error_union, ValueId v) {
  bool has = module_.module_.types[error_union].field_count == 2;
  ValueId u = has ? insert(undef(error_union), v, {0}) : undef(error_union);
  return insert(u, integer(T::i16, 0), {has ? 1u : 0u});
}
ValueId FunctionBuilder::failure(TypeId error_union, ValueId code) {
  return insert(zero(error_union), code, {module_.module_.types[error_union].field_count - 1});
}
ValueId FunctionBuilder::error_code(ValueId error_union) {
  return extract(error_union, {module_.module_.types[type_of(error_union)].field_count - 1});
}
ValueId FunctionBuilder::is_error(ValueId error_union) {
  return icmp(IntPredicate::ne, error_code(error_union), integer(T::i16, 0));
}
ValueId FunctionBuilder::error_value(ValueId error_union) {
  return module_.module_.types[type_of(error_union)].field_count == 2 ? extract(error_union, {0}) : ValueId{};
}
ValueId FunctionBuilder::try_(ValueId error_union) {
  ValueId code = error_code(error_union);
  BlockId failed = add_block(), next = add_block();
  cond_br(icmp(IntPredicate::ne, code, integer(T::i16, 0)), failed, next);
  switch_to(failed);
  ret(failure(module_.module_.types[fn_.type].element, code));
  switch_to(next);
  return error_value(error_union);
}

ValueId FunctionBuilder::make_slice(ValueId pointer, ValueId length) {
  return insert(insert(undef(module_.slice()), pointer, {0}), length, {1});
}
ValueId FunctionBuilder::slice_element(TypeId element_type, ValueId slice, ValueId i) {
  fail_if(icmp(IntPredicate::uge, i, slice_length(slice)));
  return element(element_type, slice_pointer(slice), i);
}
ValueId FunctionBuilder::sub_slice(TypeId element_type, ValueId slice, ValueId from, ValueId to) {
  ValueId beyond = icmp(IntPredicate::ugt, to, slice_length(slice)), crossed = icmp(IntPredicate::ugt, from, to);
  fail_if(binary(Op::or_, beyond, crossed));
  return make_slice(element(element_type, slice_pointer(slice), from), binary(Op::sub, to, from));
}

ValueId FunctionBuilder::checked(Arithmetic op, bool is_signed, ValueId a, ValueId b) {
  static constexpr Op ops[3][2] = {{Op::uadd_overflow, Op::sadd_overflow},
                                   {Op::usub_overflow, Op::ssub_overflow},
                                   {Op::umul_overflow, Op::smul_overflow}};
  ValueId pair = binary(ops[unsigned(op)][is_signed], a, b);
  ValueId result = extract(pair, {0});
  fail_if(extract(pair, {1}));
  return result;
}
ValueId FunctionBuilder::saturating(Arithmetic op, bool is_signed, ValueId a, ValueId b) {
  if (op == Arithmetic::add) return binary(is_signed ? Op::sadd_sat : Op::uadd_sat, a, b);
  if (op == Arithmetic::sub) return binary(is_signed ? Op::ssub_sat : Op::usub_sat, a, b);
  TypeId t = type_of(a);
  uint32_t bits = module_.module_.types[t].bits;
  ValueId pair = binary(is_signed ? Op::smul_overflow : Op::umul_overflow, a, b);
  ValueId limit;
  auto ones = [&](uint32_t n) { return n >= 64 ? ~uint64_t{0} : (uint64_t{1} << n) - 1; };
  auto all_ones = [&](uint32_t n) { return n > 64 ? integer(t, ~uint64_t{0}, ones(n - 64)) : integer(t, ones(n)); };
  if (is_signed) {
    // The largest number, or the smallest if the signs differ: its complement.
    ValueId negative = binary(Op::ashr, binary(Op::xor_, a, b), integer(t, bits - 1));
    limit = binary(Op::xor_, negative, all_ones(bits - 1));
  } else {
    limit = all_ones(bits);
  }
  return select(extract(pair, {1}), limit, extract(pair, {0}));
}
ValueId FunctionBuilder::checked_divide(bool is_signed, bool remainder, ValueId a, ValueId b) {
  TypeId t = type_of(a);
  ValueId bad = icmp(IntPredicate::eq, b, zero(t));
  if (is_signed) {
    uint32_t bits = module_.module_.types[t].bits;
    uint64_t top = uint64_t{1} << (bits - 1) % 64;
    ValueId smallest = bits > 64 ? integer(t, 0, top) : integer(t, top);
    ValueId minus_one = bits > 64 ? integer(t, ~uint64_t{0}, ~uint64_t{0}) : integer(t, ~uint64_t{0});
    ValueId overflow = binary(Op::and_, icmp(IntPredicate::eq, a, smallest), icmp(IntPredicate::eq, b, minus_one));
    bad = binary(Op::or_, bad, overflow);
  }
  fail_if(bad);
  return binary(is_signed ? remainder ? Op::srem : Op::sdiv : remainder ? Op::urem : Op::udiv, a, b);
}

void FunctionBuilder::finish() {
  if (finished_) return;
  finished_ = true;
  if (failure_.valid()) {
    switch_to(failure_);
    if (handler_.valid()) {
      call(handler_, {});
      unreachable();
    } else {
      trap();
    }
  }
  bool located = !fn_.locations.empty();
  for (uint32_t b = 0; b < fn_.blocks.size(); b++) {
    fn_.blocks[b].first_inst = uint32_t(fn_.insts.size());
    fn_.blocks[b].inst_count = uint32_t(insts_[b].size());
    for (size_t k = 0; k < insts_[b].size(); k++) {
      const Inst& i = insts_[b][k];
      if (i.result.valid())
        fn_.values[i.result.value] = Value::make(i.type, ValueKind::Inst, uint32_t(fn_.insts.size()));
      fn_.insts.push_back(i);
      if (located) fn_.inst_locations.push_back(locations_[b][k]);
    }
  }
  Module& m = module_.module_;
  Symbol& s = m.symbols[fn_.symbol.value];
  if (s.function.valid()) {
    module_.twice_.push_back(fn_.symbol.value);
    return;
  }
  s.function = FunctionIndex(uint32_t(m.functions.size()));
  m.functions.push_back({fn_.symbol, fn_.personality.valid()});
  m.in_memory.push_back(std::move(fn_));
}

}  // namespace lode::air
