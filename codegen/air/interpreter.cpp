// The interpreter from outside: calls of functions by name and by address, and main.
//
// Functions are prepared once, when they are called first: read or legalised, their values laid out in a frame, their
// constants made. What blocks and instructions do then is in interpreter_execute.cpp.
#include "codegen/air/interpreter.h"

#include <algorithm>
#include <cstring>

#include "codegen/air/interpreter_impl.h"

namespace lode::air {

using T = TypeTable;

Interpreter::Impl::Impl(const Module& m, const InterpreterOptions& o) : module(m), options(o) {
  const bool small = m.types.layout().pointer_bytes == 4;
  function_base = small ? 0xe0000000u : uint64_t{1} << 40;
  runtime_base = function_base + 0x10000000u;
  block_base = function_base + 0x18000000u;
  for (unsigned k = 0; k < runtime_function_count; k++) runtime_at[runtime_base + k * 16] = k;
}

Interpreter::Interpreter(const Module& module, const InterpreterOptions& options)
    : impl_(std::make_unique<Impl>(module, options)) {}
Interpreter::~Interpreter() = default;
const std::string& Interpreter::output() const { return impl_->output; }
uint64_t Interpreter::undefined_results() const { return impl_->undefined_results; }
void Interpreter::set_input(std::string text) {
  impl_->input = std::move(text);
  impl_->input_at = 0;
}
Result<uint64_t> Interpreter::allocate(uint64_t size, uint64_t align) { return impl_->allocate(size, align); }
Result<void> Interpreter::read(uint64_t address, void* to, uint64_t n) const {
  const uint8_t* p = impl_->at(address, n, false);
  if (!p) return error("read outside of every allocation");
  std::memcpy(to, p, size_t(n));
  return {};
}
Result<void> Interpreter::write(uint64_t address, const void* from, uint64_t n) {
  uint8_t* p = impl_->at(address, n, true);
  if (!p) return error("write outside of every allocation");
  std::memcpy(p, from, size_t(n));
  return {};
}
Result<uint64_t> Interpreter::address_of(std::string_view symbol) const {
  LODE_TRY(impl_->place_globals());
  for (uint32_t k = 0; k < impl_->module.symbols.size(); k++)
    if (impl_->module.name_of(SymbolIndex(k)) == symbol) return impl_->symbol_address[k];
  return error("no symbol " + std::string(symbol));
}

Result<std::vector<Scalar>> Interpreter::call(std::string_view function, const std::vector<Scalar>& args) {
  Impl& m = *impl_;
  LODE_TRY(m.place_globals());
  for (uint32_t k = 0; k < m.module.symbols.size(); k++) {
    const Symbol& s = m.module.symbols[k];
    if (s.kind != SymbolKind::function || !s.defined || m.module.name_of(SymbolIndex(k)) != function) continue;
    m.error.clear();
    m.exit_status.reset();
    m.depth = 0;
    std::vector<Scalar> result;
    if (!m.call_function(s.function, args, result, {}, {})) {
      if (m.exit_status) return lode::error("exit " + std::to_string(*m.exit_status));
      return lode::error(m.error);
    }
    return result;
  }
  return lode::error("no function " + std::string(function));
}

Result<int> Interpreter::run_main(const std::vector<std::string>& args) {
  Impl& m = *impl_;
  LODE_TRY(m.place_globals());
  auto run_inits = [&](bool destructors) -> Result<void> {
    std::vector<InitEntry> list;
    for (const InitEntry& e : m.module.inits)
      if (e.destructor == destructors) list.push_back(e);
    std::stable_sort(list.begin(), list.end(),
                     [](const InitEntry& a, const InitEntry& b) { return a.priority < b.priority; });
    if (destructors) std::reverse(list.begin(), list.end());
    for (const InitEntry& e : list) {
      std::vector<Scalar> result;
      if (!m.call_address(m.symbol_address[e.function.value], {}, {}, 0, T::void_type, result))
        return lode::error(m.error);
    }
    return {};
  };
  const unsigned pointer = m.module.types.layout().pointer_bytes;
  LODE_ASSIGN(uint64_t argv, m.allocate((args.size() + 1) * pointer, 16));
  for (size_t k = 0; k < args.size(); k++) {
    LODE_ASSIGN(uint64_t text, m.allocate(args[k].size() + 1, 16));
    LODE_TRY(write(text, args[k].c_str(), args[k].size() + 1));
    LODE_TRY(write(argv + k * pointer, &text, pointer));
  }
  const Symbol* main = nullptr;
  // clang's names for wasm stand beside C's.
  for (std::string_view name : {"main", "__main_argc_argv", "__main_void", "__original_main"})
    for (const Symbol& s : m.module.symbols)
      if (!main && s.kind == SymbolKind::function && s.defined && m.module.str(s.name) == name) main = &s;
  if (!main) return lode::error("no function main");
  if (auto r = run_inits(false); !r.ok())
    return m.exit_status ? Result<int>(*m.exit_status) : Result<int>(r.take_error());
  std::vector<Scalar> actual{Scalar(args.size()), Scalar(argv), 0}, result;
  actual.resize(std::min<size_t>(3, m.module.types[main->type].field_count));
  int status = 0;
  if (m.call_function(main->function, actual, result, {}, {})) status = result.empty() ? 0 : int(uint32_t(result[0]));
  else if (m.exit_status) status = *m.exit_status;
  else return lode::error(m.error);
  m.exit_status.reset();
  while (!m.at_exit.empty()) {
    uint64_t f = m.at_exit.back();
    m.at_exit.pop_back();
    if (!m.call_address(f, {}, {}, 0, T::void_type, result)) return lode::error(m.error);
  }
  if (auto r = run_inits(true); !r.ok() && !m.exit_status) return r.take_error();
  return status & 255;
}

// ---- preparation ----------------------------------------------------------------------------------------------------

uint32_t Interpreter::Impl::scalars(TypeId id) {
  const Type& t = module.types[id];
  switch (t.kind) {
    case TypeKind::Void: case TypeKind::Function: return 0;
    case TypeKind::Vector: case TypeKind::Array: case TypeKind::Struct: break;
    default: return 1;
  }
  auto it = scalar_counts.find(id.value);
  if (it != scalar_counts.end()) return it->second;
  uint64_t n = 0;
  if (t.kind == TypeKind::Struct)
    for (uint32_t f = 0; f < t.field_count; f++) n += scalars(module.types.member(t, f));
  else
    n = std::min<uint64_t>(t.count, 1 << 24) * scalars(t.element);
  n = std::min<uint64_t>(n, 1 << 24);
  scalar_counts[id.value] = uint32_t(n);
  return uint32_t(n);
}

TypeId Interpreter::Impl::scalar_type(TypeId id, uint32_t index) {
  for (;;) {
    const Type& t = module.types[id];
    if (t.kind == TypeKind::Struct) {
      for (uint32_t f = 0; f < t.field_count; f++) {
        TypeId m = module.types.member(t, f);
        uint32_t n = scalars(m);
        if (index < n) {
          id = m;
          break;
        }
        index -= n;
      }
    } else if (t.kind == TypeKind::Array || t.kind == TypeKind::Vector) {
      index %= std::max(1u, scalars(t.element));
      id = t.element;
    } else {
      return id;
    }
  }
}

bool Interpreter::Impl::constant(Code& code, const Function& fn, ValueId v, Scalar* to, unsigned depth) {
  const Constant& c = *fn.constant(v);
  const Type& t = module.types[c.type];
  uint32_t n = scalars(c.type);
  if (depth > TypeTable::max_nesting) return fail("a constant nested too deeply");
  switch (c.kind) {
    case ConstantKind::Int: case ConstantKind::Float: *to = c.bits; return true;
    case ConstantKind::WideInt: case ConstantKind::WideFloat: {
      uint32_t words = c.kind == ConstantKind::WideInt ? (t.bits + 31) / 32 : t.kind == TypeKind::F80 ? 3 : 4;
      Scalar x = 0;
      for (uint32_t k = 0; k < std::min(words, 4u); k++) x |= Scalar(fn.extra[c.bits + k]) << (32 * k);
      if (is_simd(c.type))
        for (uint32_t k = 0; k < n; k++) to[k] = fn.extra[c.bits + k / 4] >> (8 * (k % 4)) & 0xff;
      else *to = x;
      return true;
    }
    case ConstantKind::Zero: case ConstantKind::Undef:
      for (uint32_t k = 0; k < n; k++) to[k] = 0;
      return true;
    case ConstantKind::Symbol: *to = symbol_address[c.symbol] + c.bits; return true;
    case ConstantKind::BlockAddress:
      *to = block_base + c.symbol;
      return true;
    case ConstantKind::Runtime: *to = runtime_base + c.symbol * 16; return true;
    case ConstantKind::Aggregate: {
      uint64_t members = t.kind == TypeKind::Struct ? t.field_count : t.count;
      for (uint64_t k = 0; k < members; k++) {
        ValueId m(fn.extra[c.bits + k]);
        if (!constant(code, fn, m, to, depth + 1)) return false;
        to += scalars(fn.values[m.value].type);
      }
      return true;
    }
  }
  return true;
}

Result<const Interpreter::Impl::Code*> Interpreter::Impl::code(FunctionIndex f) {
  std::unique_ptr<Code>& slot = codes[f.value];
  if (slot) return static_cast<const Code*>(slot.get());
  auto made = std::make_unique<Code>();
  if (module.bodies) {
    LODE_TRY(module.bodies->read(f, made->own));
    made->fn = &made->own;
  } else {
    made->fn = &module.in_memory[f.value];
  }
  if (options.legalize && !(made->fn->flags & function_flags::legal)) {
    if (made->fn != &made->own) made->own = *made->fn;
    LODE_TRY(air::legalize(made->own, module, options.target));
    made->fn = &made->own;
  }
  const Function& fn = *made->fn;
  const bool legal = fn.flags & function_flags::legal;
  made->first.resize(fn.values.size());
  made->count.resize(fn.values.size());
  uint64_t at = 0;
  for (uint32_t v = 0; v < fn.values.size(); v++) {
    TypeId t = fn.values[v].type;
    uint32_t n = scalars(t);
    // In legal functions a result of several leaves is the list of these.
    if (legal && fn.values[v].kind() == ValueKind::Inst) {
      Op op = fn.insts[fn.values[v].index()].op;
      if (op == Op::call || op == Op::invoke) {
        std::vector<TypeId> leaves;
        LODE_TRY(result_leaves(module.types, t, options.target, leaves));
        if (leaves.size() > 1) {
          n = 0;
          for (TypeId l : leaves) n += scalars(l);
        }
      }
    }
    made->first[v] = uint32_t(at);
    made->count[v] = n;
    at += n;
    if (at > 1 << 26) return lode::error("the function's values are too large");
  }
  made->frame.assign(size_t(at), 0);
  for (uint32_t v = 0; v < fn.values.size(); v++)
    if (fn.values[v].kind() == ValueKind::Const)
      if (!constant(*made, fn, ValueId(v), made->frame.data() + made->first[v], 0)) return lode::error(error);
  slot = std::move(made);
  return static_cast<const Code*>(slot.get());
}

// ---- calls ----------------------------------------------------------------------------------------------------------

bool Interpreter::Impl::call_function(FunctionIndex f, const std::vector<Scalar>& args, std::vector<Scalar>& result,
                                      std::vector<Scalar> varargs, std::vector<TypeId> vararg_types) {
  auto prepared = code(f);
  if (!prepared.ok()) return fail(prepared.error().text());
  if (++depth > options.max_depth) return fail("calls nested too deeply");
  Frame frame;
  frame.code = *prepared;
  frame.values = frame.code->frame;
  frame.varargs = std::move(varargs);
  frame.vararg_types = std::move(vararg_types);
  const Function& fn = *frame.code->fn;
  const Block& entry = fn.blocks[0];
  uint32_t at = 0, want = 0;
  for (uint32_t p = 0; p < entry.param_count; p++) want += frame.code->count[entry.first_param + p];
  // A caller without a prototype may give more than are taken.
  if (want > args.size())
    return fail("function " + std::string(module.name_of(fn.symbol)) + " takes " + std::to_string(want) +
                " values and is given " + std::to_string(args.size()));
  for (uint32_t p = 0; p < entry.param_count; p++) {
    uint32_t v = entry.first_param + p;
    for (uint32_t k = 0; k < frame.code->count[v]; k++) frame.values[frame.code->first[v] + k] = args[at++];
  }
  for (const StackSlot& s : fn.slots) {
    auto a = allocate(s.size, uint64_t{1} << std::min(s.align_log2, 20u));
    if (!a.ok()) return fail(a.error().text());
    frame.allocations.push_back(*a);
  }
  bool ok = run(frame, result);
  for (uint64_t a : frame.allocations) release(a);
  depth--;
  return ok;
}

bool Interpreter::Impl::call_address(uint64_t address, const std::vector<Scalar>& args,
                                     const std::vector<TypeId>& types, uint32_t fixed, TypeId result_type,
                                     std::vector<Scalar>& result) {
  result.clear();
  if (auto r = runtime_at.find(address); r != runtime_at.end())
    return runtime(RuntimeFunction(r->second), args, result);
  auto it = function_at.find(address);
  if (it == function_at.end()) return fail("call of something that is no function");
  const Symbol& s = module.symbols[it->second];
  if (s.defined && s.function.valid()) {
    // What is beyond the parameters is variadic.
    if (fixed > args.size()) fixed = uint32_t(args.size());
    std::vector<Scalar> more(args.begin() + fixed, args.end()), own(args.begin(), args.begin() + fixed);
    std::vector<TypeId> more_types(types.begin() + std::min<size_t>(fixed, types.size()), types.end());
    return call_function(s.function, own, result, std::move(more), std::move(more_types));
  }
  Scalar value = 0;
  bool known = false;
  std::string_view name = module.name_of(SymbolIndex(it->second));
  bool ok = library(name, {args, types}, value, known);
  if (!known) return fail("call of " + std::string(name) + ", which the interpreter does not have");
  if (!ok) return false;
  if (scalars(result_type) == 1)
    result.push_back(module.types[result_type].kind == TypeKind::Int ? value & mask_of(module.types[result_type].bits)
                                                                     : value);
  return true;
}

bool Interpreter::Impl::call_site(Frame& frame, const Inst& i) {
  const Code& code = *frame.code;
  const Function& fn = *code.fn;
  const CallSite& site = fn.calls[i.a];
  if (site.inline_asm != ~0u) {
    const InlineAsm& a = fn.inline_asms[site.inline_asm];
    if (a.text_len == 0 && !i.result.valid()) return true;  // a compiler barrier
    if (a.text_len == 0 && site.arg_count == 1 && scalars(i.type) == 1 && code.count[fn.extra[site.args]] == 1) {
      // "=r,0": the operand as it is, unknown to the optimiser.
      frame.values[code.first[i.result.value]] = frame.values[code.first[fn.extra[site.args]]];
      return true;
    }
    return fail("inline assembly is not interpreted");
  }
  std::vector<Scalar> args;
  std::vector<TypeId> types;
  uint32_t fixed = 0;
  uint32_t fixed_args = fixed_arg_count(module.types, site);
  for (uint32_t k = 0; k < site.arg_count; k++) {
    uint32_t v = fn.extra[site.args + k];
    for (uint32_t s = 0; s < code.count[v]; s++) {
      args.push_back(frame.values[code.first[v] + s]);
      types.push_back(scalar_type(fn.values[v].type, s));
    }
    if (k < fixed_args) fixed = uint32_t(args.size());
    // byval: the callee owns a copy.
    if (site.attrs != ~0u && (fn.param_attrs[site.attrs + k].bits & attr::byval) &&
        fn.param_attrs[site.attrs + k].size) {
      uint64_t size = fn.param_attrs[site.attrs + k].size;
      auto copy = allocate(size, 16);
      if (!copy.ok()) return fail(copy.error().text());
      const uint8_t* from = at(uint64_t(args.back()), size, false);
      if (!from) return fail("byval argument outside of every allocation");
      std::memcpy(at(*copy, size, true), from, size_t(size));
      frame.allocations.push_back(*copy);
      args.back() = *copy;
    }
  }
  std::vector<Scalar> result;
  uint64_t address = uint64_t(frame.values[code.first[site.callee.value]]);
  if (!call_address(address, args, types, fixed, i.type, result)) return false;
  if (!i.result.valid()) return true;
  uint32_t v = i.result.value;
  if (result.size() != code.count[v])
    return fail("the callee returned " + std::to_string(result.size()) + " values, expected " +
                std::to_string(code.count[v]));
  for (uint32_t s = 0; s < result.size(); s++) frame.values[code.first[v] + s] = result[s];
  return true;
}

}  // namespace lode::air
