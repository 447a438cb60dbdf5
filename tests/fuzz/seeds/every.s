# Every kind of relocation that an assembler can be made to write, and sections with each flag that a linker looks at.
        .text
        .globl  _start, global_function
        .type   _start, @function
_start: .cfi_startproc
        endbr64
        call    global_function@plt
        call    local_function
        movq    global_data@gotpcrel(%rip), %rax
        movq    global_data@gotpcrel(%rip), %r12
        cmpq    imported_data@gotpcrel(%rip), %rax
        call    *imported_call@gotpcrel(%rip)
        jmp     *imported_call@gotpcrel(%rip)
        leaq    local_data(%rip), %rdi
        movl    $global_data, %eax
        movq    $global_data, %rcx
        movabsq $global_data, %rdx
        movabsq $_GLOBAL_OFFSET_TABLE_-_start, %rbx
        leaq    _GLOBAL_OFFSET_TABLE_(%rip), %rbx
        movabsq $global_data@gotoff, %rax
        movabsq $global_data@got, %rax
        movabsq $global_function@pltoff, %rax
        movl    $global_data@size, %eax
        movabsq $global_data@size, %rax
        .byte   0x66
        leaq    thread_global@tlsgd(%rip), %rdi
        .value  0x6666
        rex64
        call    __tls_get_addr@plt
        leaq    thread_local@tlsld(%rip), %rdi
        call    __tls_get_addr@plt
        leaq    thread_local@dtpoff(%rax), %rcx
        movq    thread_global@gottpoff(%rip), %rax
        addq    thread_global@gottpoff(%rip), %r12
        movq    %fs:thread_local@tpoff, %rcx
        leaq    thread_global@tlsdesc(%rip), %rax
        call    *thread_global@tlscall(%rax)
        movb    $absolute, %al
        movw    $absolute, %ax
        call    picked@plt
        leaq    picked(%rip), %rax
        .cfi_def_cfa_offset 16
        ret
        .cfi_endproc
        .size   _start, .-_start
        .section .text.local_function, "ax", @progbits
local_function:
        .cfi_startproc
        .cfi_personality 0x9b, DW.ref.personality
        .cfi_lsda 0x1b, lsda
        jmp     callee
        .cfi_endproc
        .section .text.same1, "ax", @progbits
same1:  .cfi_startproc
        leaq    string(%rip), %rax
        ret
        .cfi_endproc
        .section .text.same2, "ax", @progbits
same2:  .cfi_startproc
        leaq    string(%rip), %rax
        ret
        .cfi_endproc
        .section .text.group, "axG", @progbits, in_group, comdat
        .weak   in_group
        .type   in_group, @function
in_group:
        .cfi_startproc
        ret
        .cfi_endproc
        .section .data.group, "awG", @progbits, in_group, comdat
        .quad   in_group
        .text
        .type   picked, @gnu_indirect_function
picked: leaq    callee(%rip), %rax
        ret
        .globl  picked
        .weak   callee
callee: ret
        .type   global_function, @function
global_function: ret
        .section .gcc_except_table, "a", @progbits
lsda:   .byte   0xff, 0x9b, 0
        .long   DW.ref.personality-.
        .section .data.DW.ref.personality, "awG", @progbits, DW.ref.personality, comdat
        .hidden DW.ref.personality
        .weak   DW.ref.personality
        .type   DW.ref.personality, @object
DW.ref.personality:
        .quad   personality
        .data
        .globl  global_data
        .type   global_data, @object
        .size   global_data, 24
global_data:
        .quad   local_data, imported_data, weak_missing, same1, same2
        .long   global_data-., imported_call@plt-., local_function-.
        .quad   global_data-., picked
        .value  absolute
        .byte   absolute
local_data: .quad 1
        .weak   weak_missing
        .comm   common, 100, 64
        .lcomm  local_common, 8
        .globl  absolute
        .set    absolute, 65
        .type   unique, @gnu_unique_object
unique: .quad   0
        .section .tdata, "awT", @progbits
        .globl  thread_global
thread_global: .quad 7
thread_local: .quad thread_local_address
thread_local_address:
        .section .tbss, "awT", @nobits
        .zero   32
        .section .rodata.str1.1, "aMS", @progbits, 1
string: .string "alpha"
        .string "pha"
        .string "beta"
        .section .rodata.cst8, "aM", @progbits, 8
        .quad   1, 2, 1
        .section .rodata.str4.4, "aMS", @progbits, 4
        .long   65, 66, 0, 66, 0
        .section .init_array, "aw", @init_array
        .quad   callee
        .section .init_array.7, "aw", @init_array
        .quad   same2
        .section .fini_array, "aw", @fini_array
        .quad   callee
        .section .preinit_array, "aw", @preinit_array
        .quad   callee
        .section .ctors, "aw", @progbits
        .quad   callee, same1
        .section set_of_things, "aw", @progbits
        .quad   string
        .section .linked, "ao", @progbits, .text.same1
        .quad   same1
        .section .kept, "aR", @progbits
        .quad   same2
        .section .large, "awl", @progbits
        .quad   common
        .section .gnu.linkonce.t.old, "ax", @progbits
        ret
        .section .gnu.warning.callee, "", @progbits
        .string "callee is old"
        .section .note.test, "a", @note
        .long   4, 4, 1
        .asciz  "GNU"
        .long   0
        .section .note.gnu.property, "a", @note
        .p2align 3
        .long   4, 16, 5
        .asciz  "GNU"
        .long   0xc0000002, 4, 3, 0
        .section .debug_info, "", @progbits
        .long   8
        .quad   same1
        .long   .Lname
        .section .debug_str, "MS", @progbits, 1
.Lname: .string "a name"
        .section .note.GNU-stack, "", @progbits
        .symver global_function, versioned@@V2
        .symver callee, versioned_old@V1
        .cg_profile _start, global_function, 10
        .addrsig
        .addrsig_sym callee
