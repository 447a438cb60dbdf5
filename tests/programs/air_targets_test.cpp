// Random AIR programs from the builder, with the sugar of front ends in them, mean the same everywhere: to the
// interpreter, as x86_64 programs (static and PIE) and as wasm modules in node, with 32-bit and (where node knows them)
// 64-bit addresses.
//
// A program is a list of functions (i64, i64) -> i64 that call earlier ones. Their values are integers of odd and even
// widths to 128 bits, floating point, vectors, optionals, error unions and slices; they go through diamonds, switches,
// loops with block parameters and memory. Nothing in them is undefined: divisors are odd, counts are masked, indices in
// bounds; a failed check ends in a function that the program defines, which is never reached.
#include <catch2/catch.hpp>

#include <random>

#include "codegen/air/builder.h"
#include "codegen/air/interpreter.h"
#include "codegen/air/text.h"
#include "codegen/air/verifier.h"
#include "tests/support/elf_check.h"
#include "tests/support/node.h"
#include "tests/support/run.h"
#include "tests/support/toolchain.h"

using namespace lode;
using namespace lode::air;
using namespace lode::test;

namespace {

constexpr int function_count = 12;
const uint64_t inputs[][2] = {
    {0, 0}, {1, ~uint64_t{0}}, {0x0123456789abcdef, 42}, {uint64_t{1} << 63, 7}, {1000, 0xfffffffe80000001}};

class Generator {
 public:
  Generator(uint32_t seed, const DataLayout& layout) : random_(seed), m_("random", layout) {}

  Module run() {
    failure_ = m_.declare_function("never", m_.function_type(m_.void_type(), {}), Linkage::internal);
    {
      FunctionBuilder f(m_, failure_);
      f.trap();
      f.finish();
    }
    fallible_ = m_.error_union(m_.i64());
    checked_half_ = m_.declare_function("checked_half", m_.function_type(fallible_, {m_.i64()}), Linkage::internal);
    {
      FunctionBuilder f(m_, checked_half_);
      BlockId odd = f.add_block(), even = f.add_block();
      f.cond_br(f.convert(Op::trunc, f.param(0), m_.i1()), odd, even);
      f.switch_to(odd);
      f.ret(f.failure(fallible_, f.integer(m_.i16(), 9)));
      f.switch_to(even);
      f.ret(f.success(fallible_, f.binary(Op::lshr, f.param(0), f.integer(m_.i64(), 1))));
      f.finish();
    }
    quarter_ = m_.declare_function("checked_quarter", m_.function_type(fallible_, {m_.i64()}), Linkage::internal);
    {
      FunctionBuilder f(m_, quarter_);
      ValueId half = f.try_(f.call(checked_half_, {f.param(0)}));
      ValueId quarter = f.try_(f.call(checked_half_, {half}));
      f.ret(f.success(fallible_, quarter));
      f.finish();
    }
    for (int k = 0; k < function_count; k++) function(k);
    return std::move(m_.take()).value();
  }

 private:
  std::mt19937 random_;
  ModuleBuilder m_;
  SymbolIndex failure_, checked_half_, quarter_;
  TypeId fallible_;
  std::vector<SymbolIndex> made_;
  FunctionBuilder* f_ = nullptr;
  std::vector<ValueId> pool_;  // i64 values that dominate what comes
  ValueId array_, array_slice_;

  unsigned pick(unsigned n) { return unsigned(random_() % n); }
  ValueId any() {
    return pick(8) ? pool_[pick(unsigned(pool_.size()))]
                   : f_->integer(m_.i64(), pick(2) ? pick(100) : random_() * 0x9e3779b97f4a7c15u);
  }
  ValueId word(uint64_t n) { return f_->integer(m_.i64(), n); }

  ValueId narrow(TypeId t) {
    uint64_t bits = m_.module().types[t].bits;
    if (bits == 64) return any();
    if (bits < 64) return f_->convert(Op::trunc, any(), t);
    ValueId high = f_->convert(pick(2) ? Op::zext : Op::sext, any(), t);
    return f_->binary(Op::xor_, f_->binary(Op::shl, high, f_->integer(t, pick(uint32_t(bits)))),
                      f_->convert(Op::zext, any(), t));
  }
  ValueId widen(ValueId v) {
    TypeId t = f_->type_of(v);
    uint64_t bits = m_.module().types[t].bits;
    if (bits == 64) return v;
    if (bits < 64) return f_->convert(pick(2) ? Op::zext : Op::sext, v, m_.i64());
    ValueId high = f_->convert(Op::trunc, f_->binary(Op::lshr, v, f_->integer(t, bits - 64)), m_.i64());
    return f_->binary(Op::add, f_->convert(Op::trunc, v, m_.i64()), f_->binary(Op::mul, high, word(31)));
  }

  ValueId integers() {
    static const uint32_t widths[] = {1, 7, 8, 16, 24, 32, 33, 48, 64, 64, 65, 128};
    TypeId t = m_.int_type(widths[pick(12)]);
    uint64_t bits = m_.module().types[t].bits;
    ValueId a = narrow(t), b = narrow(t);
    // Division of more than 64 bits is a library's.
    ValueId count = bits > 64 ? f_->binary(Op::and_, b, f_->integer(t, 63))
                              : f_->binary(Op::urem, b, f_->integer(t, bits == 1 ? 1 : bits));
    ValueId odd = f_->binary(Op::or_, f_->binary(Op::lshr, b, f_->integer(t, bits > 1 ? 1 : 0)),
                             f_->integer(t, 1));  // not -1, not 0
    switch (pick(22)) {
      case 0: return f_->binary(Op::add, a, b);
      case 1: return f_->binary(Op::sub, a, b);
      case 2: return bits > 64 ? f_->binary(Op::and_, a, b) : f_->binary(Op::mul, a, b);
      case 3: return f_->binary(Op::or_, a, b);
      case 4: return f_->binary(Op::shl, a, count);
      case 5: return f_->binary(Op::lshr, a, count);
      case 6: return f_->binary(Op::ashr, a, count);
      case 7: return bits > 64 || bits == 1 ? a : f_->binary(pick(2) ? Op::udiv : Op::urem, a, odd);
      case 8: return bits > 64 || bits == 1 ? b : f_->binary(pick(2) ? Op::sdiv : Op::srem, a, odd);
      case 9: return f_->select(f_->icmp(IntPredicate(pick(10)), a, b), a, b);
      case 10: return f_->binary(Op(unsigned(Op::smin) + pick(4)), a, b);
      case 11: return f_->unary(pick(2) ? Op::ctlz : Op::cttz, a);
      case 12: return f_->unary(Op::ctpop, a);
      case 13: return bits % 16 == 0 ? f_->unary(Op::bswap, a) : f_->unary(Op::bitreverse, a);
      case 14:
        return bits == 65
                   ? b
                   : f_->ternary(pick(2) ? Op::fshl : Op::fshr, a, narrow(t), bits == 1 ? f_->integer(t, 0) : count);
      case 15: return f_->binary(Op(unsigned(Op::uadd_sat) + pick(4)), a, b);
      case 16: {
        ValueId pair = f_->binary(Op(unsigned(Op::uadd_overflow) + pick(4)), a, b);
        return f_->select(f_->extract(pair, {1}), f_->extract(pair, {0}), b);
      }
      case 17: return bits > 64 ? a : f_->saturating(FunctionBuilder::Arithmetic::mul, pick(2), a, b);
      case 18:
        return f_->saturating(pick(2) ? FunctionBuilder::Arithmetic::add : FunctionBuilder::Arithmetic::sub, pick(2), a,
                              b);
      case 19: {  // halves cannot overflow
        if (bits < 4) return a;
        ValueId two = f_->integer(t, 2);
        return f_->checked(FunctionBuilder::Arithmetic::add, false, f_->binary(Op::lshr, a, two),
                           f_->binary(Op::lshr, b, two));
      }
      case 20:
        return bits > 64 || bits == 1
                   ? b
                   : f_->checked_divide(true, pick(2), f_->binary(Op::lshr, a, f_->integer(t, 1)), odd);
      default: {
        TypeId optional = m_.optional(t);
        ValueId o = f_->select(f_->icmp(IntPredicate::ult, a, b), f_->some(optional, a), f_->none(optional));
        return f_->value_or(o, b);
      }
    }
  }

  ValueId floats() {
    bool wide = pick(2);
    TypeId t = wide ? m_.f64() : m_.f32();
    auto make = [&] {
      return f_->convert(pick(2) ? Op::sitofp : Op::uitofp,
                         f_->convert(Op::trunc, any(), m_.int_type(pick(2) ? 32 : 16)), t);
    };
    ValueId a = make(), b = make(), r = a;
    switch (pick(9)) {
      case 0: r = f_->binary(Op::fadd, a, b); break;
      case 1: r = f_->binary(Op::fsub, a, b); break;
      case 2: r = f_->binary(Op::fmul, a, b); break;
      case 3: r = f_->binary(Op::fdiv, a, b); break;
      case 4: r = f_->unary(Op::fsqrt, f_->unary(Op::fabs, a)); break;
      case 5: r = f_->unary(Op::fneg, a); break;
      case 6: r = f_->binary(Op::fcopysign, a, b); break;
      case 7:
        r = wide ? f_->convert(Op::fpext, f_->convert(Op::fptrunc, a, m_.f32()), t)
                 : f_->convert(Op::fptrunc, f_->convert(Op::fpext, a, m_.f64()), t);
        break;
      default:
        return f_->convert(Op::zext, f_->fcmp(FloatPredicate(pick(16)), f_->binary(Op::fdiv, a, b), b), m_.i64());
    }
    return f_->convert(pick(2) ? Op::fptosi_sat : Op::fptoui_sat, r, pick(2) ? m_.i64() : m_.i32());
  }

  ValueId vectors() {
    unsigned lanes = pick(2) ? 4 : 2;
    TypeId e = pick(2) ? m_.i32() : m_.i16(), t = m_.vector(e, lanes);
    auto make = [&] {
      ValueId v = f_->zero(t);
      for (unsigned k = 0; k < lanes; k++)
        v = f_->insert_element(v, f_->convert(Op::trunc, any(), e),
                               pick(2) ? word(k) : f_->binary(Op::urem, any(), word(lanes)));
      return v;
    };
    ValueId v = f_->binary(pick(2) ? Op::add : pick(2) ? Op::xor_ : Op::mul, make(), make());
    if (pick(2)) {
      std::vector<uint32_t> order;
      for (unsigned k = 0; k < lanes; k++) order.push_back(pick(2 * lanes));
      v = f_->shuffle(v, make(), order);
    }
    return f_->convert(
        Op::zext, f_->extract_element(v, pick(2) ? word(pick(lanes)) : f_->binary(Op::and_, any(), word(lanes - 1))),
        m_.i64());
  }

  ValueId memory() {
    ValueId index = f_->binary(Op::and_, any(), word(15));
    TypeId size = m_.size_type();
    if (f_->type_of(index) != size) index = f_->convert(Op::trunc, index, size);
    ValueId place = f_->slice_element(m_.i64(), array_slice_, index);
    switch (pick(4)) {
      case 0: f_->store(any(), place); return f_->load(m_.i64(), f_->offset(array_, int64_t(8 * pick(16))));
      case 1:
        f_->store(f_->convert(Op::trunc, any(), m_.i16()), f_->offset(place, 3 * 2));
        return f_->load(m_.i64(), place);
      case 2: {
        TypeId t = m_.int_type(pick(2) ? 24 : 48);
        f_->store(narrow(t), place);
        return f_->load(t, place);
      }
      default: return f_->load(m_.i32(), f_->offset(place, 4));
    }
  }

  ValueId work() {
    switch (pick(10)) {
      case 0: case 1: return widen(floats());
      case 2: return widen(memory());
      case 3: return vectors();
      case 4: {
        if (made_.empty()) return any();
        return f_->call(made_[pick(unsigned(made_.size()))], {any(), any()});
      }
      case 5: {
        ValueId r = f_->call(pick(2) ? quarter_ : checked_half_, {any()});
        return f_->select(f_->is_error(r), f_->convert(Op::zext, f_->error_code(r), m_.i64()), f_->error_value(r));
      }
      default: return widen(integers());
    }
  }
  void some_work(unsigned n) {
    for (unsigned k = 0; k < n; k++) pool_.push_back(work());
  }

  // A diamond or a switch; values of its arms do not outlive them, but for the parameter of the block behind.
  void branch() {
    size_t outside = pool_.size();
    unsigned arms = 2 + pick(4);
    BlockId next = f_->add_block({m_.i64(), m_.i64()});
    std::vector<BlockId> blocks;
    for (unsigned k = 0; k < arms; k++) blocks.push_back(f_->add_block());
    if (arms == 2) {
      f_->cond_br(f_->icmp(IntPredicate(pick(10)), any(), any()), blocks[0], blocks[1]);
    } else {
      std::vector<FunctionBuilder::Case> cases;
      bool dense = pick(2);
      for (unsigned k = 1; k < arms; k++) cases.push_back({dense ? k : k * 1000003, blocks[k]});
      f_->switch_on(f_->binary(Op::urem, any(), word(dense ? arms + 2 : 5000000)), cases, blocks[0]);
    }
    for (BlockId b : blocks) {
      f_->switch_to(b);
      some_work(1 + pick(3));
      f_->br(next, {any(), any()});
      pool_.resize(outside);
    }
    f_->switch_to(next);
    pool_.push_back(f_->block_param(next, 0));
    pool_.push_back(f_->block_param(next, 1));
  }

  // for (i = n, x = a, y = b; i; i--) { x, y = y, work }
  void loop() {
    size_t outside = pool_.size();
    BlockId head = f_->add_block({m_.i64(), m_.i64(), m_.i64()}), body = f_->add_block(), done = f_->add_block();
    f_->br(head, {f_->binary(Op::and_, any(), word(7)), any(), any()});
    f_->switch_to(head);
    ValueId i = f_->block_param(head, 0), x = f_->block_param(head, 1), y = f_->block_param(head, 2);
    f_->cond_br(f_->icmp(IntPredicate::ne, i, word(0)), body, done);
    f_->switch_to(body);
    for (ValueId v : {i, x, y}) pool_.push_back(v);
    some_work(1 + pick(4));
    ValueId next = any();
    f_->br(head, {f_->binary(Op::sub, i, word(1)), y, f_->binary(Op::add, next, x)});
    pool_.resize(outside);
    f_->switch_to(done);
    pool_.push_back(x);
    pool_.push_back(y);
  }

  void function(int k) {
    SymbolIndex symbol = m_.declare_function("f" + std::to_string(k), m_.function_type(m_.i64(), {m_.i64(), m_.i64()}));
    FunctionBuilder f(m_, symbol);
    f_ = &f;
    f.on_failure(failure_);
    pool_ = {f.param(0), f.param(1)};
    array_ = f.slot(16 * 8 + 8, 4);
    f.memset(array_, f.integer(m_.i8(), pick(256)), f.integer(m_.size_type(), 16 * 8 + 8));
    array_slice_ = f.make_slice(array_, f.integer(m_.size_type(), 16));
    for (unsigned n = 2 + pick(6); n; n--) {
      some_work(1 + pick(5));
      if (pick(3) == 0) loop();
      else branch();
    }
    ValueId r = word(uint64_t(k));
    for (ValueId v : pool_) r = f.binary(Op::add, f.binary(Op::mul, r, word(1099511628211)), v);
    for (int64_t at = 0; at < 128; at += 24) r = f.binary(Op::xor_, r, f.load(m_.i64(), f.offset(array_, at)));
    f.ret(r);
    f.finish();
    made_.push_back(symbol);
  }
};

std::string name_of(int k) { return "f" + std::to_string(k); }

// A line a call: what the interpreter says.
std::string interpret(const Module& module, bool legal) {
  InterpreterOptions options;
  options.legalize = legal;
  Interpreter machine(module, options);
  std::string out;
  for (int k = 0; k < function_count; k++)
    for (auto& in : inputs) {
      auto r = machine.call(name_of(k), {in[0], in[1]});
      INFO((r.ok() ? "" : r.error().text()));
      REQUIRE(r.ok());
      char line[64];
      std::snprintf(line, sizeof line, "%s %016llx\n", name_of(k).c_str(), static_cast<unsigned long long>((*r)[0]));
      out += line;
    }
  return out;
}

std::string driver() {
  std::string c = "#include <stdio.h>\n";
  for (int k = 0; k < function_count; k++)
    c += "unsigned long long " + name_of(k) + "(unsigned long long, unsigned long long);\n";
  c += "int main(void) {\n";
  for (int k = 0; k < function_count; k++)
    for (auto& in : inputs)
      c += "  printf(\"" + name_of(k) + " %016llx\\n\", " + name_of(k) + "(" + std::to_string(in[0]) + "u, " +
           std::to_string(in[1]) + "u));\n";
  return c + "}\n";
}

std::string node_script() {
  std::string s =
      "const e = new WebAssembly.Instance(new "
      "WebAssembly.Module(require('fs').readFileSync(process.argv[2]))).exports;\nlet out = '';\n"
      "const call = (f, a, b) => { out += f + ' ' + BigInt.asUintN(64, e[f](a, b)).toString(16).padStart(16, '0') + "
      "'\\n'; };\n";
  for (int k = 0; k < function_count; k++)
    for (auto& in : inputs)
      s += "call('" + name_of(k) + "', " + std::to_string(in[0]) + "n, " + std::to_string(in[1]) + "n);\n";
  return s + "process.stdout.write(out);\n";
}

void check_module(const Module& m) {
  std::vector<Problem> problems;
  verify_module(m, problems);
  for (const Problem& p : problems) UNSCOPED_INFO(problem_text(m, p));
  REQUIRE(problems.empty());
}

}  // namespace

TEST_CASE("random AIR programs mean the same to the interpreter, as x86_64 and as wasm") {
  TempDir dir;
  std::string object = dir.file("driver.o"), script = dir.write("run.js", node_script());
  REQUIRE(run({"gcc", "-O1", "-c", "-x", "c", dir.write("driver.c", driver()), "-o", object}).ok());
  uint32_t first = 1, last = 40;
  if (const char* range = std::getenv("LODE_AIR_SEEDS")) std::sscanf(range, "%u-%u", &first, &last);
  for (uint32_t seed = first; seed <= last; seed++) {
    INFO("seed " << seed << "; LODE_AIR_SEEDS=" << seed << "-" << seed
                 << " runs it alone, LODE_KEEP_TEMP=1 keeps its files");
    Module native = Generator(seed, {}).run();
    check_module(native);
    const std::string expected = interpret(native, false);
    CHECK(interpret(native, true) == expected);

    auto text = print_module(native);
    REQUIRE(text.ok());
    std::string air = dir.write("native.air", *text), program = dir.file("program");
    for (bool is_static : {true, false}) {
      RunResult linked = run(Args{LODE_BINARY} +
                             (is_static ? static_link({object, air}, program) : dynamic_link({object, air}, program)));
      INFO(linked.describe());
      REQUIRE(linked.ok());
      RunResult r = run({program});
      INFO(r.describe());
      CHECK(r.out == expected);
    }

    DataLayout small;
    small.pointer_bytes = 4;
    Module wasm = Generator(seed, small).run();
    check_module(wasm);
    CHECK(interpret(wasm, false) == expected);
    text = print_module(wasm);
    REQUIRE(text.ok());
    std::string module = dir.file("program.wasm");
    Args command = {LODE_BINARY, "-m",  "wasm32", "--no-entry", "--features=bulk-memory", dir.write("wasm.air", *text),
                    "-o",        module};
    for (int k = 0; k < function_count; k++) command.push_back("--export=" + name_of(k));
    RunResult linked = run(command);
    INFO(linked.describe());
    REQUIRE(linked.ok());
    RunResult r = run({"node", script, module});
    INFO(r.describe());
    CHECK(r.out == expected);

    // With 64-bit addresses it is the text that x86_64 took.
    if (node_with_memory64().empty()) continue;
    command[2] = "wasm64";
    command[5] = air;
    linked = run(command);
    INFO(linked.describe());
    REQUIRE(linked.ok());
    r = run(Args(node_with_memory64()) + Args{script, module});
    INFO(r.describe());
    CHECK(r.out == expected);
  }
}
