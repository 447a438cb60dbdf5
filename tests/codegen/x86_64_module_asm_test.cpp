// Module-level assembly: what is made of each text is what clang makes of it: bytes, relocations, symbols.
#include <catch2/catch.hpp>

#include <algorithm>
#include <map>
#include <set>

#include "base/bytes.h"
#include "codegen/x86_64/module_assembler.h"
#include "formats/elf/reader.h"
#include "tests/support/run.h"
#include "tests/support/skip.h"

using namespace lode;
using namespace lode::formats::elf;
using codegen::AsmObject;
using codegen::AsmObjectSymbol;

namespace {

// An object as text: sections with their bytes, relocations, symbols. Places that have no name of their own, or a local
// one, are told by section and offset.
struct Seen {
  std::map<std::string, std::string> parts;
  std::string text() const {
    std::string out;
    for (auto& [name, part] : parts) out += name + "\n" + part;
    return out;
  }
};

std::string hex(const uint8_t* p, size_t n) {
  std::string out;
  char buf[4];
  for (size_t i = 0; i < n; i++) {
    std::snprintf(buf, sizeof buf, i % 32 ? " %02x" : "\n  %02x", p[i]);
    out += buf;
  }
  return out + "\n";
}

std::string section_text(uint32_t type, uint64_t flags, uint64_t entsize, uint64_t align, const std::string& bytes) {
  return "  type " + std::to_string(type) + " flags " + std::to_string(flags) + " entsize " + std::to_string(entsize) +
         " align " + std::to_string(align) + bytes;
}

std::string symbol_text(const std::string& where, uint64_t value, uint64_t size, unsigned bind, unsigned type,
                        unsigned visibility) {
  return "  " + where + "+" + std::to_string(value) + " size " + std::to_string(size) + " bind " +
         std::to_string(bind) + " type " + std::to_string(type) + " visibility " + std::to_string(visibility) + "\n";
}

std::string plus(int64_t v) { return (v < 0 ? "" : "+") + std::to_string(v); }

Seen seen(const AsmObject& o) {
  Seen out;
  std::set<uint32_t> mentioned;
  for (const auto& s : o.sections)
    for (const auto& r : s.relocations) mentioned.insert(r.symbol);
  for (const auto& s : o.sections) {
    if (!s.type || (s.bytes.empty() && !s.size)) continue;
    const bool nobits = s.type == SHT_NOBITS;
    out.parts["section " + s.name] += section_text(
        s.type, s.flags, s.entsize, s.align,
        nobits ? " size " + std::to_string(s.size) + "\n" : hex(s.bytes.data(), s.bytes.size()));
    std::string relocations;
    for (const auto& r : s.relocations) {
      std::string target;
      int64_t addend = r.addend;
      if (r.symbol == ~0u) {
        target = o.sections[r.section].name;
      } else {
        const AsmObjectSymbol& x = o.symbols[r.symbol];
        target = x.name;
        if (x.place == AsmObjectSymbol::Place::section && x.bind == STB_LOCAL) {
          target = o.sections[x.section].name;
          addend += int64_t(x.value);
        }
      }
      relocations +=
          "  " + std::to_string(r.offset) + " type " + std::to_string(r.type) + " " + target + plus(addend) + "\n";
    }
    if (!relocations.empty()) out.parts["relocations of " + s.name] = relocations;
  }
  for (uint32_t i = 0; i < o.symbols.size(); i++) {
    const AsmObjectSymbol& x = o.symbols[i];
    using Place = AsmObjectSymbol::Place;
    if (x.name.starts_with(".L") || x.name.find('#') != std::string::npos || x.name.empty()) continue;
    if (x.place == Place::undefined && !mentioned.count(i)) continue;
    const std::string where = x.place == Place::section    ? o.sections[x.section].name
                              : x.place == Place::absolute ? "absolute"
                              : x.place == Place::common   ? "common"
                                                           : "undefined";
    out.parts["symbol " + x.name] = symbol_text(where, x.value, x.size, x.bind, x.type, x.visibility);
  }
  return out;
}

Seen seen(const ElfView& v) {
  Seen out;
  std::set<uint32_t> mentioned;
  for (const Shdr& s : v.sections) {
    if (s.type != SHT_RELA) continue;
    auto relocations = records<Rela>(v, s, "relocations");
    if (!relocations.ok()) continue;
    const std::string name(v.section_name(s.info));
    std::string text;
    for (const Rela& r : *relocations) {
      const Sym& x = v.symbols[r.sym];
      mentioned.insert(r.sym);
      const uint32_t section = v.symbol_section(r.sym);
      std::string target(v.symbol_name(x));
      int64_t addend = r.addend;
      if (x.bind() == STB_LOCAL && section && section < SHN_LORESERVE) {
        target = v.section_name(section);
        addend += int64_t(uint64_t(x.value));
      }
      text += "  " + std::to_string(r.offset) + " type " + std::to_string(r.type) + " " + target + plus(addend) + "\n";
    }
    out.parts["relocations of " + name] = text;
  }
  for (uint32_t i = 1; i < v.sections.size(); i++) {
    const Shdr& s = v.sections[i];
    const std::string name(v.section_name(i));
    if (s.type == SHT_RELA || s.type == SHT_SYMTAB || s.type == SHT_STRTAB || s.type == SHT_GROUP || !s.size ||
        name.starts_with(".llvm"))
      continue;
    const uint32_t type = name == ".eh_frame" ? uint32_t(SHT_PROGBITS) : uint32_t(s.type);
    const auto data = v.section_data(s);
    out.parts["section " + name] += section_text(
        type, uint64_t(s.flags) & ~uint64_t(SHF_GROUP), s.entsize, s.addralign,
        s.type == SHT_NOBITS ? " size " + std::to_string(s.size) + "\n" : hex(data.data(), data.size()));
  }
  for (uint32_t i = 1; i < v.symbols.size(); i++) {
    const Sym& x = v.symbols[i];
    if (x.type() == STT_SECTION || x.type() == STT_FILE) continue;
    const uint32_t section = v.symbol_section(i);
    if (section == SHN_UNDEF && !mentioned.count(i)) continue;
    if (v.symbol_name(x).starts_with(".L")) continue;
    const std::string name(v.symbol_name(x)), where = section == SHN_UNDEF    ? "undefined"
                                                      : section == SHN_ABS    ? "absolute"
                                                      : section == SHN_COMMON ? "common"
                                                                              : std::string(v.section_name(section));
    out.parts["symbol " + name] = symbol_text(where, x.value, x.size, x.bind(), x.type(), x.visibility());
  }
  return out;
}

void compare(const std::string& text) {
  INFO(text);
  test::TempDir dir;
  const std::string source = dir.write("t.s", text), object = dir.file("t.o");
  auto made = test::run({"clang-19", "-c", source, "-o", object});
  INFO(made.describe());
  REQUIRE(made.ok());
  const std::string bytes = test::read_file(object);
  auto view = ElfView::open({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
  REQUIRE(view.ok());
  auto ours = x86_64::assemble_module(text);
  if (!ours.ok()) FAIL(ours.error().text());
  Seen a = seen(*ours), b = seen(*view);
  std::string differences;
  for (auto& [name, part] : b.parts)
    if (a.parts[name] != part) differences += name + "\nclang" + part + "lode" + a.parts[name];
  for (auto& [name, part] : a.parts)
    if (!b.parts.count(name) && !part.empty()) differences += name + "\nclang has none, lode" + part;
  CHECK(differences == "");
}

bool have_clang() { return test::have_tool("clang-19"); }

// The corpus: one text a paragraph.
const char* const corpus[] = {
    // branches and symbols
    R"(.globl foo
foo: nop
 jmp foo
 call foo
 jne foo
 call bar
 jmp .L1
 .weak w
w: nop
 jmp w
 .hidden h
 jmp h
h: ret
 .L1: jmp 1f
 .fill 130, 1, 0xcc
1: jne 1b
 jrcxz 1b
 loop 1b
 jmp local
local: call local
 jmp *%rax
 call *8(%rax)
 jmp *foo@GOTPCREL(%rip)
 call *foo@GOTPCREL(%rip)
 .byte local-foo
)",
    R"(a: jmp b
 .skip 124
b: jmp a
 jmp a
 jne c
 .skip 130
c: je b
 .p2align 4
 jmp c
 .balign 32,0xcc
 .p2align 5,,3
 nop
 .p2align 3
)",
    // addressing
    R"( mov foo@GOTPCREL(%rip),%rax
 mov foo@GOTPCREL(%rip),%r9
 mov foo@GOTPCREL(%rip),%eax
 add foo@GOTPCREL(%rip),%rax
 cmpq $0,foo@GOTPCREL(%rip)
 push foo@GOTPCREL(%rip)
 lea foo@GOTPCREL(%rip),%rax
 mov %fs:foo@tpoff,%eax
 mov %fs:0,%rax
 lea foo@TPOFF(%rax),%rcx
 mov foo@gottpoff(%rip),%rdx
 add foo@gottpoff(%rip),%rdx
 data16
 leaq x@tlsgd(%rip),%rdi
 .value 0x6666
 rex64
 call __tls_get_addr@PLT
 leaq x@tlsld(%rip),%rdi
 leaq x@dtpoff(%rax),%rdi
 mov $foo,%eax
 mov $foo,%rax
 movabs $foo,%rax
 movabs foo,%rax
 movabs %al,foo
 pushq $foo
 movl $foo+4,8(%rax)
 movq $foo,8(%rax,%rcx,2)
 mov foo,%ecx
 mov foo(,%rax,4),%rcx
 mov foo-4(%rip),%rcx
 cmpl $7,foo+8(%rip)
 cmpb $7,foo(%rip)
 add $foo,%rax
 lea (%eax),%ecx
 mov (%eax,%ecx,2),%edx
 movq %fs:(%rax),%rbx
 mov %es:(%rax),%bl
 lea _GLOBAL_OFFSET_TABLE_(%rip),%rbx
)",
    // data
    R"(.data
 .byte 1,2,0xff,-1,'a'
 .short 1,-1; .value 2; .2byte 3
 .long 1,foo,bar-.,x-y
x: .quad foo, foo+8, x, y-x
y: .ascii "a\n\"b\0"
 .asciz "c","d"
 .string "e\x41\101"
 .zero 5
 .skip 3,7
 .fill 3,2,0x1234
 .space 2
 .uleb128 300
 .sleb128 -300
 .uleb128 y-x
 .float 1.5,-2
 .double 0.1
 .balign 8
 .org x+200
z: .byte 9
 .size z,.-z
 .type z,@object
 .long foo@GOTPCREL
 .quad foo@GOTOFF
 .long (3+4)*2-1
 .set k,5
 .long k, k*2
 k2 = k+1
 .byte k2
 .equ here,.
 .long here-x
)",
    // sections
    R"(.section .rodata.str1.1,"aMS",@progbits,1
.LC0: .string "hello"
.LC1: .string "world"
 .text
 lea .LC1(%rip),%rdi
 .section .init_array,"aw"
 .quad f
 .section foo,"ax",@progbits
f: ret
 .pushsection .bss
b: .zero 16
 .popsection
 ret
 .previous
 .section .tbss,"awT",@nobits
 .globl t
t: .zero 4
 .section .tdata,"awT",@progbits
t2: .long 5
 .text
 mov %fs:t2@tpoff,%eax
 .subsection 1
 .long 1
 .subsection 0
 .long 2
 .section .note.x,"a",@note
 .long 1,2,3
 .local l
 .comm l,8,8
 .comm g,16,32
)",
    // symbols
    R"(.globl f,g
 .type f,@function
f: ret
 .size f,.-f
 .set g,f
 .weak h
 .set h,f
 .protected p
 .globl p
p: call h
 .hidden q
 .weak u
 call q
 call u
 .type i,@gnu_indirect_function
 .globl i
i: jmp i
 .set abs,42
 .globl abs
 mov $abs,%eax
 lea f(%rip),%rax
 .quad i, p, h
)",
    // macros, repetition, conditions
    R"(.macro save r1, r2=%rbx, rest:vararg
 push \r1
 push \r2
 .ifnb \rest
 .irp r,\rest
 push \r
 .endr
 .endif
.endm
 save %rax
 save %rax,%rcx
 save %rax,%rcx,%rdx,%rsi
 .rept 3
 nop
 .endr
 .irpc c,123
 .byte \c
 .endr
 .macro count n
 .if \n
 .byte \n
 count (\n-1)
 .endif
 .endm
 count 4
 .ifdef save_all
 hlt
 .else
 cli
 .endif
 .set save_all,1
 .ifdef save_all
 sti
 .endif
 .ifndef nothing; .byte 7; .endif
 .ifc a,a
 .byte 8
 .endif
 .macro lab
.Llab\@: jmp .Llab\@
 .endm
 lab
 lab
 .macro strs a:req
 .ascii "\a"
 .endm
 strs "x y"
 .macro early
 .byte 1
 .exitm
 .byte 2
 .endm
 early
)",
    // unwinding
    R"(.globl f
f: .cfi_startproc
 push %rbp
 .cfi_def_cfa_offset 16
 .cfi_offset %rbp,-16
 mov %rsp,%rbp
 .cfi_def_cfa_register %rbp
 .cfi_remember_state
 push %rbx
 .cfi_rel_offset rbx,-8
 .fill 300,1,0x90
 pop %rbx
 .cfi_restore %rbx
 leave
 .cfi_def_cfa %rsp,8
 ret
 .cfi_restore_state
 ret
 .cfi_endproc
g: .cfi_startproc
 .cfi_personality 0x9b,DW.ref.p
 .cfi_lsda 0x1b,.Lt
 .cfi_signal_frame
 sub $24,%rsp
 .cfi_adjust_cfa_offset 24
 add $24,%rsp
 .cfi_adjust_cfa_offset -24
 .cfi_undefined r15
 .cfi_same_value r14
 .cfi_register r13,rax
 .cfi_escape 0x0f,0x03,0x77,0x08,0x06
 ret
 .cfi_endproc
 .section .gcc_except_table,"a"
.Lt: .byte 1
)",
    // Intel's syntax
    R"(.intel_syntax noprefix
 mov rax, rbx
 mov eax, 5
 mov rax, -1
 mov rax, 0x123456789ab
 mov al, byte ptr [rdi]
 mov qword ptr [rax + 8], 1
 mov dword ptr [rax+rcx*4-0x10], ecx
 mov rax, qword ptr [rip + sym]
 mov rax, [rip + sym@GOTPCREL]
 mov rax, fs:[0]
 mov rax, qword ptr fs:[rax + 16]
 lea rax, [rdi + rsi]
 lea rdx, [rip + sym + 4]
 lea rdx, sym[rip]
 movzx eax, byte ptr [rdi]
 movzx eax, word ptr [rdi+rax]
 movzx eax, cl
 movsxd rax, ecx
 movsx eax, byte ptr [rax]
 add rax, 127
 add rax, 128
 add dword ptr [rsp+4], 300
 imul eax, ecx, 7
 imul rax, rcx
 shl rax, 3
 shl rax, cl
 shr dword ptr [rax], 1
 push rax
 pop rbx
 push 5
 call sym
 call [rax]
 call qword ptr [rip + sym@GOTPCREL]
 jmp sym
 jmp rax
 jne 1f
1: cmove rax, rbx
 sete al
 xchg rax, rbx
 lock xadd qword ptr [rax], rcx
 lock cmpxchg16b [rdi]
 rep movsb
 rep stosq
 cpuid
 cdqe
 cqo
 movaps xmm0, xmmword ptr [rax]
 movss xmm1, dword ptr [rax]
 movsd xmm1, qword ptr [rax]
 cvtsi2sd xmm0, rax
 cvtsi2sd xmm0, dword ptr [rax]
 cvttsd2si eax, xmm0
 pshufd xmm0, xmm1, 0x1b
 fld dword ptr [rax]
 fld qword ptr [rax]
 fld tbyte ptr [rax]
 fstp st(1)
 fadd st, st(1)
 fsubp st(1), st
 fild word ptr [rax]
 in al, dx
 out 0x80, al
 mov eax, ds
 mov cr0, rax
 test byte ptr [rax], 1
 mov edi, offset sym
 ret
 .att_syntax
 movl $5,%eax
)",
    // system instructions
    R"( lgdt (%rax)
 lidt 8(%rax)
 ltr %ax
 lldt %ax
 str %eax
 mov %cr3,%rax
 mov %rax,%cr4
 mov %rax,%cr8
 mov %dr7,%rax
 mov %ds,%eax
 mov %eax,%ds
 mov %ax,%es
 mov %fs,(%rax)
 mov (%rax),%gs
 push %fs
 pop %gs
 wrmsr
 rdmsr
 swapgs
 sysretq
 sysretl
 iretq
 cli
 sti
 hlt
 invlpg (%rax)
 inb %dx,%al
 inl $0x60,%eax
 outw %ax,%dx
 outsb
 rep outsl
 clac
 stac
 xsave (%rax)
 xsavec64 (%rax)
 xrstor64 (%rdi)
 fxsave64 (%rdi)
 rdfsbase %rax
 wrgsbase %ecx
 rdrand %ax
 rdseed %rcx
 rdpid %rax
 clflushopt (%rax)
 clwb (%rax)
 rdpkru
 wrpkru
 incsspq %rax
 rdsspq %rax
 wrssq %rax,(%rcx)
 adcx %rax,%rcx
 adoxl (%rax),%ecx
 movbe (%rax),%rcx
 movbe %cx,(%rax)
 sha256rnds2 %xmm1,%xmm2
 sha256rnds2 %xmm0,%xmm1,%xmm2
 sha1rnds4 $3,%xmm1,%xmm2
 aesenc %xmm1,%xmm2
 pclmulqdq $17,%xmm1,%xmm2
 pclmulhqhqdq %xmm1,%xmm2
 cmpltps %xmm1,%xmm2
 cmpneqsd (%rax),%xmm2
 monitor
 mwait
 verw (%rax)
 lsl %eax,%ecx
 lar %eax,%ecx
 ljmp *(%rax)
 lcall *(%rax)
 lretq
 int $3
 int $0x80
 int3
 ud2
 ud1 %eax,%ecx
 nopw 0(%rax,%rax)
 nopl (%rax)
 endbr64
 endbr32
 cmpxchg16b (%rdi)
 lock cmpxchg8b (%rdi)
 xbegin 1f
1: xend
 xabort $7
 enter $16,$1
 leave
 invpcid (%rax),%rcx
 vmread %rax,%rcx
 vmxon (%rax)
 movdiri %eax,(%rcx)
 paddb %mm1,%mm2
 movq %mm1,(%rax)
 movd %eax,%mm3
 psllq $3,%mm1
 lock addw $1,%fs:(%eax)
 rep stosw
 repne scasl
 movsw
 cmpsq
 notrack jmp *%rax
 cs nopw 0(%rax)
 addr32 call foo
 xchg %ax,%ax
 fstcw (%rax)
 fnstsw %ax
 fstsw %ax
 fclex
)",
    // the kernel's alternatives and tables
    R"(661: call *%rax
662:
.skip -(((6651f-6641f)-(662b-661b)) > 0) * ((6651f-6641f)-(662b-661b)),0x90
663:
 .pushsection .altinstructions,"a"
 .long 661b - .
 .long 6641f - .
 .4byte (3*32+12)
 .byte 663b-661b
 .byte 6651f-6641f
 .popsection
 .pushsection .altinstr_replacement,"ax"
6641: lfence
 call bar
6651:
 .popsection
 .pushsection __ex_table,"a"
 .balign 4
 .long (661b) - .
 .long (663b) - .
 .popsection
)",
};

}  // namespace

TEST_CASE("x86_64 module assembly: what clang makes of the corpus", "[x86_64]") {
  if (!have_clang()) LODE_SKIP("clang-19 is not installed");
  for (const char* text : corpus) compare(text);
}
