.intel_syntax noprefix
 mov rax, rbx
 mov eax, 5
 mov rax, -1
 mov rax, 0x123456789ab
 mov al, byte ptr [rdi]
 mov qword ptr [rax + 8], 1
 mov dword ptr [rax+rcx*4-0x10], ecx
 mov rax, qword ptr [rip + sym]
 mov rax, [rip + sym@GOTPCREL]
 mov rax, fs:[0]
 mov rax, qword ptr fs:[rax + 16]
 lea rax, [rdi + rsi]
 lea rdx, [rip + sym + 4]
 lea rdx, sym[rip]
 movzx eax, byte ptr [rdi]
 movzx eax, word ptr [rdi+rax]
 movzx eax, cl
 movsxd rax, ecx
 movsx eax, byte ptr [rax]
 add rax, 127
 add rax, 128
 add dword ptr [rsp+4], 300
 imul eax, ecx, 7
 imul rax, rcx
 shl rax, 3
 shl rax, cl
 shr dword ptr [rax], 1
 push rax
 pop rbx
 push 5
 call sym
 call [rax]
 call qword ptr [rip + sym@GOTPCREL]
 jmp sym
 jmp rax
 jne 1f
1: cmove rax, rbx
 sete al
 xchg rax, rbx
 lock xadd qword ptr [rax], rcx
 lock cmpxchg16b [rdi]
 rep movsb
 rep stosq
 cpuid
 cdqe
 cqo
 movaps xmm0, xmmword ptr [rax]
 movss xmm1, dword ptr [rax]
 movsd xmm1, qword ptr [rax]
 cvtsi2sd xmm0, rax
 cvtsi2sd xmm0, dword ptr [rax]
 cvttsd2si eax, xmm0
 pshufd xmm0, xmm1, 0x1b
 fld dword ptr [rax]
 fld qword ptr [rax]
 fld tbyte ptr [rax]
 fstp st(1)
 fadd st, st(1)
 fsubp st(1), st
 fild word ptr [rax]
 in al, dx
 out 0x80, al
 mov eax, ds
 mov cr0, rax
 test byte ptr [rax], 1
 mov edi, offset sym
 ret
 .att_syntax
 movl $5,%eax
