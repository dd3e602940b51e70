// 60 / 30 / 10 % of the time in three leaves: the same loop six times, three times and once. (A loop of six times the length
// takes more than six times as long: its beginning is faster.) One round takes microseconds, so that no rate of samples keeps step.
#define NOINLINE __attribute__((noinline, noclone))
#define LEAF NOINLINE __attribute__((aligned(64)))
volatile double sink;
#define UNITS(times) for (int k = 0; k < times; k++) { double s = 0; for (int i = 0; i < n; i++) s += i * 0.5; sink = s; }
LEAF void f60(int n) { UNITS(6) }
LEAF void f30(int n) { UNITS(3) }
LEAF void f10(int n) { UNITS(1) }
NOINLINE void work(int n) { f60(n); f30(n); f10(n); sink++; }
#include "until.h"
int main(int argc, char **argv) { (void)argc; while (running(argv[1])) work(1000); return 0; }
