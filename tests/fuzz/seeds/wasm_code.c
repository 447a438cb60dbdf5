// What clang writes for wasm: calls of all kinds, data of all kinds, constructors, thread-local data, weak symbols.
extern int callee(int), missing(int) __attribute__((import_module("host"), import_name("missing")));
extern int other_data;
extern __attribute__((weak)) int weak_call(void);
static int counter;
const char* const names[] = {"zero", "one", "the same", "the same"};
int data = 3;
int* pointer = &data;
int (*function)(int) = callee;
_Thread_local int thread_data = 5;
_Thread_local int thread_zero;
__attribute__((section("set_of_things"), used)) int thing = 1;
extern int __start_set_of_things[], __stop_set_of_things[];
__attribute__((constructor(200))) static void first(void) { counter++; }
__attribute__((export_name("work"))) int work(int x) {
  switch (x) {
    case 0: return callee(1);
    case 1: return missing(data) + thread_data;
    case 2: return *pointer + other_data;
    case 3: return weak_call ? weak_call() : thread_zero;
    case 4: return (int)(__stop_set_of_things - __start_set_of_things);
    default: return function(names[x & 3][0]) + counter;
  }
}
double floating(float a, double b) { return a * b + 0.25; }
__attribute__((weak)) inline long long wide(long long a) { return a * 3; }
long long (*keep)(long long) = wide;
