 lgdt (%rax)
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
