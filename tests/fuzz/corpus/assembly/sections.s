.section .rodata.str1.1,"aMS",@progbits,1
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
