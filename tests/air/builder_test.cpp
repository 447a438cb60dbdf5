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
  Module module = m.take();
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
  Module module = m.take();
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
  Module module = m.take();
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
