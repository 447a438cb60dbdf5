// What the other seeds refer to, and references to what they define.
extern int work(int), try_it(int), same(void) __attribute__((weak)), in_group(void) __attribute__((weak));
extern int global_data[] __attribute__((weak)), common_data[], common[] __attribute__((weak));
extern __thread int thread_zero, thread_global __attribute__((weak));
__attribute__((weak)) int callee(int x, const char* s) { return x + *s; }
__attribute__((weak)) void personality(void) {}
int companion_table[4] = {1, 2};
int* companion_pointers[] = {common_data, global_data, common, companion_table};
int companion(int x) {
  if (in_group) x += in_group();
  return work(x) + try_it(x) + thread_zero + thread_global + *companion_pointers[x & 3];
}
