// Inline asm as C programs have it: what clang leaves of their templates and constraints.
#include <catch2/catch.hpp>

#include "codegen/native/asm_expression.h"
#include "codegen/x86_64/inline_asm.h"
#include "codegen/x86_64/print.h"

using namespace lode;
using namespace lode::x86_64;

namespace {

AsmValue gp(uint8_t r, unsigned bytes = 4) {
  AsmValue v;
  v.reg = r;
  v.bytes = uint8_t(bytes);
  return v;
}
AsmValue fp(uint8_t r) {
  AsmValue v;
  v.kind = AsmValue::Kind::fp;
  v.reg = r;
  return v;
}
AsmValue imm(int64_t n) {
  AsmValue v;
  v.kind = AsmValue::Kind::immediate;
  v.imm = n;
  return v;
}
AsmValue mem(const Mem& m, unsigned bytes = 4) {
  AsmValue v;
  v.kind = AsmValue::Kind::memory;
  v.mem = m;
  v.bytes = uint8_t(bytes);
  return v;
}
AsmValue reference(uint32_t r) {
  AsmValue v;
  v.kind = AsmValue::Kind::reference;
  v.reference = r;
  return v;
}

// The MIR as text, instructions joined with "; "; or the error.
std::string assembled(std::string_view text, const std::vector<AsmValue>& values, bool intel = false) {
  mir::FunctionDraft draft;
  MirWriter w(draft);
  auto r = assemble(text, values, w, {}, intel);
  if (!r.ok()) return "error: " + r.error().message.substr(0, r.error().message.find('\n'));
  if (auto f = w.finish(); !f.ok()) return "error: " + f.error().message;
  std::string out;
  mir::FunctionView view = view_of(draft);
  for (uint32_t i = 0; i < view.count; i++) out += (i ? "; " : "") + print_instruction(view, i);
  return out;
}

AsmStatement parsed(std::string_view text, std::string_view constraints) {
  auto r = parse_inline_asm(text, constraints);
  if (!r.ok()) FAIL(r.error().text());
  return *r;
}

}  // namespace

TEST_CASE("x86_64 inline asm: templates of real programs", "[x86_64]") {
  struct Row {
    const char* text;
    std::vector<AsmValue> values;
    const char* expected;
  };
  Mem m = Mem::at(reg::rdi, 8);
  std::vector<Row> rows = {
      {"", {}, ""},
      {"cpuid", {}, "cpuid"},
      {"rdtsc", {}, "rdtsc"},
      {"pause", {}, "pause"},
      {"rep; nop", {}, "pause"},
      {"mfence", {}, "mfence"},
      {"nop\n\tnop # twice\n", {}, "nop; nop"},
      {"syscall", {}, "syscall"},
      {"lock; xaddl $0, $1", {gp(reg::rax), mem(m)}, "lock xaddl %eax, 8(%rdi)"},
      {"lock xaddq $0, $1", {gp(reg::rcx, 8), mem(Mem::slot(3), 8)}, "lock xaddq %rcx, slot3+0"},
      {"lock ; cmpxchgl ${2:k},$1", {gp(reg::rax), mem(m), gp(reg::rsi, 8)}, "lock cmpxchgl %esi, 8(%rdi)"},
      {"lock; cmpxchg16b $1; setz $0", {gp(reg::rcx, 1), mem(m, 8)}, "lock cmpxchg16b 8(%rdi); sete %cl"},
      {"lock; addl $1,$0", {mem(m), imm(1)}, "lock addl $1, 8(%rdi)"},
      {"lock; decl $0; sete $1", {mem(m), gp(reg::rax, 1)}, "lock decl 8(%rdi); sete %al"},
      {"xchgl $0,$1", {gp(reg::rdx), mem(m)}, "xchgl %edx, 8(%rdi)"},
      {"xchgl $1,$0", {gp(reg::rdx), mem(m)}, "xchgl %edx, 8(%rdi)"},
      {"xchgb %al, %bl", {}, "xchgb %al, %bl"},
      {"bsfl $1,$0", {gp(reg::rax), gp(reg::rcx)}, "bsfl %ecx, %eax"},
      {"bsrq $1,$0", {gp(reg::rax, 8), mem(m, 8)}, "bsrq 8(%rdi), %rax"},
      {"bswap $0", {gp(reg::r10, 8)}, "bswapq %r10"},
      {"bswapl ${0:k}", {gp(reg::rbx, 8)}, "bswapl %ebx"},
      {"rorw $$8, ${0:w}", {gp(reg::rax)}, "rorw $8, %ax"},
      {"roll $1,$0", {gp(reg::rax), imm(5)}, "roll $5, %eax"},
      {"roll %cl,$0", {gp(reg::rdx)}, "roll %cl, %edx"},
      {"sall $0", {gp(reg::rdx)}, "shll $1, %edx"},
      {"mov $1, $0", {gp(reg::rax, 8), gp(reg::rcx, 8)}, "movq %rcx, %rax"},
      {"movl $1, $0\n\taddl $$3, $0", {gp(reg::rax), gp(reg::rcx)}, "movl %ecx, %eax; addl $3, %eax"},
      {"movq $$0x123456789, $0", {gp(reg::rax, 8)}, "movabsq $4886718345, %rax"},
      {"movq $$-1, $0", {gp(reg::rax, 8)}, "movq $-1, %rax"},
      {"movq %fs:0, $0", {gp(reg::rax, 8)}, "movq %fs:0, %rax"},
      {"mov %fs:40(,%rcx,8), $0", {gp(reg::rax, 8)}, "movq %fs:40(,%rcx,8), %rax"},
      {"movl 4($1,$2,4), $0", {gp(reg::rax), gp(reg::rsi, 8), gp(reg::rdx, 8)}, "movl 4(%rsi,%rdx,4), %eax"},
      {"movl 4+$1, $0", {gp(reg::rax), mem(m)}, "movl 12(%rdi), %eax"},
      {"mulq $3", {gp(reg::rax, 8), gp(reg::rdx, 8), gp(reg::rax, 8), gp(reg::rcx, 8)}, "mulq %rcx"},
      {"divq $2", {gp(reg::rax, 8), gp(reg::rdx, 8), mem(m, 8)}, "divq 8(%rdi)"},
      {"imul $$10, $0", {gp(reg::rax)}, "imull $10, %eax, %eax"},
      {"addq $2,$0; adcq $3,$1",
       {gp(reg::rax, 8), gp(reg::rdx, 8), imm(7), gp(reg::rcx, 8)},
       "addq $7, %rax; adcq %rcx, %rdx"},
      {"cld; rep; movsq", {}, "cld; rep movsq"},
      {"rep stosb", {}, "rep stosb"},
      {"rep\n\tmovsb", {}, "rep movsb"},
      {"repne scasb", {}, "repne scasb"},
      {"int3", {}, "int3"},
      {"int $$0x80", {}, "int $128"},
      {"ud2", {}, "ud2"},
      {"fnstcw $0", {mem(m, 2)}, "fnstcw 8(%rdi)"},
      {"fldcw $0", {mem(m, 2)}, "fldcw 8(%rdi)"},
      {"stmxcsr $0", {mem(m)}, "stmxcsr 8(%rdi)"},
      {"fnstsw %ax", {}, "fnstsw %ax"},
      {"sqrtsd $1, $0", {fp(1), fp(2)}, "sqrtsd %xmm2, %xmm1"},
      {"movd $1, $0", {gp(reg::rax), fp(15)}, "movd %xmm15, %eax"},
      {"cvtsd2si $1, $0", {gp(reg::rax, 8), fp(3)}, "cvtsd2si %xmm3, %rax"},
      {"pushfq; popq $0", {gp(reg::rax, 8)}, "pushfq; popq %rax"},
      {"push $1\n pop $0", {gp(reg::rax, 8), gp(reg::rbx, 8)}, "pushq %rbx; popq %rax"},
      {"call *$0", {gp(reg::rax, 8)}, "callq *%rax"},
      {"call ${0:P}", {reference(4)}, "call_ref ref4"},
      {"leaq $1(%rip), $0", {gp(reg::rax, 8), reference(2)}, "leaq ref2(%rip), %rax"},
      {"1: decl $0\n jnz 1b\n jmp 2f\n nop\n2:", {gp(reg::rcx)}, "decl %ecx; jne .0; jmp .4; nop; label"},
      {".Lloop${:uid}: decl $0; jne .Lloop${:uid}", {gp(reg::rcx)}, "decl %ecx; jne .0"},
      {".byte 0x0f, 0xa2", {}, "bytes 15 162"},
      {".p2align 5", {}, "align 32, at most 31"},  // zstd's loops
      {"nop\n.p2align 6,,3; .p2align 0", {}, "nop; align 64, at most 3"},
      {".balign 16, 0x90; .align 8", {}, "align 16, at most 15; align 8, at most 7"},
      {"$(addl $1,$0$|add $0,$1$)", {gp(reg::rcx), gp(reg::rdx)}, "addl %edx, %ecx"},
      {"add${0:z} $1,$0", {mem(m, 2), imm(3)}, "addw $3, 8(%rdi)"},
      {"prefetcht0 ${0:a}", {gp(reg::r9, 8)}, "prefetcht0 (%r9)"},
      {"btsl $1,$0\n\tsetc $2", {mem(m), gp(reg::rax), gp(reg::rdx, 1)}, "btsl %eax, 8(%rdi); setb %dl"},
      {"cmovnz $1,$0", {gp(reg::rax, 8), gp(reg::rdx, 8)}, "cmovneq %rdx, %rax"},
      {"testl $1,$0 /* flags */", {mem(m), gp(reg::rax)}, "testl %eax, 8(%rdi)"},
      {"shldl %cl, $1, $0", {gp(reg::rax), gp(reg::rdx)}, "shldl %cl, %edx, %eax"},
      {"movzbl ${1:b}, $0", {gp(reg::rax), gp(reg::rsi)}, "movzbl %sil, %eax"},
      {"leal ($1,$2), $0", {gp(reg::rax), gp(reg::rcx), gp(reg::rdx)}, "leal (%rcx,%rdx,1), %eax"},
      {"movl ($1), $0", {gp(reg::rax), gp(reg::rcx)}, "bytes 103; movl (%rcx), %eax"},
      {"xchgb ${0:b}, ${0:h}", {gp(reg::rdx)}, "bytes 134 242"},  // of either order
      {"movb ${0:h}, ${1:b}; movzbl ${0:h}, ${1:k}; movb $2, ${0:h}",
       {gp(reg::rbx), gp(reg::rax), mem(Mem::at(reg::rcx, 4))},
       "bytes 136 248; bytes 15 182 199; bytes 138 121 4"},
      {"movb ${0:h}, ${1:b}",
       {gp(reg::rbx), gp(reg::rsi)},
       "error: inline assembly, line 1: ah, bh, ch and dh do not go with these operands"},
      {"movb ${0:h}, %al",
       {gp(reg::rsi)},
       "error: inline assembly \"movb ${0:h}, %al\" is not supported: this register has no high byte"},
      {"crc32q $1, $0; pcmpistri $$12, $2, $3",
       {gp(reg::rax, 8), gp(reg::rcx, 8), fp(1), fp(9)},
       "crc32q %rcx, %rax; pcmpistri $12, %xmm1, %xmm9"},
      {"fld1; fxch %st(1)", {}, "fld1; fxch %st(1)"},
      {"fpatan", {}, "fpatan"},
      {"fxch; fucompp; faddp", {}, "fxch %st(1); fucompp; faddp %st, %st(1)"},
      {"fmul %st(2)\n\tfsubrp %st, %st(3)\n\tfadd %st(1), %st\n\tfadd %st, %st(1)",
       {},
       "fmul %st(2), %st; fsubrp %st, %st(3); fadd %st(1), %st; fadd %st, %st(1)"},
      {"fcomip %st(1), %st; fcmovnbe %st(2), %st", {}, "fcompi %st(1), %st; fcmovnbe %st(2), %st"},
      {"fildq $0; fmull $0; fistpl $0", {mem(m, 8)}, "fildll 8(%rdi); fmull 8(%rdi); fistpl 8(%rdi)"},
      {"fstcw $0; fstsw %ax; fclex", {mem(m, 2)}, "wait; fnstcw 8(%rdi); wait; fnstsw %ax; wait; fnclex"},
      // conditions of the assembler's
      {".if 1\n nop\n .else\n pause\n .endif", {}, "nop"},
      {".if 2 * 3 == 6 && (1 << 4) > 0x0f\n nop\n .endif", {}, "nop"},
      {".if 0\n frobnicate\n 1: .if 1\n nop\n .endif\n .elseif ${0:c} - 8\n pause\n .elseif 1\n mfence\n .endif; "
       "sfence",
       {imm(9)},
       "pause; sfence"},
      {".ifeq 0; nop; .else; pause; .endif; .iflt 1; mfence; .endif", {}, "nop"},
      {"movl $$(1 + 2) * -4, %eax; .byte 0x90 | 1, 'a", {}, "movl $-12, %eax; bytes 145 97"},
      // VEX; modifiers of vector registers
      {"vcvtph2ps $1, ${0:t}; vcvtps2ph $$4, $1, $0",
       {fp(9), fp(2)},
       "vcvtph2ps %xmm2, %ymm9; vcvtps2ph $4, %xmm2, %xmm9"},
      {"vzeroupper; ret", {}, "vzeroupper; retq"},
      // refused, by name
      {"movaps ${0:g}, %xmm1",
       {fp(1)},
       "error: inline assembly \"movaps ${0:g}, %xmm1\" is not supported: unknown operand modifier"},
      {".if foo\n nop\n .endif", {}, "error: inline assembly, line 1: the condition is not a constant"},
      {".ifdef foo\n nop\n .endif", {}, ""},
      {".if 1", {}, "error: inline assembly, line 1: an .if without .endif"},
      {".endif", {}, "error: inline assembly, line 1: there is no .if"},
      {"vaddps %zmm0, %zmm1, %zmm2", {}, "error: inline assembly, line 1: this is no register"},
      {"add $0, 8(%rax)", {imm(1)}, "error: inline assembly, line 1: the instruction does not take these operands"},
      {"movl $0, %eax",
       {imm(1ll << 40)},
       "error: inline assembly, line 1: the instruction does not take these operands"},
      {"jmp 1f", {}, "error: inline assembly \"jmp 1f\" is not supported: a label is not defined in it"},
      {".balign 12", {}, "error: inline assembly \".balign 12\" is not supported"},
      {".p2align 4, 0xcc", {}, "error: inline assembly \".p2align 4, 0xcc\" is not supported"},
      {".p2align 40", {}, "error: inline assembly \".p2align 40\" is not supported"},
      {".section foo", {}, "error: inline assembly \".section foo\" is not supported: it ends in another section"},
      {"mov $7, %eax", {}, "error: inline assembly \"mov $7, %eax\" is not supported: there is no such operand"},
      {"movl (%rax,%rsp), %eax", {}, "error: inline assembly, line 1: the stack pointer cannot be an index"},
      {"lock", {}, "error: inline assembly \"lock\" is not supported: a prefix without an instruction"},
  };
  for (const Row& r : rows) {
    INFO(r.text);
    CHECK(assembled(r.text, r.values) == r.expected);
  }
}

TEST_CASE("x86_64 inline asm: Intel's syntax, and what else assemblers know", "[x86_64]") {
  struct Row {
    const char* text;
    std::vector<AsmValue> values;
    const char* expected;
  };
  const Mem m = Mem::at(reg::rdi, 8);
  const std::vector<Row> intel = {
      {"mov $0, $1", {gp(reg::rax, 8), gp(reg::rcx, 8)}, "movq %rcx, %rax"},
      {"mov ${0:e}, 5",
       {gp(reg::rax, 8)},
       "error: inline assembly \"mov ${0:e}, 5\" is not supported: unknown operand modifier"},
      {"mov ${0:k}, 5", {gp(reg::rax, 8)}, "movl $5, %eax"},
      {"mov $0, qword ptr [$1 + 8*$2 - 4]",
       {gp(reg::rax, 8), gp(reg::rcx, 8), gp(reg::rdx, 8)},
       "movq -4(%rcx,%rdx,8), %rax"},
      {"mov $0, $1", {gp(reg::rax), mem(m)}, "movl 8(%rdi), %eax"},
      {"inc dword ptr $0", {mem(m)}, "incl 8(%rdi)"},
      {"inc $0", {mem(m)}, "error: inline assembly, line 1: the operand's size is not said (byte ptr, dword ptr ...)"},
      {"add $0, $1", {gp(reg::rax, 8), imm(7)}, "addq $7, %rax"},
      {"mov $0, rbx\ncpuid\nxchg $0, rbx", {gp(reg::rsi, 8)}, "movq %rbx, %rsi; cpuid; xchgq %rbx, %rsi"},
      {"call ${0:P}", {reference(4)}, "call_ref ref4"},
      {"lea $0, [rip + $1]", {gp(reg::rax, 8), reference(2)}, "leaq ref2(%rip), %rax"},
      {"mov $0, offset $1", {gp(reg::rax, 8), reference(2)}, "lea_ref ref2, %rax"},
      {"2: dec $0\njnz 2b", {gp(reg::rcx)}, "decl %ecx; jne .0"},
      {"$(addl $1,$0$|add $0,$1$)", {gp(reg::rcx), gp(reg::rdx)}, "addl %edx, %ecx"},
      {"movzx $0, byte ptr [$1]", {gp(reg::rax), gp(reg::rcx, 8)}, "movzbl (%rcx), %eax"},
      {"movaps $0, xmmword ptr [$1]", {fp(3), gp(reg::rcx, 8)}, "movaps (%rcx), %xmm3"},
      {"lock xadd qword ptr [$0], $1", {gp(reg::rcx, 8), gp(reg::rax, 8)}, "lock xaddq %rax, (%rcx)"},
      {"rep movsb", {}, "rep movsb"},
      {"mov rax, fs:[0x28]", {}, "movq %fs:40, %rax"},
      {"vaddps ymm0, ymm1, ymmword ptr [rax]", {}, "vaddps (%rax), %ymm1, %ymm0"},
      {".att_syntax\nmovl %eax, %ecx\n.intel_syntax noprefix\nmov ecx, eax", {}, "movl %eax, %ecx; movl %eax, %ecx"},
  };
  auto same = [](const Row& r, bool is_intel) {
    INFO(r.text);
    CHECK(assembled(r.text, r.values, is_intel) == r.expected);
  };
  for (const Row& r : intel) same(r, true);
  const std::vector<Row> att = {
      {".set k, 3\n.rept k - 1\nnop\n.endr", {}, "nop; nop"},
      {".macro two a\n\\a\n\\a\n.endm\ntwo pause", {}, "pause; pause"},
      {".irp r, eax, ecx\nincl %\\r\n.endr", {}, "incl %eax; incl %ecx"},
      {"leaq 1f(%rip), %rax\n1:", {}, "lea_label .1, %rax; label"},
      {"addr32 movl (%rax), %ecx", {}, "bytes 103; movl (%rax), %ecx"},
      {"outb %al, $$0x80", {}, "bytes 230 128"},
      {"mov %cr3, $0", {gp(reg::rcx, 8)}, "movq %cr3, %rcx"},
      {"xsave64 $0", {mem(Mem::slot(2))}, "xsave64 slot2+0"},
      {".intel_syntax noprefix\nmov eax, ecx\n.att_syntax", {}, "movl %ecx, %eax"},
  };
  for (const Row& r : att) same(r, false);

  mir::FunctionDraft draft;
  MirWriter w(draft);
  auto failed = assemble("nop\n  movl %eax, %foo", {}, w);
  REQUIRE(!failed.ok());
  CHECK(failed.error().message ==
        "inline assembly, line 2: this is no register\n>>>   movl %eax, %foo\n>>>              ^");
}

TEST_CASE("x86_64 inline asm: constraints", "[x86_64]") {
  AsmStatement s = parsed("cpuid", "={ax},=&{bx},={ecx},={dx},0,2,~{dirflag},~{fpsr},~{flags},~{memory},~{r8},~{xmm3}");
  REQUIRE(s.operands.size() == 6);
  CHECK(s.operands[0].fixed == reg::rax);
  CHECK(s.operands[1].early_clobber);
  CHECK(s.operands[1].fixed == reg::rbx);
  CHECK(s.operands[2].fixed == reg::rcx);
  CHECK(s.operands[4].tied == 0);
  CHECK(s.operands[5].tied == 2);
  CHECK(s.memory_clobber);
  CHECK(s.gp_clobbers == 1 << 8);
  CHECK(s.fp_clobbers == 1 << 3);
  CHECK(!s.moves_stack);

  s = parsed("lock xaddl $0, $1", "=r,=*m,0,*m,~{memory}");
  CHECK(s.operands[1].indirect);
  CHECK(s.operands[1].memory);
  CHECK(s.operands[1].output);
  CHECK(s.operands[3].indirect);
  CHECK(!s.operands[3].output);

  s = parsed("", "imr,I,x,q,Q,g,{r11},D,^Yz,{st}");
  CHECK((s.operands[0].gp && s.operands[0].memory && s.operands[0].immediate));
  CHECK(accepts_immediate(s.operands[0], 1ll << 40));
  CHECK(accepts_immediate(s.operands[1], 31));
  CHECK(!accepts_immediate(s.operands[1], 32));
  CHECK(s.operands[2].fp);
  CHECK(s.operands[4].legacy_byte);
  CHECK(s.operands[6].fixed == reg::r11);
  CHECK(s.operands[7].fixed == reg::rdi);
  CHECK(s.operands[8].fp);
  CHECK(s.operands[9].x87);

  s = parsed("btl $2, $1; movb ${3:h}, %al", "={@ccc},*m,Ir,r,!i");
  CHECK(s.operands[0].condition);
  CHECK(s.operands[0].cond == Cond::b);
  CHECK(s.operands[3].legacy_byte);
  CHECK(s.operands[4].label);

  CHECK(parsed("pushfq; popq $0", "=r").moves_stack);
  CHECK(!parsed("popcnt $1, $0", "=r,r").moves_stack);
  CHECK(parsed("call ${0:P}", "i").moves_stack);
  for (const char* bad : {"+r", "7", "={nonsense}", "={@ccxyz}", "{@ccz}", "r0", "{", "=r,1", "*r", "~{nonsense}"}) {
    INFO(bad);
    CHECK(!parse_inline_asm("nop", bad).ok());
  }
}

TEST_CASE("x86_64 inline asm: alternatives", "[x86_64]") {
  const char* constraints = "=*&imr|x,*0,r|m|i";
  AsmStatement s = parsed("", constraints);
  CHECK(s.alternatives == 3);
  CHECK((s.operands[0].indirect && s.operands[0].memory && s.operands[0].early_clobber && !s.operands[0].fp));
  CHECK((s.operands[1].indirect && s.operands[1].tied == 0));
  CHECK((s.operands[2].gp && !s.operands[2].memory));
  auto second = parse_inline_asm("", "=r|x,0,r|m|i", 1);
  REQUIRE(second.ok());
  CHECK((second->operands[0].fp && !second->operands[0].gp && second->operands[0].output));
  CHECK((second->operands[2].memory && !second->operands[2].gp));
  CHECK(parsed("", "=r,r").alternatives == 1);
}

TEST_CASE("x86_64 asm: constant expressions", "[x86_64]") {
  struct Row {
    const char* text;
    int64_t value;
  };
  const Row rows[] = {{"1+2*3", 7},       {"(1+2)*3", 9}, {"1<<4|1", 17},
                      {"~0", -1},         {"!0", 1},      {"!5", 0},
                      {"- - 3", 3},       {"7 == 7", -1}, {"7<>7", 0},
                      {"2 == 1 + 1", -1}, {"1 && 2", 1},  {"0 || 0", 0},
                      {"0x10-010", 8},    {"0b101", 5},   {"'a", 97},
                      {"-1 >> 60", 15},   {"-7 / 2", -3}, {"-7 % 2", -1},
                      {"1 << 64", 0},     {"6 ! 1", -2},  {"0x8000000000000000 / -1", INT64_MIN},
                      {"3 & 6 ^ 1", 3}};
  for (const Row& r : rows) {
    INFO(r.text);
    int64_t v = 0;
    REQUIRE(codegen::evaluate_constant(r.text, v));
    CHECK(v == r.value);
  }
  int64_t v;
  for (const char* bad : {"", "1+", "(1", "1)", "1 2", "foo", "1/0", "1%0", "08", "0x", "12ab", ".", "1 = 1"}) {
    INFO(bad);
    CHECK(!codegen::evaluate_constant(bad, v));
  }
  CHECK(!codegen::evaluate_constant(std::string(1000, '('), v));
  CHECK(!codegen::evaluate_constant(std::string(1000, '-') + "1", v));
}
