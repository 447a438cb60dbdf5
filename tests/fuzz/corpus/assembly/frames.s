.globl f
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
