// Callers of libm, qsort (which calls back) and memcpy: library code without frame pointers, some of it assembly.
#include <math.h>
#include <stdlib.h>
#include <string.h>
#define NOINLINE __attribute__((noinline, noclone))
volatile double sink;
static int numbers[4096], copy[4096];
static char from[1 << 20], to[1 << 20];
NOINLINE int compare(const void *a, const void *b) { int x = *(const int *)a, y = *(const int *)b; return (x > y) - (x < y); }
NOINLINE void sorting(void) { memcpy(copy, numbers, sizeof copy); qsort(copy, 4096, sizeof *copy, compare); sink += copy[7]; }
NOINLINE void sines(void) { double s = 0; for (int i = 0; i < 4000; i++) s += sin(i * 0.37) + exp(-i * 0.01) + pow(i, 0.3); sink = s; }
NOINLINE void copying(void) { for (int i = 0; i < 4; i++) { from[i] = (char)sink; memcpy(to, from, sizeof to); sink += to[i]; } }
#include "until.h"
int main(int argc, char **argv) {
  (void)argc;
  for (int i = 0; i < 4096; i++) numbers[i] = rand();
  while (running(argv[1])) { sorting(); sines(); copying(); }
  return 0;
}
