/* Thread-local variables, initialised and not, of several threads. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
__thread int counter = 5; __thread char text[40] = "start"; static __thread long zero; static _Thread_local _Alignas(32) int aligned = 9;
static int global; static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static void *body(void *arg) {
  long n = (long)arg; for (int i = 0; i < 1000; i++) { counter += n; zero++; }
  snprintf(text, sizeof text, "%ld %d %ld %d %d", n, counter, zero, aligned, (int)((unsigned long)&aligned % 32));
  pthread_mutex_lock(&lock); global += counter; pthread_mutex_unlock(&lock);
  char *copy = malloc(40); for (int i = 0; i < 40; i++) copy[i] = text[i]; return copy; }
int main(void) {
  pthread_t t[4]; for (long i = 0; i < 4; i++) if (pthread_create(&t[i], 0, body, (void *)i)) return 1;
  for (int i = 0; i < 4; i++) { void *r; pthread_join(t[i], &r); puts(r); free(r); }
  printf("%d %d %s %ld\n", global, counter, text, zero);
  return global == 6020 && counter == 5 ? 0 : 2;
}
