// Two named threads, each in its own function.
#define _GNU_SOURCE
#include <pthread.h>
#define NOINLINE __attribute__((noinline, noclone))
volatile double sink;
#include "until.h"
static const char *seconds;
NOINLINE void solve(void) { double s = 0; for (int i = 0; i < 20000; i++) s += i * 0.5; sink = s; }
NOINLINE void output(void) { double s = 0; for (int i = 0; i < 20000; i++) s += i * 0.25; sink = s; }
static void *solver(void *_) { (void)_; pthread_setname_np(pthread_self(), "solver"); while (running(seconds)) solve(); return 0; }
static void *writer(void *_) { (void)_; pthread_setname_np(pthread_self(), "writer"); while (running(seconds)) output(); return 0; }
int main(int argc, char **argv) {
  (void)argc;
  seconds = argv[1];
  pthread_t a, b;
  pthread_create(&a, 0, solver, 0);
  pthread_create(&b, 0, writer, 0);
  pthread_join(a, 0);
  pthread_join(b, 0);
  return 0;
}
