// What wasm_code.c refers to, and references to what it defines.
extern int work(int), data;
extern double floating(float, double);
int other_data = 7;
int callee(int x) { return x + 1; }
void _start(void) { other_data = work(data) + (int)floating(1, 2); }
