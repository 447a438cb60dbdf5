# Each relocation of riscv64 once, by directives where an instruction would not say enough.
  .option rvc
  .text
  .globl _start, callee
  .type _start, @function
_start:
  call callee
  tail callee
  lui a0, %hi(datum)
  lw a0, %lo(datum)(a0)
  lui a1, %hi(datum + 4)
  sw a0, %lo(datum + 4)(a1)
.L1:
  auipc a0, %pcrel_hi(datum)
  addi a1, a0, %pcrel_lo(.L1)
  sd a1, %pcrel_lo(.L1)(a0)
.L2:
  auipc a0, %got_pcrel_hi(datum)
  ld a0, %pcrel_lo(.L2)(a0)
.L3:
  auipc a0, %tls_ie_pcrel_hi(own)
  ld a0, %pcrel_lo(.L3)(a0)
  add a0, a0, tp
.L4:
  auipc a0, %tls_gd_pcrel_hi(own)
  addi a0, a0, %pcrel_lo(.L4)
  call __tls_get_addr@plt
  lui a0, %tprel_hi(own)
  add a0, a0, tp, %tprel_add(own)
  lw a1, %tprel_lo(own)(a0)
  sw a1, %tprel_lo(own)(a0)
.L5:
  auipc a0, %tlsdesc_hi(own)
  ld a1, %tlsdesc_load_lo(.L5)(a0)
  addi a0, a0, %tlsdesc_add_lo(.L5)
  jalr t0, 0(a1), %tlsdesc_call(.L5)
  .p2align 4
  beq a0, a1, callee
  beqz a0, .L6
  j .L6
  jal callee
.L6:
  c.j callee
  ret
  .size _start, . - _start
  .weak nobody
callee:
  call nobody
  lla gp, __global_pointer$
  ret
  .section .gcc_except_table, "a"
  .uleb128 .L6 - .L1
  .byte .L6 - .L5
  .half .L6 - .L1
  .word .L6 - .L1
  .dword .L6 - .L1
  .word callee - .
  .section .data.rel.ro, "aw"
  .dword callee, datum
  .reloc ., R_RISCV_32_PCREL, callee
  .reloc ., R_RISCV_PLT32, callee
  .word 0
  .reloc ., R_RISCV_GOT32_PCREL, datum
  .word 0
  .reloc ., R_RISCV_SET6, .L6
  .reloc ., R_RISCV_SUB6, .L1
  .byte 0
  .section .sdata, "aw"
datum:
  .dword 1
  .section .tdata, "awT"
own:
  .word 2
