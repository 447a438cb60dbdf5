// Frames by running them one instruction at a time: at every instruction the unwind rules must find the caller's frame
// and the caller's registers, whatever the shape of the frame.
#include <csignal>
#include <random>
#include <ucontext.h>

#include "tests/codegen/x86_64_code.h"

using namespace lode;
using namespace lode::x86_64;
using test::Code;

namespace {

// What the trap handler looks at; it allocates nothing.
struct Watch {
  const uint8_t* text = nullptr;
  uint32_t size = 0;
  const test::UnwindRule* rules = nullptr;
  uint64_t cfa = 0;
  uint64_t registers[6] = {};
  unsigned steps = 0, wrong = 0;
  uint32_t first_wrong = 0;
  uint64_t touched = 0;    // the lowest address that the stack has been touched at
  uint64_t largest_gap = 0;  // between that and rsp
} watch;

constexpr int saved_registers[6] = {3, 6, 12, 13, 14, 15};  // DWARF: rbx, rbp, r12..r15
constexpr int saved_gregs[6] = {REG_RBX, REG_RBP, REG_R12, REG_R13, REG_R14, REG_R15};

void on_trap(int, siginfo_t*, void* context) {
  auto& regs = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  uint64_t rip = uint64_t(regs[REG_RIP]), rsp = uint64_t(regs[REG_RSP]);
  uint64_t at = rip - reinterpret_cast<uint64_t>(watch.text);
  if (at >= watch.size) return;
  if (watch.steps++ == 0) {
    watch.cfa = rsp + 8;
    watch.touched = rsp;
    for (int i = 0; i < 6; i++) watch.registers[i] = uint64_t(regs[saved_gregs[i]]);
  }
  // A push leaves rsp at what it wrote; a touch is `orq $0, (%rsp)`.
  constexpr uint8_t touch[] = {0x48, 0x83, 0x0c, 0x24, 0x00};
  if (rsp < watch.touched) {
    watch.largest_gap = std::max(watch.largest_gap, watch.touched - rsp);
    if (watch.touched - rsp <= 8 || (at + 5 <= watch.size && std::memcmp(watch.text + at, touch, 5) == 0))
      watch.touched = rsp;
  }
  const test::UnwindRule& rule = watch.rules[at];
  const int base = rule.cfa_register == 6 ? REG_RBP : rule.cfa_register == 11 ? REG_R11 : REG_RSP;
  uint64_t cfa = uint64_t(regs[base]) + uint64_t(rule.cfa_offset);
  bool good = cfa == watch.cfa;
  if (good) {
    for (int i = 0; i < 6; i++) {
      int64_t saved = rule.saved[saved_registers[i]];
      uint64_t value =
          saved ? *reinterpret_cast<const uint64_t*>(cfa - uint64_t(saved)) : uint64_t(regs[saved_gregs[i]]);
      good &= value == watch.registers[i];
    }
  }
  if (!good && watch.wrong++ == 0) watch.first_wrong = uint32_t(at);
}

uint64_t stepped_result;
// Calls fn(a, b, and 4 arguments for registers, and two on the stack) with the trap flag set.
__attribute__((noinline)) void call_stepped(const void* fn, uint64_t a, uint64_t s0, uint64_t s1) {
  uint64_t result;
  asm volatile(
      "movq %%rsp, %%r12\n\t"
      "subq $128, %%rsp\n\t"  // the red zone
      "andq $-16, %%rsp\n\t"
      "pushq %[s1]\n\t"
      "pushq %[s0]\n\t"
      "pushfq\n\t"
      "orq $0x100, (%%rsp)\n\t"
      "popfq\n\t"
      "call *%[fn]\n\t"
      "pushfq\n\t"
      "andq $~0x100, (%%rsp)\n\t"
      "popfq\n\t"
      "movq %%r12, %%rsp\n\t"
      : "=a"(result), "+D"(a)
      : [fn] "r"(fn), [s0] "r"(s0), [s1] "r"(s1)
      : "rcx", "rdx", "rsi", "r12", "r8", "r9", "r10", "r11", "memory", "cc");
  stepped_result = result;
}

struct Shape {
  uint16_t saved = 0;
  std::vector<std::pair<uint32_t, uint32_t>> slots;  // size, align
  uint32_t outgoing = 0, flags = 0, probe = 0;
};

extern "C" uint64_t x86_64_test_callee(uint64_t x) {
  uint64_t aligned[2] __attribute__((aligned(16))) = {x, x};
  return (reinterpret_cast<uint64_t>(&aligned) % 16 ? 1000000 : 0) + aligned[0] % 7;
}

void run_shape(const Shape& shape) {
  mir::FunctionDraft draft;
  MirWriter w(draft);
  w.save_registers(shape.saved);
  w.set_frame_flags(shape.flags);
  w.need_outgoing(shape.outgoing);
  if (shape.probe) w.probe_inline(shape.probe);
  for (auto [size, align] : shape.slots) w.add_slot(size, align);
  bool dynamic = shape.flags & frame::dynamic;
  bool calls = shape.flags & frame::has_calls;
  // Clobber what was saved; rbp and rbx only where they are not the frame's own.
  bool over_aligned = false;
  for (auto [size, align] : shape.slots) over_aligned |= align > 16;
  bool rbp_taken = dynamic || over_aligned || (shape.flags & frame::frame_pointer);
  bool rbx_taken = dynamic && over_aligned;
  for (unsigned r = 0; r < 16; r++) {
    if (!(shape.saved >> r & 1) || (r == reg::rbp && rbp_taken) || (r == reg::rbx && rbx_taken)) continue;
    w.ri(Op::mov32ri, uint8_t(r), 77 + r);
  }
  if (dynamic) {
    w.ri(Op::sub64ri, reg::rsp, 48);
    w.rm(Op::lea64rm, reg::r10, Mem::dynamic_area());
    w.mi(Op::mov64mi, Mem::at(reg::r10, 40), 5);
  }
  // rax = misaligned slots; slots filled with their numbers, then summed.
  w.zero(reg::rax);
  for (uint32_t i = 0; i < shape.slots.size(); i++) {
    auto [size, align] = shape.slots[i];
    if (size >= 4) {
      w.mi(Op::mov32mi, Mem::slot(i), int32_t(i + 1));
      if (size >= 8) w.mi(Op::mov32mi, Mem::slot(i, int32_t(size - 4)), int32_t(i + 1));
    }
    w.rm(Op::lea64rm, reg::rcx, Mem::slot(i));
    w.ri(Op::and64ri, reg::rcx, align - 1);
    w.rr(Op::add64rr, reg::rax, reg::rcx);
  }
  for (uint32_t at = 0; at + 8 <= shape.outgoing; at += 8) w.mi(Op::mov64mi, Mem::outgoing(int32_t(at)), -1);
  for (uint32_t i = 0; i < shape.slots.size(); i++)
    if (shape.slots[i].first >= 4) {
      w.rm(Op::mov32rm, reg::rcx, Mem::slot(i));
      w.rr(Op::add64rr, reg::rax, reg::rcx);
    }
  if (calls) {
    w.mr(Op::mov64mr, Mem::incoming(0), reg::rax);  // the argument's home is ours
    w.ri(Op::mov32ri, reg::rdi, 6);
    w.ri(Op::movabs64ri, reg::rax, int64_t(reinterpret_cast<uint64_t>(&x86_64_test_callee)));
    w.r(Op::call64r, reg::rax);
    w.rm(Op::add64rm, reg::rax, Mem::incoming(0));
  } else {
    w.rm(Op::add64rm, reg::rax, Mem::incoming(0));
  }
  // Two ways out, one in the middle.
  Label other = w.new_label();
  w.rr(Op::test64rr, reg::rax, reg::rax);
  w.jcc(Cond::s, other);
  w.rm(Op::add64rm, reg::rax, Mem::incoming(8));
  w.ret();
  w.bind(other);
  w.rm(Op::sub64rm, reg::rax, Mem::incoming(8));
  w.ret();
  REQUIRE(w.finish().ok());
  INFO(print_function(view_of(draft)));
  Code code(draft);
  INFO(code.hex());
  auto rules = test::unwind_table(code.cfi, code.size);
  uint64_t sum = 0;
  for (uint32_t i = 0; i < shape.slots.size(); i++)
    if (shape.slots[i].first >= 4) sum += i + 1;
  for (bool negative : {false, true}) {
    watch = Watch{};
    watch.text = code.text();
    watch.size = code.size;
    watch.rules = rules.data();
    uint64_t s0 = negative ? uint64_t(-100000) : 1000;
    call_stepped(code.text(), 1, s0, 500);
    // With a call, the first stack argument's place was overwritten by the sum so far.
    int64_t expected = calls ? int64_t(sum) + 6 : int64_t(sum + s0);
    expected += expected < 0 ? -500 : 500;
    CHECK(int64_t(stepped_result) == expected);
    CHECK(watch.steps > 3);
    INFO("first wrong offset " << watch.first_wrong);
    CHECK(watch.wrong == 0);
    if (shape.probe) CHECK(watch.largest_gap <= shape.probe);
  }
}

struct TrapHandler {
  struct sigaction old;
  TrapHandler() {
    struct sigaction action = {};
    action.sa_sigaction = on_trap;
    action.sa_flags = SA_SIGINFO;
    sigaction(SIGTRAP, &action, &old);
  }
  ~TrapHandler() { sigaction(SIGTRAP, &old, nullptr); }
};

}  // namespace

#ifdef __x86_64__
TEST_CASE("x86_64 frame: every shape runs, and can be unwound at every instruction", "[x86_64]") {
  TrapHandler handler;
  std::mt19937 random(11);
  uint16_t all = callee_saved_gp;
  using Slots = std::vector<std::pair<uint32_t, uint32_t>>;
  std::vector<Slots> slot_sets = {{},
                                  {{4, 4}},
                                  {{8, 8}, {4, 4}, {1, 1}},
                                  {{16, 16}},
                                  {{100, 1}, {8, 8}},
                                  {{120, 8}},
                                  {{136, 8}},
                                  {{4096, 16}, {8, 8}},
                                  {{64, 64}, {8, 8}},
                                  {{32, 32}, {1, 1}, {256, 128}},
                                  {{0, 1}, {4, 4}}};
  for (const Slots& slots : slot_sets)
    for (uint16_t saved :
         {uint16_t(0), uint16_t(1 << reg::rbx), uint16_t(1 << reg::rbp), uint16_t(1 << reg::rbx | 1 << reg::r15), all})
      for (uint32_t flags :
           {0u, uint32_t(frame::has_calls), uint32_t(frame::frame_pointer),
            uint32_t(frame::has_calls | frame::frame_pointer),
            uint32_t(frame::dynamic | frame::frame_pointer | frame::has_calls), uint32_t(frame::no_red_zone)})
        run_shape({saved, slots, flags & frame::has_calls ? uint32_t(random() % 4) * 8 : 0, flags});
  for (int i = 0; i < 200; i++) {
    Shape s;
    s.saved = uint16_t(random()) & all;
    for (unsigned n = random() % 6; n; n--)
      s.slots.push_back({random() % 200, 1u << random() % (random() % 4 ? 4 : 7)});
    s.flags = random() % 2 ? uint32_t(frame::has_calls) : 0;
    if (random() % 4 == 0) s.flags |= frame::frame_pointer;
    if (random() % 5 == 0) s.flags |= frame::frame_pointer | frame::dynamic;
    if (s.flags & frame::has_calls) s.outgoing = random() % 10 * 8;
    run_shape(s);
  }
}
#endif

#ifdef __x86_64__
TEST_CASE("x86_64 frame: a probed stack grows in steps that are touched", "[x86_64]") {
  TrapHandler handler;
  for (uint32_t flags : {uint32_t(frame::has_calls), uint32_t(frame::has_calls | frame::frame_pointer)})
    for (uint32_t align : {8u, 16u, 64u, 1024u, 4096u, 16384u})
      for (uint32_t size : {100u, 4000u, 4096u, 4104u, 9000u, 32768u, 33000u, 40000u, 100000u})
        for (uint32_t probe : {4096u, 1024u}) run_shape({1 << reg::rbx, {{size, align}, {8, 8}}, 0, flags, probe});
}
#endif

TEST_CASE("x86_64 frame: probes by a loop, by steps and by a call", "[x86_64]") {
  auto text = [](uint32_t size, bool call) {
    mir::FunctionDraft draft;
    MirWriter w(draft);
    w.set_frame_flags(frame::has_calls);
    w.add_slot(size, 8);
    if (call) w.probe_by_call(w.add_reference(SymbolId(1), 0, mir::ReferenceKind::call));
    else w.probe_inline(4096);
    w.ret();
    REQUIRE(w.finish().ok());
    const std::vector<codegen::ResolvedReference> refs(draft.references.size(),
                                                       {0, codegen::ReferenceForm::relocation});
    codegen::TargetOptions object;
    object.object = true;
    auto sizes = measure(view_of(draft), refs, object);
    REQUIRE(sizes.ok());
    std::vector<uint8_t> bytes(sizes->text);
    std::vector<codegen::Fixup> fixups;
    codegen::EmitPlace place;
    place.text = bytes.data();
    place.fixups = &fixups;
    REQUIRE(emit(view_of(draft), refs, object, place).ok());
    CHECK(fixups.size() == (call && size >= 4096));
    std::string hex;
    for (uint8_t b : bytes) {
      char two[4];
      std::snprintf(two, sizeof two, "%02x ", b);
      hex += two;
    }
    return hex;
  };
  CHECK(text(4088, false).substr(0, 21) == "48 81 ec f8 0f 00 00 ");
  CHECK(text(5000, false).substr(0, 57) == "48 81 ec 00 10 00 00 48 83 0c 24 00 48 81 ec 88 03 00 00 ");
  CHECK(text(40952, false)
            .find("4c 8d 9c 24 00 70 ff ff 48 81 ec 00 10 00 00 48 83 0c 24 00 4c 39 dc 75 ef 48 81 ec f8 0f 00 00 ") ==
        0);
  CHECK(text(40952, true).substr(0, 18) == "b8 f8 9f 00 00 e8 ");
  CHECK(text(40952, true).substr(30, 9) == "48 29 c4 ");
  CHECK(text(1000, true).substr(0, 12) == "48 81 ec e8 ");
}

TEST_CASE("x86_64 frame: an epilogue that leaves scratch registers alone", "[x86_64]") {
  mir::FunctionDraft draft;
  MirWriter w(draft);
  w.set_frame_flags(frame::has_calls | frame::plain_epilogue);
  w.ret();
  REQUIRE(w.finish().ok());
  CHECK(Code(draft).hex() == "50 48 83 c4 08 c3 ");
}

TEST_CASE("x86_64 frame: the code of common frames", "[x86_64]") {
  auto text = [](Shape shape, bool tail = false) {
    mir::FunctionDraft draft;
    MirWriter w(draft);
    w.save_registers(shape.saved);
    w.set_frame_flags(shape.flags);
    for (auto [size, align] : shape.slots) w.add_slot(size, align);
    if (tail) w.tail64r(reg::rax);
    else w.ret();
    REQUIRE(w.finish().ok());
    return Code(draft).hex();
  };
  CHECK(text({}) == "c3 ");                                                              // nothing to do
  CHECK(text({0, {{120, 8}}}) == "c3 ");                                                 // red zone
  CHECK(text({0, {}, 0, frame::has_calls}) == "50 59 c3 ");                              // push rax; pop rcx
  CHECK(text({0, {}, 0, frame::has_calls}, true) == "50 48 83 c4 08 ff e0 ");            // rcx may carry an argument
  CHECK(text({1 << reg::rbx, {}, 0, frame::has_calls}) == "53 5b c3 ");
  CHECK(text({0, {{128, 8}}, 0, frame::has_calls}) == "48 81 ec 88 00 00 00 48 81 c4 88 00 00 00 c3 ");
  CHECK(text({1 << reg::rbx, {{128, 8}}, 0, frame::has_calls}) == "53 48 83 c4 80 48 83 ec 80 5b c3 ");
  CHECK(text({0, {}, 0, frame::frame_pointer}) == "55 48 89 e5 5d c3 ");
  CHECK(text({0, {{64, 64}}}) == "55 48 89 e5 48 83 ec 40 48 83 e4 c0 c9 c3 ");
}

TEST_CASE("x86_64 frame: a frame beyond 2 GiB is an error", "[x86_64]") {
  mir::FunctionDraft draft;
  MirWriter w(draft);
  w.add_slot(0x7ffffff0, 8);
  w.add_slot(0x1000, 8);
  w.ret();
  REQUIRE(w.finish().ok());
  CHECK(!measure(view_of(draft), {}, {}).ok());
}
