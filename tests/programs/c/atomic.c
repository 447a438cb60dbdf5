/* Atomics of all sizes, from several threads. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#define CHECK(x) do { if (!(x)) exit(__LINE__ % 200 + 1); } while (0)
static _Atomic int counter; static _Atomic int64_t total; static _Atomic uint8_t byte; static _Atomic uint16_t half; static atomic_flag flag = ATOMIC_FLAG_INIT; static int guarded; static _Atomic(void *) pointer;
static void *body(void *arg) { for (int i = 0; i < 5000; i++) { atomic_fetch_add(&counter, 1); total += (intptr_t)arg; byte++; atomic_fetch_xor_explicit(&half, 0x101, memory_order_relaxed);
    while (atomic_flag_test_and_set_explicit(&flag, memory_order_acquire)) {} guarded++; atomic_flag_clear_explicit(&flag, memory_order_release); } return 0; }
int main(void) {
  pthread_t t[4]; for (intptr_t i = 0; i < 4; i++) pthread_create(&t[i], 0, body, (void *)i); for (int i = 0; i < 4; i++) pthread_join(t[i], 0);
  CHECK(counter == 20000 && total == 30000 && byte == (uint8_t)20000 && half == 0 && guarded == 20000);
  int expected = 1; CHECK(!atomic_compare_exchange_strong(&counter, &expected, 5) && expected == 20000 && atomic_compare_exchange_strong(&counter, &expected, 5) && counter == 5);
  CHECK(atomic_exchange(&counter, 9) == 5 && atomic_fetch_sub(&counter, 4) == 9 && atomic_fetch_or(&counter, 8) == 5 && atomic_fetch_and(&counter, 12) == 13 && counter == 12);
  int64_t old = atomic_fetch_add(&total, -30001); CHECK(old == 30000 && total == -1); int x = 3; pointer = &x; CHECK(*(int *)atomic_load(&pointer) == 3);
  atomic_thread_fence(memory_order_seq_cst); int v = 5; CHECK(__atomic_fetch_nand(&v, 3, __ATOMIC_SEQ_CST) == 5 && v == ~1 && __sync_val_compare_and_swap(&v, ~1, 8) == ~1 && __sync_lock_test_and_set(&v, 2) == 8);
  return 0;
}
