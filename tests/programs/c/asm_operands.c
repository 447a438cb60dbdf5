/* Inline assembly: operands and results of every kind, conditions as outputs, asm goto, labels, modifiers. The hash is that of
   clang's own build. */
#ifdef __x86_64__
#include <stdio.h>
#include <stdint.h>
#include <string.h>
#include <stdarg.h>
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
NI static int cc1(unsigned a, unsigned b){ int c,z; unsigned r; __asm__("addl %3,%0":"=r"(r),"=@ccc"(c),"=@ccz"(z):"r"(b),"0"(a)); return c*2+z + (int)r*4; }
NI static int bt(const unsigned long*p,long n){ int r; __asm__ volatile("btq %2,%1":"=@ccc"(r):"m"(*p),"Ir"(n):"memory"); return r;}
NI static _Bool tas(volatile long*p,long n){ _Bool r; __asm__ volatile("lock; btsq %2,%1":"=@ccc"(r),"+m"(*p):"Jr"(n):"memory"); return r;}
NI static void add128(uint64_t*h,uint64_t*l,uint64_t bh,uint64_t bl){ __asm__("addq %5,%q1\n\tadcq %3,%q0":"=r"(*h),"=&r"(*l):"0"(*h),"rme"(bh),"1"(*l),"rme"(bl)); }
NI static void add128m(uint64_t*h,uint64_t*l,uint64_t bh,uint64_t bl){ __asm__("addq %3,%1\n\tadcq %2,%0":"+rm"(*h),"+rm"(*l):"r"(bh),"r"(bl):"cc"); }
NI static int gt(int x){ __asm__ goto("testl %0,%0; jz %l[zero]; js %l2"::"r"(x):"cc":zero,neg); return 1; zero: return 0; neg: return -1; }
NI static int gto(int x){ int y; __asm__ goto("movl %1,%0; addl $5,%0; jc %l2":"=r"(y):"r"(x):"cc":carry); return y; carry: return y+1000; }
NI static uint32_t loop(uint32_t n){ uint32_t s=0; __asm__ volatile("1:\n\taddl %1,%0\n\tdecl %1\n\tjnz 1b\n":"+r"(s),"+r"(n)); return s; }
NI static uint32_t loop2(uint32_t n){ uint32_t s=0; __asm__ volatile(".Lx%=: addl %1,%0; decl %1; jz .Ly%=; jmp .Lx%=; .Ly%=:":"+&r"(s),"+&r"(n)); return s; }
NI static int q(int x){ int r; __asm__("movb %b1,%h0; movb %h1,%b0":"=Q"(r):"Q"(x),"0"(0)); return r&0xffff;}
static int bs(int x){ __asm__("xchgb %b0,%h0":"+Q"(x)); return x; }
NI static uint64_t mulq(uint64_t a,uint64_t b,uint64_t*h){uint64_t l; __asm__("mulq %3":"=a"(l),"=d"(*h):"%0"(a),"rm"(b):"cc"); return l;}
NI static uint64_t dA(uint64_t a){ uint64_t r; __asm__("":"=A"(r):"0"(a)); return r; }
static long sys(long n,long a,long b,long c){ register long r10 __asm__("r10")=0; long r; __asm__ volatile("syscall":"=a"(r):"0"(n),"D"(a),"S"(b),"d"(c),"r"(r10):"rcx","r11","memory"); return r; }
NI static double dx(double a,double b){ __asm__("addsd %1,%0":"+x"(a):"xm"(b)); return a; }
NI static long double fx(long double a){ long double r; __asm__("fsqrt":"=t"(r):"0"(a)); return r; }
NI static long double fxu(long double a,long double b){ long double r; __asm__("fpatan":"=t"(r):"0"(a),"u"(b):"st(1)"); return r; }
NI static long double ff(long double a,long double b){ __asm__("fadd %1,%0":"+t"(a):"f"(b)); return a; }
NI static int imms(int x){ __asm__("addl %1,%0; shll %2,%0; subl $%c3,%0; addl $%n4,%0; xorl %5,%0":"+r"(x):"i"(100),"I"(3),"i"(7),"i"(9),"K"(-5)); return x;}
int gv=77; static int gv2=5;
NI static int syms(void){ int r; __asm__("movl %P1(%%rip),%0; addl %2,%0":"=&r"(r):"i"(&gv2),"m"(gv)); return r; }
NI static void *la(void){ void*r; __asm__("leaq %1,%0":"=r"(r):"m"(gv)); return r;}
NI static void strcp(char*d,const char*s,size_t n){ __asm__ volatile("cld; rep movsb":"+D"(d),"+S"(s),"+c"(n)::"memory","cc"); }
NI static size_t sl(const char*s){ size_t n=-1; __asm__ volatile("repne scasb":"+c"(n),"+D"(s):"a"(0):"memory"); return ~n-1; }
NI static int dsz(int x){ short s=x; char c=x; __asm__("addw %1,%0":"+r"(s):"r"((short)3)); __asm__("addb $1,%0":"+q"(c)); return s*1000+c; }
NI static int dir(void){ int r; __asm__ volatile(".byte 0xb8\n .long 0x12345678":"=a"(r)); return r; }
NI static int pushes(int x){ int r; __asm__ volatile("pushq %1; popq %q0":"=r"(r):"r"((long)x)); return r; }
NI static int z(int *p,long*q){ __asm__("incl %0":"+r"(*p)); __asm__("addq $5,%0":"+r"(*q)); return *p+(int)*q; }
NI static int addrm(int *p){ int r; __asm__("movl %1,%0":"=r"(r):"o"(p[2])); int r2; __asm__("movl %1,%0":"=r"(r2):"V"(p[1])); return r*10+r2; }
NI static int early(int a,int b){ int r; __asm__("xorl %0,%0; addl %1,%0; addl %2,%0":"=&r"(r):"r"(a),"g"(b)); return r; }
NI static int many(int a,int b,int c,int d,int e,int f){ int r; __asm__("leal (%q1,%q2),%0; addl %3,%0; addl %4,%0; addl %5,%0; addl %6,%0":"=&r"(r):"r"(a),"r"(b),"rm"(c),"rm"(d),"rm"(e),"rm"(f)); return r; }
NI static int cond(int a,int b){ _Bool l,g,e,ne,be,s; __asm__("cmpl %7,%6":"=@ccl"(l),"=@ccg"(g),"=@cce"(e),"=@ccne"(ne),"=@ccbe"(be),"=@ccs"(s):"r"(a),"r"(b)); return l|g<<1|e<<2|ne<<3|be<<4|s<<5; }
NI static int ifcc(int a){ int f; __asm__("testl %1,%1":"=@ccnz"(f):"r"(a)); if(f) return 10; return 20; }
struct S{int a,b;}; 
NI static int sm(struct S s){ __asm__("addl $1,%0":"+m"(s.a)); struct {char c[3];} x={{1,2,3}}; __asm__("":"+m"(x)); return s.a*100+s.b+x.c[2]; }
NI static uint64_t rd(void){ uint32_t lo,hi; __asm__ volatile("rdtsc":"=a"(lo),"=d"(hi)); return ((uint64_t)hi<<32)|lo; }
int main(){
 note("%d %d %d\n",cc1(1,2),cc1(-1,1),cc1(0,0));
 unsigned long w[2]={0x46610f6428c35ea1ul,2}; note("%d %d %d\n",bt(w,0),bt(w,1),bt(w,65)); long t=4; note("%d %d %ld\n",tas(&t,2),tas(&t,5),t);
 uint64_t h=1,l=~0ull; add128(&h,&l,2,3); note("%lu %lu\n",h,l); add128m(&h,&l,5,~0ull); note("%lu %lu\n",h,l);
 note("%d %d %d %d %d\n",gt(0),gt(-4),gt(9),gto(3),gto(-1)); note("%u %u\n",loop(10),loop2(10)); note("%x %x\n",q(0x1234),bs(0x1234));
 uint64_t hh; l=mulq(~0ull,~0ull-3,&hh); note("%lx %lx %lx\n",l,hh,dA(123456789012ull));
 note("%d\n",sys(39,0,0,0)>0); note("%g %Lg %Lg %Lg\n",dx(1.5,2.25),fx(2),fxu(1,1),ff(3,4)); note("%d %d %d\n",imms(5),syms(),la()==&gv);
 char b[20]; strcp(b,"copied",7); note("%s %zu\n",b,sl("four")); note("%d %x %d\n",dsz(300),dir(),pushes(-9)); int p=4;long qq=6; note("%d\n",z(&p,&qq)); int ar[4]={1,2,3,4}; note("%d %d %d\n",addrm(ar),early(3,4),many(1,2,3,4,5,6));
 note("%d %d %d %d %d\n",cond(1,2),cond(2,1),cond(3,3),cond(-1,1),ifcc(0)+ifcc(1)); note("%d\n",sm((struct S){3,4})); note("%d\n",rd()!=0);
  if (hash != 0x46610f6428c35ea1ul) printf("hash %#lx\n", hash);
  return hash != 0x46610f6428c35ea1ul;
}
#else
int main(void) { return 0; }
#endif
