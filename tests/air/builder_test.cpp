// The builder: what it makes verifies, prints, runs; the sugar does what it says, also after legalisation.
#include <catch2/catch.hpp>

#include "codegen/air/builder.h"
#include "codegen/air/interpreter.h"
#include "codegen/air/text.h"
#include "codegen/air/verifier.h"

using namespace lode;
using namespace lode::air;

static void verify(const Module& m) {
  std::vector<Problem> problems;
  verify_module(m, problems);
  for (const Problem& p : problems) UNSCOPED_INFO(problem_text(m, p));
  auto text = print_module(m);
  REQUIRE(text.ok());
  UNSCOPED_INFO(*text);
  REQUIRE(problems.empty());
  ParsedModule parsed;
  bool ok = parse_text(*text, "t.air", parsed);
  for (const Diagnostic& d : parsed.errors) UNSCOPED_INFO(format_diagnostic("t.air", *text, d));
  REQUIRE(ok);
  CHECK(*print_module(parsed.module) == *text);
}

static std::string call(const Module& m, const std::string& name, std::vector<Scalar> args, bool legal) {
  InterpreterOptions o;
  o.legalize = legal;
  Interpreter machine(m, o);
  auto r = machine.call(name, args);
  if (!r.ok()) return r.error().text().substr(0, r.error().text().find(" in function"));
  std::string s;
  for (Scalar v : *r) s += (s.empty() ? "" : " ") + std::to_string(int64_t(uint64_t(v)));
  return s;
}

TEST_CASE("AIR builder: lifetimes of slots") {
  ModuleBuilder m("example");
  FunctionBuilder f(m, m.declare_function("f", m.function_type(m.i32(), {m.i32()})));
  ValueId a = f.slot_of(m.i32()), b = f.slot_of(m.i32());
  f.lifetime(Op::lifetime_start, b);
  f.store(f.param(0), b);
  ValueId v = f.load(m.i32(), b);
  f.lifetime(Op::lifetime_end, b);
  f.lifetime(Op::lifetime_start, a);
  f.store(v, a);
  v = f.load(m.i32(), a);
  f.lifetime(Op::lifetime_end, a);
  f.ret(v);
  f.finish();
  Module module = std::move(m.take()).value();
  verify(module);
  const std::string text = *print_module(module);
  CHECK(text.find("lifetime_start s1") < text.find("lifetime_start s0"));
  CHECK(module.in_memory[0].lifetime_markers);
  CHECK(call(module, "f", {7}, false) == "7");
  CHECK(call(module, "f", {7}, true) == "7");
}

TEST_CASE("AIR builder: hello, data, a loop over a slice") {
  ModuleBuilder m("example");
  SymbolIndex puts = m.declare_function("puts", m.function_type(m.i32(), {m.ptr()}));
  SymbolIndex text = m.define_bytes("text", "Hello", Linkage::internal, true);
  SymbolIndex table =
      m.define_data("table", m.structure({m.ptr(), m.i64()}), std::string(16, '\0'), Linkage::external, false, 3);
  m.add_address(table, 0, text, 1);
  {
    FunctionBuilder f(m, m.declare_function("main", m.function_type(m.i32(), {})));
    f.location(m.file("main.x"), 3, 1);
    f.call(puts, {f.address(text)});
    f.call(puts, {f.load(m.ptr(), f.address(table))});
    f.ret(f.integer(m.i32(), 0));
    f.finish();
  }
  {
    FunctionBuilder f(m, m.declare_function("sum", m.function_type(m.i64(), {m.ptr(), m.i64()})));
    ValueId slice = f.make_slice(f.param(0), f.param(1));
    BlockId head = f.add_block({m.i64(), m.i64()}), body = f.add_block(), done = f.add_block();
    f.br(head, {f.integer(m.i64(), 0), f.integer(m.i64(), 0)});
    f.switch_to(head);
    ValueId i = f.block_param(head, 0), sum = f.block_param(head, 1);
    f.cond_br(f.icmp(IntPredicate::ult, i, f.slice_length(slice)), body, done);
    f.switch_to(body);
    ValueId x = f.load(m.i64(), f.slice_element(m.i64(), slice, i));
    f.br(head,
         {f.binary(Op::add, i, f.integer(m.i64(), 1)), f.checked(FunctionBuilder::Arithmetic::add, true, sum, x)});
    f.switch_to(done);
    f.ret(sum);
    f.finish();
  }
  Module module = std::move(m.take()).value();
  verify(module);
  for (bool legal : {false, true}) {
    InterpreterOptions o;
    o.legalize = legal;
    Interpreter machine(module, o);
    auto r = machine.run_main();
    REQUIRE(r.ok());
    CHECK(machine.output() == "Hello\nello\n");
    uint64_t numbers[4] = {1, 2, 3, 40};
    auto p = machine.allocate(32);
    REQUIRE(machine.write(*p, numbers, 32).ok());
    auto sum = machine.call("sum", {*p, 4});
    REQUIRE(sum.ok());
    CHECK(uint64_t((*sum)[0]) == 46);
    numbers[0] = INT64_MAX;
    REQUIRE(machine.write(*p, numbers, 32).ok());
    sum = machine.call("sum", {*p, 4});
    REQUIRE(!sum.ok());
    CHECK(sum.error().text().find("trap") == 0);
  }
}

TEST_CASE("AIR builder: optionals, error unions, checked and saturating arithmetic") {
  ModuleBuilder m("sugar");
  using A = FunctionBuilder::Arithmetic;
  auto define = [&](const char* name, TypeId result, std::vector<TypeId> params, auto&& body) {
    FunctionBuilder f(m, m.declare_function(name, m.function_type(result, params)));
    body(f);
    f.finish();
  };
  TypeId maybe = m.optional(m.i32()), fallible = m.error_union(m.i32());
  define("half", maybe, {m.i32()}, [&](FunctionBuilder& f) {
    ValueId odd = f.convert(Op::trunc, f.param(0), m.i1());
    ValueId half = f.binary(Op::ashr, f.param(0), f.integer(m.i32(), 1));
    f.ret(f.select(odd, f.none(maybe), f.some(maybe, half)));
  });
  SymbolIndex half = m.declare_function("half", {});
  define("half_or", m.i32(), {m.i32(), m.i32()},
         [&](FunctionBuilder& f) { f.ret(f.value_or(f.call(half, {f.param(0)}), f.param(1))); });
  define("half_must", m.i32(), {m.i32()}, [&](FunctionBuilder& f) { f.ret(f.unwrap(f.call(half, {f.param(0)}))); });
  define("positive", fallible, {m.i32()}, [&](FunctionBuilder& f) {
    BlockId bad = f.add_block(), good = f.add_block();
    f.cond_br(f.icmp(IntPredicate::slt, f.param(0), f.integer(m.i32(), 0)), bad, good);
    f.switch_to(bad);
    f.ret(f.failure(fallible, f.integer(m.i16(), 7)));
    f.switch_to(good);
    f.ret(f.success(fallible, f.param(0)));
  });
  SymbolIndex positive = m.declare_function("positive", {});
  define("twice", fallible, {m.i32()}, [&](FunctionBuilder& f) {
    ValueId v = f.try_(f.call(positive, {f.param(0)}));
    f.ret(f.success(fallible, f.checked(A::add, true, v, v)));
  });
  for (TypeId t : {m.i8(), m.int_type(24), m.i64(), m.int_type(128)}) {
    std::string suffix = "_" + type_name(m.module().types, t);
    for (bool is_signed : {false, true}) {
      const std::string kind = is_signed ? "s" : "u";
      define(("sat_mul_" + kind + suffix).c_str(), t, {t, t},
             [&](FunctionBuilder& f) { f.ret(f.saturating(A::mul, is_signed, f.param(0), f.param(1))); });
      define(("mul_" + kind + suffix).c_str(), t, {t, t},
             [&](FunctionBuilder& f) { f.ret(f.checked(A::mul, is_signed, f.param(0), f.param(1))); });
      define(("div_" + kind + suffix).c_str(), t, {t, t},
             [&](FunctionBuilder& f) { f.ret(f.checked_divide(is_signed, false, f.param(0), f.param(1))); });
    }
  }
  Module module = std::move(m.take()).value();
  verify(module);
  for (bool legal : {false}) {
    CHECK(call(module, "half_or", {8, 3}, legal) == "4");
    CHECK(call(module, "half_or", {9, 3}, legal) == "3");
    CHECK(call(module, "half_must", {8}, legal) == "4");
    CHECK(call(module, "half_must", {9}, legal) == "trap");
    CHECK(call(module, "twice", {21}, legal) == "42 0");
    CHECK(call(module, "twice", {uint32_t(-1)}, legal) == "0 7");
    CHECK(call(module, "twice", {0x7fffffff}, legal) == "trap");
    CHECK(call(module, "sat_mul_s_i8", {100, 2}, legal) == "127");
    CHECK(call(module, "sat_mul_s_i8", {100, 0xfe}, legal) == "128");
    CHECK(call(module, "sat_mul_u_i8", {100, 3}, legal) == "255");
    CHECK(call(module, "mul_u_i24", {4096, 4095}, legal) == "16773120");
    CHECK(call(module, "mul_u_i24", {4096, 4096}, legal) == "trap");
    CHECK(call(module, "div_s_i8", {0x80, 0xff}, legal) == "trap");
    CHECK(call(module, "div_s_i64", {100, 0}, legal) == "trap");
    CHECK(call(module, "div_s_i64", {100, 7}, legal) == "14");
    CHECK(call(module, "sat_mul_s_i128", {Scalar{1} << 100, Scalar{1} << 20}, legal) == "0");
    CHECK(call(module, "sat_mul_s_i128", {Scalar{1} << 100, Scalar{1} << 27}, legal) == "-1");
  }
  CHECK(call(module, "half_or", {8, 3}, true) == "4");
  CHECK(call(module, "half_must", {9}, true) == "trap");
  CHECK(call(module, "twice", {21}, true) == "42 0");
  CHECK(call(module, "mul_u_i8", {100, 3}, true) == "trap");
  CHECK(call(module, "sat_mul_s_i8", {100, 0xfe}, true) == "128");
}

// ---- every instruction ----------------------------------------------------------------------------------------------

namespace {
// Functions that build all instructions of opcodes.def between them, each under the word that the text has for it.
class EveryInstruction {
 public:
  Module build() {
    m.target("x86_64-unknown-linux-gnu");
    m.processor("x86-64", "+sse2");
    m.library("m");
    m.file("every.x");
    type_info = m.declare_data("type_info", m.ptr());
    callee = m.declare_function("callee", m.function_type(m.i32(), {m.i32(), m.ptr()}));
    variadic = m.declare_function("variadic", m.function_type(m.void_type(), {m.ptr()}, true));
    personality = m.declare_function("personality", m.function_type(m.i32(), {}, true));
    integers(m.i32(), "integers");
    integers(m.vector(m.i16(), 4), "integer_lanes");
    integers(m.int_type(200), "wide_integers");
    floats(m.f32(), "floats");
    floats(m.vector(m.f64(), 2), "float_lanes");
    conversions();
    memory();
    aggregates();
    calls();
    frame();
    exceptions();
    flow();
    data();
    return std::move(m.take()).value();
  }

 private:
  FunctionBuilder begin(const char* name, TypeId result, const std::vector<TypeId>& params, bool vararg = false) {
    return FunctionBuilder(m, m.declare_function(name, m.function_type(result, params, vararg)));
  }

  void integers(TypeId t, const char* name) {
    FunctionBuilder f = begin(name, m.void_type(), {t, t, t});
    for (unsigned op = 0; op <= unsigned(Op::smul_overflow); op++) {
      if (Op(op) == Op::bswap && t == m.int_type(200)) continue;
      switch (info(Op(op)).shape) {
        case Shape::Unary: f.unary(Op(op), f.param(0)); break;
        case Shape::Binary:
          f.binary(Op(op), f.param(0), f.param(1), Op(op) == Op::add ? flags::no_signed_wrap : 0);
          break;
        default: f.ternary(Op(op), f.param(0), f.param(1), f.param(2)); break;
      }
    }
    for (unsigned p = 0; p < 10; p++) f.icmp(IntPredicate(p), f.param(0), f.param(1));
    f.select(f.boolean(true), f.param(0), f.param(1));
    f.unary(Op::freeze, f.undef(t));
    f.binary(Op::xor_, f.param(0), f.zero(t));
    f.ret();
    f.finish();
  }

  void floats(TypeId t, const char* name) {
    FunctionBuilder f = begin(name, m.void_type(), {t, t, t});
    for (unsigned op = unsigned(Op::fadd); op <= unsigned(Op::froundeven); op++) switch (info(Op(op)).shape) {
        case Shape::Unary: f.unary(Op(op), f.param(0)); break;
        case Shape::Binary: f.binary(Op(op), f.param(0), f.param(1), flags::fast_math); break;
        default: f.ternary(Op(op), f.param(0), f.param(1), f.param(2)); break;
      }
    for (unsigned p = 0; p < 16; p++) f.fcmp(FloatPredicate(p), f.param(0), f.param(1));
    f.ret();
    f.finish();
  }

  void conversions() {
    FunctionBuilder f = begin("conversions", m.void_type(), {m.i32(), m.f32(), m.ptr()});
    ValueId i = f.param(0), x = f.param(1), p = f.param(2);
    f.convert(Op::trunc, i, m.i8());
    f.convert(Op::zext, i, m.i64());
    f.convert(Op::sext, i, m.int_type(300));
    for (Op op : {Op::fptoui, Op::fptosi, Op::fptoui_sat, Op::fptosi_sat}) f.convert(op, x, m.i32());
    for (Op op : {Op::uitofp, Op::sitofp}) f.convert(op, i, m.f64());
    f.convert(Op::fptrunc, f.convert(Op::fpext, x, m.f64()), TypeTable::f16);
    f.convert(Op::inttoptr, f.convert(Op::ptrtoint, p, m.i64()), m.ptr());
    f.convert(Op::bitcast, x, m.i32());
    for (TypeId t : {TypeTable::f16, TypeTable::bf16, TypeTable::f32, TypeTable::f64, TypeTable::f80, TypeTable::f128})
      f.binary(Op::fadd, f.bits(t, 0x1234, 0x5678), f.zero(t));
    f.ret();
    f.finish();
  }

  void memory() {
    FunctionBuilder f = begin("memory", m.void_type(), {m.ptr(), m.i64(), m.i32()});
    ValueId p = f.param(0), n = f.param(1), v = f.param(2);
    ValueId s = f.slot(32, 4);
    f.slot_array(s, SlotArray::chars);
    f.lifetime(Op::lifetime_start, s);
    f.lifetime(Op::lifetime_end, s);
    ValueId saved = f.stack_save();
    f.store(f.load(m.i32(), p), f.alloca_(n, 4), true);
    f.stack_restore(saved);
    for (AtomicOrdering o : {AtomicOrdering::unordered, AtomicOrdering::relaxed, AtomicOrdering::acquire,
                             AtomicOrdering::release, AtomicOrdering::acq_rel, AtomicOrdering::seq_cst}) {
      f.load(m.i32(), p, o);
      f.store(v, p, o, true);
      f.fence(o);
      f.cmpxchg(p, v, f.integer(m.i32(), 1), o);
    }
    for (unsigned op = 0; op <= unsigned(RmwOp::udec_wrap); op++) {
      const bool floating = RmwOp(op) >= RmwOp::fadd && RmwOp(op) <= RmwOp::fmin;
      f.atomic_rmw(RmwOp(op), p, floating ? f.floating(m.f64(), 1.5) : v, AtomicOrdering::acq_rel);
    }
    f.index(p, n, 12, 8);
    f.memcpy(p, s, n);
    f.memmove(p, s, n, 3);
    f.memset(p, f.integer(m.i8(), 1), n);
    for (auto keep : {FunctionBuilder::Keep::all, FunctionBuilder::Keep::level2, FunctionBuilder::Keep::level3,
                      FunctionBuilder::Keep::once})
      f.prefetch(p, keep);
    f.ret();
    f.finish();
  }

  void aggregates() {
    const TypeId pair = m.structure({m.i32(), m.array(m.i8(), 2)}), four = m.vector(m.i32(), 4),
                 lanes = m.vector(m.f32(), 4);
    FunctionBuilder f = begin("aggregates", m.void_type(), {pair, four, lanes, m.i32()});
    f.insert(f.param(0), f.extract(f.param(0), {1, 0}), {1, 1});
    f.insert_element(f.param(1), f.extract_element(f.param(1), f.param(3)), f.param(3));
    f.shuffle(f.param(1), f.undef(four), {0, 5, FunctionBuilder::undefined_lane, 2});
    for (unsigned op = unsigned(Op::reduce_add); op <= unsigned(Op::reduce_umax); op++) f.reduce(Op(op), f.param(1));
    for (Op op : {Op::reduce_fadd, Op::reduce_fmul}) f.reduce(op, f.floating(m.f32(), 0.5), f.param(2));
    for (Op op : {Op::reduce_fmin, Op::reduce_fmax}) f.reduce(op, f.param(2));
    f.ret();
    f.finish();
  }

  void calls() {
    FunctionBuilder f = begin("calls", m.i32(), {m.ptr(), m.i8()}, true);
    f.attributes(1, {attr::zext});
    f.result_attributes(attr::sext);
    f.cc(CallConv::fast);
    f.call(variadic, {f.address(type_info, 4), f.integer(m.i64(), 7)});
    CallOptions options;
    options.cc = CallConv::cold;
    options.flags = callflags::nounwind | callflags::notail;
    options.result_attributes = attr::zext;
    options.attributes = {{}, {attr::byval, 3, 24}};
    const TypeId t = m.symbol(callee).type;
    f.call(f.address(callee), t, {f.integer(m.i32(), 1), f.param(0)}, options);
    f.asm_({"bswap $0", "=r,0,~{flags}", true}, m.i32(), {f.integer(m.i32(), 1)});
    ValueId list = f.slot(24, 3), copy = f.slot(24, 3);
    f.va_start_(list);
    f.va_arg_(list, m.i32());
    f.va_copy_(copy, list);
    f.va_end_(list);
    f.va_end_(copy);
    options = {};
    options.flags = callflags::tail;
    f.ret(f.call(f.address(callee), t, {f.integer(m.i32(), 1), f.param(0)}, options));
    f.finish();
  }

  void frame() {
    FunctionBuilder f = begin("frame", m.void_type(), {m.ptr()});
    f.function().flags |= function_flags::returns_twice_call | function_flags::frame_pointer;
    f.fixed(Op::return_address, 0, m.ptr());
    f.fixed(Op::frame_address, 0, m.ptr());
    f.plain(Op::thread_pointer, m.ptr());
    f.plain(Op::read_cycle_counter, m.i64());
    f.plain(Op::debug_trap, m.void_type());
    f.eh_sjlj_setjmp(f.param(0));
    f.eh_sjlj_longjmp(f.param(0));
    f.location(1, 3, 4);
    f.trap();
    f.finish();
  }

  void exceptions() {
    FunctionBuilder f = begin("exceptions", m.i32(), {m.ptr()});
    f.personality(personality);
    BlockId next = f.add_block({m.i32()}), again = f.add_block(), pad = f.add_block({m.i32()}), other = f.add_block();
    ValueId r = f.invoke(f.address(callee), m.symbol(callee).type, {f.integer(m.i32(), 1), f.param(0)}, next,
                         {FunctionBuilder::result}, pad, {f.integer(m.i32(), 3)}, {});
    f.switch_to(next);
    f.invoke(callee, {r, f.param(0)}, again, other);
    f.switch_to(again);
    f.ret(f.block_param(next, 0));
    f.switch_to(pad);
    ValueId caught = f.landing_pad({{false, {f.address(type_info)}}, {true, {f.address(type_info)}}}, true);
    f.icmp(IntPredicate::eq, f.extract(caught, {1}), f.eh_typeid(f.address(type_info)));
    f.resume(caught);
    f.switch_to(other);
    f.landing_pad({{false, {f.zero(m.ptr())}}});
    f.unreachable();
    f.finish();
  }

  void flow() {
    FunctionBuilder f = begin("flow", m.i32(), {m.i32(), m.i1()});
    BlockId one = f.add_block({m.i32()}), two = f.add_block(), three = f.add_block(), end = f.add_block({m.i32()});
    f.switch_on(f.param(0), {{1, one, {f.param(0)}}, {2, two}}, three);
    f.switch_to(one);
    f.cond_br(f.param(1), end, {f.block_param(one, 0)}, two, {});
    f.switch_to(two);
    f.indirect_br(f.block_address(three), {three});
    f.switch_to(three);
    f.br(end, {f.integer(m.i32(), 9)});
    f.switch_to(end);
    f.ret(f.block_param(end, 0));
    f.finish();
  }

  void data() {
    const SymbolIndex table = m.define_data("table", m.structure({m.ptr(), m.ptr(), m.i32()}), std::string(24, '\0'),
                                            Linkage::weak_odr, true, 3);
    m.add_address(table, 0, callee, 2);
    m.add_block_address(table, 8, m.declare_function("flow", {}), BlockId(3));
    m.add_relative(table, 16, callee);
    m.section(table, ".tables");
    m.symbol(table).visibility = Visibility::hidden;
    m.define_alias("also_table", table, 8, Linkage::external);
    m.define_ifunc("chosen", m.declare_function("frame", {}), Linkage::external);
    m.export_name(table, "t");
    m.import(callee, "env", "other");
    m.add_init(m.declare_function("frame", {}), 7, true, table);
  }

  ModuleBuilder m{"every"};
  SymbolIndex type_info, callee, variadic, personality;
};
}  // namespace

TEST_CASE("AIR builder: every instruction can be built") {
  const Module module = EveryInstruction().build();
  verify(module);
  std::vector<bool> built(op_count);
  for (const Function& fn : module.in_memory)
    for (const Inst& i : fn.insts) built[unsigned(i.op)] = true;
  for (unsigned op = 0; op < op_count; op++) {
    INFO(op_table[op].name);
    CHECK((built[op] || Op(op) == Op::simd1 || Op(op) == Op::simd2 || Op(op) == Op::simd3));  // these are of legal code
  }
}

TEST_CASE("AIR builder: a function that is not finished is an error") {
  ModuleBuilder m("example");
  const TypeId type = m.function_type(m.void_type(), {});
  FunctionBuilder sound(m, m.declare_function("sound", type)), open(m, m.declare_function("open", type));
  sound.ret();
  sound.finish();
  open.ret();
  std::vector<Problem> problems;
  verify_module(m.module(), problems);
  REQUIRE(problems.size() == 1);
  CHECK(problem_text(m.module(), problems[0]) == "open: the function was begun, but has no body: finish()");
  CHECK(m.take().error().text() == "the function open was begun, but not finished: finish()");
  open.finish();
  open.finish();
  FunctionBuilder second(m, m.declare_function("sound", type));
  second.ret();
  second.finish();
  CHECK(m.take().error().text() == "the function sound has two bodies");
}
