a: jmp b
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
