// With -O2 -g: i60, i30 and i10 have no code of their own, only DWARF knows them.
volatile double sink;
static inline __attribute__((always_inline)) void i60(int n) { double s = 0; for (int i = 0; i < n * 6; i++) s += i * 0.5; sink = s; }
static inline __attribute__((always_inline)) void i30(int n) { double s = 0; for (int i = 0; i < n * 3; i++) s += i * 0.25; sink = s; }
static inline __attribute__((always_inline)) void i10(int n) { double s = 0; for (int i = 0; i < n; i++) s += i * 0.125; sink = s; }
__attribute__((noinline, noclone)) void step(int n) { i60(n); i30(n); i10(n); }
#include "until.h"
int main(int argc, char **argv) { (void)argc; while (running(argv[1])) step(20000); return 0; }
