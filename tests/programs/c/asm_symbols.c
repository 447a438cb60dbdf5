/* More inline assembly: alternatives, names of symbols, calls, fixed registers, sizes. The hash is that of clang's own build. */
#ifdef __x86_64__
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#define NI __attribute__((noinline))
static unsigned long hash = 5381;
static void note(const char *format, ...) {
  char text[400];
  va_list list;
  va_start(list, format);
  vsnprintf(text, sizeof text, format, list);
  va_end(list);
  for (const char *p = text; *p; p++) hash = hash * 33 + (unsigned char)*p;
}
NI static int alt(int y){ int x; __asm__("movl %1,%0":"=r,m"(x):"r,r"(y)); return x; }
NI static int alt2(int y){ int x; __asm__("movl %1,%0":"=r,r"(x):"r,m"(y)); return x; }
NI static uint64_t named(uint64_t a){ uint64_t r; __asm__("leaq (%[in],%[in],2), %[out]":[out]"=r"(r):[in]"r"(a)); return r; }
NI static int regvar(int a){ register int x __asm__("r12")=a; __asm__("addl $3,%0":"+r"(x)); return x; }
NI static unsigned sz(unsigned char c,unsigned short s){ unsigned r; __asm__("movzbl %1,%0":"=r"(r):"qm"(c)); unsigned q; __asm__("movzwl %1,%0":"=r"(q):"rm"(s)); return r*1000+q; }
NI static double cv(int i){ double d; __asm__("cvtsi2sd %1,%0":"=x"(d):"rm"(i)); return d; }
NI static float ms(float a,float b){ __asm__("movaps %1,%%xmm3; addss %0,%%xmm3; movaps %%xmm3,%0":"+x"(a):"x"(b):"xmm3"); return a; }
NI static void xch(int*a,int*b){ __asm__ volatile("xchgl %0,%1":"+r"(*a),"+m"(*b)); }
NI static int cmpx(int*p,int o,int n){ int r; __asm__ volatile("lock cmpxchgl %2,%1":"=a"(r),"+m"(*p):"r"(n),"0"(o):"memory","cc"); return r; }
NI static uint64_t rdfs(void){ uint64_t r; __asm__("movq %%fs:0,%0":"=r"(r)); return r!=0; }
NI static int jmp(int x){ int r; __asm__("testl %1,%1\n\tjns 2f\n1:\tmovl $-1,%0\n\tjmp 3f\n2:\tjz 4f\n\tmovl $1,%0\n\tjmp 3f\n4:\txorl %0,%0\n3:":"=&r"(r):"r"(x):"cc"); return r; }
NI static int memonly(void){ int x=5; __asm__("incl %0; shll $2,%0":"+m"(x)); return x; }
NI static int barrier(int*p){ *p=1; __asm__ volatile("":::"memory"); *p=2; __asm__ volatile("":"+m"(*p)); return *p; }
__attribute__((used)) static int arr[4]={1,2,3,4};
NI static int sym(void){ int r; __asm__("movl arr+8(%%rip),%0":"=r"(r)); return r; }
NI static int idx(long i){ int r; __asm__("movl (%1,%2,4),%0":"=r"(r):"r"(arr),"r"(i)); return r; }
NI static int popc(unsigned x){ unsigned r; __asm__("popcntl %1,%0":"=r"(r):"r"(x)); return r; }
NI static unsigned long bsr(unsigned long x){ __asm__("bsrq %1,%0":"=r"(x):"rm"(x):"cc"); return x; }
NI static __int128 mul(uint64_t a,uint64_t b){ uint64_t lo,hi; __asm__("mulq %3":"=a,a"(lo),"=d,d"(hi):"a,a"(a),"r,m"(b)); return (__int128)hi<<64|lo; }
NI static int callp(void){ int r; __asm__ volatile("call helper":"=a"(r)::"rcx","rdx","rsi","rdi","r8","r9","r10","r11","memory","cc"); return r; }
__attribute__((used)) int helper(void){ return 99; }
int main(){ int a=1,b=2; xch(&a,&b); int c=7; int o=cmpx(&c,7,9);
 note("%d %d %lu %d %u %g %g %d %d %d %d %lu %d %d %d %d %d %d %d %d %lu %lx\n",alt(5),alt2(6),named(7),regvar(8),sz(200,60000),cv(-3),ms(1.5f,2),a,b,c,o,rdfs(),jmp(-4),jmp(0),jmp(5),memonly(),barrier(&a),0,idx(2),popc(255),bsr(1ul<<40),(long)(mul(~0ul,3)>>64));
 note("%d\n",callp());
 note("%d\n",sym());
  if (hash != 0x16dc488bbffed1a2ul) printf("hash %#lx\n", hash);
  return hash != 0x16dc488bbffed1a2ul;
}
#else
int main(void) { return 0; }
#endif
