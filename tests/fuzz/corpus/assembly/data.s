.data
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
