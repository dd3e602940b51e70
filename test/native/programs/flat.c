// 60 / 30 / 10 % of the time in three leaves: the same loop six times, three times and once, and each turn of it waits for the
// multiplication of the one before, so that it takes the same time wherever the compiler puts it (a sum of doubles does not:
// 2.5 to 3.7 ns by its alignment). One round takes microseconds, so that no rate of samples keeps step with it.
#define NOINLINE __attribute__((noinline, noclone))
#define LEAF NOINLINE __attribute__((aligned(64)))
volatile double sink;
#define UNITS(times) for (int k = 0; k < times; k++) { unsigned long s = 1; for (int i = 0; i < n; i++) s = s * 6364136223846793005 + 1; sink = s; }
LEAF void f60(int n) { UNITS(6) }
LEAF void f30(int n) { UNITS(3) }
LEAF void f10(int n) { UNITS(1) }
NOINLINE void work(int n) { f60(n); f30(n); f10(n); sink++; }
#include "until.h"
int main(int argc, char **argv) { (void)argc; while (running(argv[1])) for (int i = 0; i < 20; i++) work(1000); return 0; }
