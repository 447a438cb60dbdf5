.macro save r1, r2=%rbx, rest:vararg
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
