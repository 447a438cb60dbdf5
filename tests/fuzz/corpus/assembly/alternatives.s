661: call *%rax
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
