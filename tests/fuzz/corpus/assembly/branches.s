.globl foo
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
