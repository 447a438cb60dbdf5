// A shared library with versions, data to be copied, thread-local data and a library of its own.
int imported_data = 4, old_data = 6;
static const int read_only[] = {1, 2, 3};
extern const int imported_constant __attribute__((alias("read_only")));
__thread int thread_other = 1;
int old_call(int x) { return x; }
int imported_call(int x) { return x + imported_data; }
int weak_call(void) { return 2; }
__attribute__((weak)) void personality(void) {}
extern int callee(int, const char*);
int calls_back(void) { return callee(2, "back"); }
__asm__(".symver old_call,imported_call@V1");
__asm__(".symver old_data,versioned_data@V1");
