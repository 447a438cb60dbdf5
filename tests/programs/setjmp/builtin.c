/* More values than registers live across __builtin_setjmp, and more made of them behind it: each keeps what it had. */
static volatile int zero; static int sum;
__attribute__((noinline)) static int number(int n) { return n + zero; }
__attribute__((noinline)) static void take(int n) { sum += n; }
#define ALL(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)
#define DEFINE(i) int v##i = number(i + n);
#define CHANGE(i) int t##i = v##i ^ (n + 100);
#define TAKE(i) take(t##i);
#define ADD(i) s = s * 3 + v##i;
/* The compiler's own pair, which gives back the stack pointer and the frame pointer only. */
static void *buffer[5];
__attribute__((noinline)) static void leave(int n) { if (n) __builtin_longjmp(buffer, 1); }
__attribute__((noinline)) static int own(int n) {
  ALL(DEFINE)
  volatile char *p = __builtin_alloca((unsigned)n + 1); p[n] = (char)n;
  if (__builtin_setjmp(buffer) == 0) { ALL(CHANGE) take(1); ALL(TAKE) leave(n); ALL(TAKE) return 0; }
  int s = p[n]; ALL(ADD) return s;
}
int main(void) {
  int a = 4, total = 0;
#define EXPECT(i) a = a * 3 + i + 4;
  ALL(EXPECT)
#define CALL(i) total += number(i) * own(4);
  ALL(CALL)
  return total == 66 * a ? 0 : 5;
}
