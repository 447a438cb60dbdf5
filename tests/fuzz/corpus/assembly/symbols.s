.globl f,g
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
