// All of the time in the vdso.
#include <time.h>
#define NOINLINE __attribute__((noinline, noclone))
volatile long sink;
NOINLINE void reading(void) { struct timespec t; for (int i = 0; i < 2000; i++) { clock_gettime(CLOCK_MONOTONIC, &t); sink += t.tv_nsec; } }
#include "until.h"
int main(int argc, char **argv) { (void)argc; while (running(argv[1])) reading(); return 0; }
