// What a C compiler writes for the common things: calls, tables, strings, thread-local data, constructors, weak and common symbols.
extern int callee(int, const char*);
extern int imported_data, imported_call(int);
extern __attribute__((weak)) int weak_call(void);
int common_data[40];
static __thread int thread_data = 5;
__thread int thread_zero;
extern __thread int thread_other;
static int counter;
static const char* const names[] = {"zero", "one", "two", "the same", "the same"};
int data = 3;
int* pointer = &data;
int (*function)(int, const char*) = callee;
__attribute__((section("set_of_things"))) int thing = 1;
extern int __start_set_of_things[], __stop_set_of_things[];
__attribute__((constructor)) static void first(void) { counter++; }
__attribute__((destructor(200))) static void last(void) { counter--; }
__attribute__((noinline)) static int twin_a(int x) { return x * 7 + counter; }
__attribute__((noinline)) static int twin_b(int x) { return x * 7 + counter; }
int unused(int x) { return imported_call(x) + 1; }
static int resolved(void) { return 9; }
static void* resolve(void) { return resolved; }
int picked(void) __attribute__((ifunc("resolve")));
int alias(int) __attribute__((alias("unused")));
int work(int x) {
  switch (x) {
    case 0: return callee(1, "first string");
    case 1: return twin_a(x) + data;
    case 2: return twin_b(x) + thread_data++;
    case 3: return thread_zero + thread_other;
    case 4: return imported_data + *pointer;
    case 5: return weak_call ? weak_call() : 0;
    case 6: return picked() + (int)(__stop_set_of_things - __start_set_of_things);
    default: return function(common_data[x & 31], names[x & 3]);
  }
}
void _start(void) { work(data); }
