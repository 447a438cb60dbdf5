// What functions are asked to do for safety's sake: stack protectors, frame pointers, no SSE registers, zeroed
// registers, thunks.
#include "codegen/native/stack_protection.h"

#include <functional>

#include "codegen/air/legalize.h"
#include "tests/codegen/x86_64_air.h"

using namespace lode;
using codegen::SlotZone;
using codegen::StackProtection;

namespace {

const std::string target = "target \"x86_64-unknown-linux-gnu\"\ndeclare func @use(ptr)\ndeclare func @get() -> i32\n";

air::Module read(const std::string& text) {
  auto module = air::read_text(target + text, "test.air");
  if (!module.ok()) FAIL(module.error().text());
  return std::move(*module);
}

struct Protected {
  bool needed;
  std::vector<SlotZone> zones;
};
Protected protection(const std::string& flags, const std::string& body) {
  const air::Module m = read("func @f(%n: i64, %p: ptr) " + flags + " {\n" + body + "}\n");
  StackProtection s;
  s.run(m.in_memory.at(0), m.types);
  return {s.needed, s.zones};
}

// The function's machine code as text, with what the importer would have asked for besides flags.
std::string code(const std::string& text, const std::function<void(air::Function&)>& ask = {}) {
  air::Module m = read(text);
  if (ask) ask(m.in_memory.at(0));
  std::vector<SymbolId> symbols, runtime;
  std::vector<codegen::SymbolReach> reach(m.symbols.size(), codegen::SymbolReach::direct);
  for (uint32_t i = 0; i < m.symbols.size(); i++) symbols.push_back(SymbolId(i));
  for (uint32_t i = 0; i < 256; i++) runtime.push_back(SymbolId(1000 + i));
  codegen::LowerContext context;
  context.module = &m;
  context.symbols = symbols;
  context.reach = reach;
  context.runtime = runtime;
  auto scratch = x86_64::make_scratch();
  mir::FunctionDraft draft;
  auto done = x86_64::lower(m.in_memory.at(0), context, *scratch, draft);
  if (!done.ok()) return "error: " + done.error().text();
  return x86_64::print_function(x86_64::view_of(draft));
}
std::string runtime_symbol(air::RuntimeFunction f) { return "symbol " + std::to_string(1000 + unsigned(f)); }
size_t count(const std::string& text, const std::string& part) {
  size_t n = 0;
  for (size_t at = 0; (at = text.find(part, at)) != std::string::npos; at += part.size()) n++;
  return n;
}

}  // namespace

TEST_CASE("Stack protection: which functions") {
  const std::string leaf = "entry:\n  %0 = slot_addr s\n  store i64 %n, ptr %0 align 8\n  ret\n";
  const std::string escapes = "entry:\n  %0 = slot_addr s\n  call void @use(ptr %0)\n  ret\n";
  struct Case {
    const char* slot;
    const std::string& body;
    bool ssp, strong;
  };
  const Case cases[] = {{"slot s 16", leaf, false, false},         {"slot s 16 char_array", leaf, true, true},
                        {"slot s 16 large_array", leaf, false, true}, {"slot s 4 small_array", leaf, false, true},
                        {"slot s 16", escapes, false, true}};
  for (const Case& c : cases) {
    INFO(c.slot);
    const std::string body = "  " + std::string(c.slot) + "\n" + c.body;
    CHECK_FALSE(protection("", body).needed);
    CHECK(protection("stack_protect", body).needed == c.ssp);
    CHECK(protection("stack_protect_strong", body).needed == c.strong);
    CHECK(protection("stack_protect_req", body).needed);
    CHECK_FALSE(protection("stack_protect_req naked", body).needed);
  }
  const std::string few = "entry:\n  %0 = alloca i64 4 align 1 to ptr\n  ret\n",
                    many = "entry:\n  %0 = alloca i64 %n align 1 to ptr\n  ret\n";
  CHECK_FALSE(protection("stack_protect", few).needed);
  CHECK(protection("stack_protect_strong", few).needed);
  CHECK(protection("stack_protect", many).needed);
}

TEST_CASE("Stack protection: whose address is taken") {
  auto taken = [](const std::string& rest) {
    const Protected p = protection("stack_protect_strong", "  slot s 16\nentry:\n  %0 = slot_addr s\n" + rest);
    return p.needed && p.zones.at(0) == SlotZone::address_taken;
  };
  CHECK_FALSE(taken("  %1 = load i64, ptr %0 align 8\n  ret\n"));
  CHECK_FALSE(taken("  %1 = ptr_add ptr %0 + 8\n  store i64 %n, ptr %1 align 8\n  ret\n"));
  CHECK(taken("  %1 = ptr_add ptr %0 + 12\n  store i64 %n, ptr %1 align 4\n  ret\n"));
  CHECK(taken("  %1 = ptr_add ptr %0 - 8\n  ret\n"));
  CHECK(taken("  %1 = ptr_add ptr %0, i64 %n * 4\n  ret\n"));
  CHECK(taken("  store ptr %0, ptr %p align 8\n  ret\n"));
  CHECK(taken("  %1 = ptrtoint ptr %0 to i64\n  ret\n"));
  CHECK(taken("  memset ptr %0, i8 0, i64 16\n  ret\n"));
  CHECK(taken("  br next(%0)\nnext(%q: ptr):\n  ret\n"));
}

TEST_CASE("x86_64 hardening: the canary is set, lies highest and is checked on every way out", "[x86_64]") {
  const std::string text = code(
      "declare func @throw()\n"
      "func @f(%c: i1, %n: i64) -> i64 stack_protect_strong {\n"
      "  slot plain 8\n  slot buffer 100 char_array\n  slot few 4 small_array\n  slot taken 8\n"
      "entry:\n  %0 = slot_addr plain\n  store i64 %n, ptr %0 align 8\n  %1 = slot_addr taken\n  call void @use(ptr "
      "%1)\n"
      "  %2 = slot_addr buffer\n  call void @use(ptr %2)\n  %3 = slot_addr few\n  call void @use(ptr %3)\n"
      "  cond_br %c, one, two\none:\n  %4 = load i64, ptr %0 align 8\n  ret i64 %4\n"
      "two:\n  %5 = icmp eq i64 %n, 3\n  cond_br %5, three, four\nthree:\n  call noreturn void @throw()\n  "
      "unreachable\n"
      "four:\n  %6 = call tail i64 @f(i1 %c, i64 %n)\n  ret i64 %6\n}\n");
  INFO(text);
  CHECK(count(text, "%fs:40") == 4);  // set; checked at the return, the throw and the tail call
  CHECK(count(text, runtime_symbol(air::RuntimeFunction::stack_chk_fail)) == 1);
  const std::string slots[] = {"zone 4", "zone 3", "zone 2", "zone 1"};
  for (const std::string& s : slots) CHECK(count(text, s) == 1);
  // A call that ends the process is not one that unwinds.
  CHECK(
      count(code("declare func @exit()\nfunc @f() stack_protect_req {\nentry:\n  call noreturn nounwind void @exit()\n"
                 "  unreachable\n}\n"),
            "%fs:40") == 1);
}

TEST_CASE("x86_64 hardening: the canary stands between arrays and the return address", "[x86_64]") {
  const test::Lowered l =
      test::lowered(target +
                    "func @f(%n: i64) stack_protect_strong {\n  slot plain 200\n  slot buffer 16 char_array\n"
                    "  slot few 4 small_array\n  slot taken 8\nentry:\n  %0 = slot_addr plain\n"
                    "  store i64 %n, ptr %0 volatile align 8\n  %1 = slot_addr taken\n"
                    "  call void @use(ptr %1)\n  ret\n}\n");
  REQUIRE(l.error == "");
  std::vector<int32_t> at;
  REQUIRE(x86_64::plan_frame(x86_64::view_of(l.draft), at).ok());
  REQUIRE(at.size() == 5);  // the canary is the last slot
  CHECK(at[0] + 200 <= at[3]);
  CHECK(at[3] + 8 <= at[2]);
  CHECK(at[2] + 4 <= at[1]);
  CHECK(at[1] + 16 <= at[4]);
}

TEST_CASE("x86_64 hardening: frame pointers", "[x86_64]") {
  auto has = [](const std::string& flags, const std::string& body) {
    const std::string text = code("func @f(%p: ptr) " + flags + " {\nentry:\n" + body + "  ret\n}\n");
    // flags of the frame: bit 1
    const size_t at = text.find("flags ") + 6;
    return (std::stoul(text.substr(at)) & x86_64::frame::frame_pointer) != 0;
  };
  const std::string call = "  call void @use(ptr %p)\n  store i8 0, ptr %p align 1\n",
                    leaf = "  store i8 0, ptr %p align 1\n";
  CHECK_FALSE(has("", call));
  CHECK(has("frame_pointer", call));
  CHECK(has("frame_pointer", leaf));
  CHECK(has("frame_pointer_non_leaf", call));
  CHECK_FALSE(has("frame_pointer_non_leaf", leaf));
}

TEST_CASE("x86_64 hardening: code without SSE registers", "[x86_64]") {
  // Copies and fills, a variadic function's entry, and values that change their places in the frame.
  std::string pressure =
      "func @f(%p: ptr, ...) FLAGS {\n  slot list 24 align 8\nentry:\n  %l = slot_addr list\n  va_start ptr %l\n"
      "  memset ptr %p, i8 0, i64 64 align 8\n  %q = ptr_add ptr %p + 64\n  memcpy ptr %q, ptr %p, i64 100 align 1\n";
  const int n = 20;
  std::string first, next, sum;
  for (int k = 0; k < n; k++) {
    pressure += "  %v" + std::to_string(k) + " = load i64, ptr %p volatile align 8\n";
    first += (k ? ", %v" : "%v") + std::to_string(k);
    next += (k ? ", %w" : "%w") + std::to_string((k + 1) % n);
  }
  pressure += "  br loop(" + first + ")\nloop(";
  for (int k = 0; k < n; k++) pressure += (k ? ", %w" : "%w") + std::to_string(k) + ": i64";
  pressure +=
      "):\n  store i64 %w0, ptr %p volatile align 8\n  call void @use(ptr %p)\n  %x = load i64, ptr %p volatile align "
      "8\n"
      "  %c = icmp eq i64 %x, 0\n  cond_br %c, out, loop(" +
      next + ")\nout:\n";
  for (int k = 0; k < n; k++) pressure += "  store i64 %w" + std::to_string(k) + ", ptr %p volatile align 8\n";
  pressure += "  ret\n}\n";
  auto with = [&](const std::string& flags) {
    std::string text = pressure;
    text.replace(text.find("FLAGS"), 5, flags);
    return code(text);
  };
  CHECK(count(with(""), "%xmm") > 0);
  for (const char* flags : {"no_sse", "no_implicit_float"}) {
    const std::string text = with(flags);
    INFO(text);
    CHECK(text.find("error") == std::string::npos);
    CHECK(count(text, "%xmm") == 0);
  }
  CHECK(code("func @f(%a: f64) -> f64 no_sse {\nentry:\n  %0 = fadd f64 %a, %a\n  ret f64 %0\n}\n")
            .find("floating point in a function compiled without SSE") != std::string::npos);
  CHECK(code("func @f(%a: f64) -> f64 no_implicit_float {\nentry:\n  %0 = fadd f64 %a, %a\n  ret f64 %0\n}\n")
            .find("addsd") != std::string::npos);
}

TEST_CASE("x86_64 hardening: registers are zeroed where a function leaves", "[x86_64]") {
  using Z = air::ZeroRegisters;
  const std::string add =
      "func @f(%a: i32, %b: i32) -> i32 {\nentry:\n  %0 = mul i32 %a, %b\n  %1 = add i32 %0, %b\n  ret i32 %1\n}\n";
  const std::string leaves = "func @f(%a: ptr) {\nentry:\n  call tail void @use(ptr %a)\n  ret\n}\n";
  const std::string wide = "func @f(%a: f80) -> f80 {\nentry:\n  ret f80 %a\n}\n";
  auto with = [](const std::string& text, Z mode) {
    return code(text, [&](air::Function& f) { f.requests.zero_registers = mode; });
  };
  struct Case {
    Z mode;
    size_t gp, fp, gp_tail;  // how many, of `add` at least, of `leaves`
  };
  // add returns in eax and uses edi and esi at most; all: eax is the result. The tail call's argument is edi.
  const Case cases[] = {
      {Z::none, 0, 0, 0}, {Z::all_gpr_arg, 6, 0, 5}, {Z::all_gpr, 8, 0, 8}, {Z::all_arg, 6, 8, 5}, {Z::all, 8, 16, 8}};
  for (const Case& c : cases) {
    const std::string text = with(add, c.mode), tail = with(leaves, c.mode);
    INFO(text << tail);
    CHECK(count(text, "zero32r") == c.gp);
    CHECK(count(text, "xorps") == c.fp);
    CHECK(count(tail, "zero32r") == c.gp_tail);
    CHECK(count(tail, "xorps") == c.fp);
  }
  for (Z mode : {Z::used_gpr_arg, Z::used_gpr, Z::used_arg, Z::used}) {
    const std::string text = with(add, mode);
    INFO(text);
    CHECK(count(text, "zero32r") <= 2);
    CHECK(count(text, "xorps") == 0);
    CHECK(text.find("zero32r %eax") == std::string::npos);
  }
  CHECK(count(with(wide, Z::all), "fldz") == 7);  // st0 is the result
  CHECK(count(with(add, Z::all), "fldz") == 8);
}

TEST_CASE("x86_64 hardening: thunks instead of indirect branches and returns", "[x86_64]") {
  const std::string text =
      "func @f(%p: ptr, %n: i32, %t: ptr) -> i32 FLAGS {\nentry:\n  %0 = load ptr, ptr %p align 8\n  call void %0(ptr "
      "%p)\n"
      "  switch i32 %n, other [0: a, 1: b, 2: c, 3: d, 4: a, 5: b, 6: c, 7: d]\n"
      "a:\n  ret i32 4\nb:\n  ret i32 7\nc:\n  ret i32 9\nd:\n  indirect_br ptr %t [a, b]\nother:\n  ret i32 8\n}\n";
  auto with = [&](const std::string& flags) {
    std::string s = text;
    s.replace(s.find("FLAGS"), 5, flags);
    return code(s);
  };
  const std::string inner = runtime_symbol(air::RuntimeFunction::indirect_thunk),
                    outer = runtime_symbol(air::RuntimeFunction::external_indirect_thunk),
                    back = runtime_symbol(air::RuntimeFunction::return_thunk);
  const std::string plain = with("");
  INFO(plain);
  CHECK(count(plain, "jump_table") == 1);
  CHECK(count(plain, "call_ref") == 0);
  CHECK(plain.find(inner + " ") == std::string::npos);
  CHECK(count(with("no_jump_tables"), "jump_table") == 0);
  const std::string calls = with("retpoline_calls");
  INFO(calls);
  CHECK(count(calls, "call_ref") == 1);
  CHECK(calls.find(inner) != std::string::npos);
  CHECK(count(calls, "jump_table") == 1);
  const std::string branches = with("retpoline_branches external_thunk");
  INFO(branches);
  CHECK(count(branches, "jump_table") == 0);
  CHECK(count(branches, "goto_ref") == 1);
  CHECK(branches.find(outer) != std::string::npos);
  const std::string returns = with("return_thunk");
  CHECK(returns.find(back) != std::string::npos);
  CHECK(count(returns, " ret\n") == 0);
}
