// 60 / 30 / 10 % of the time in three leaves.
#define NOINLINE __attribute__((noinline, noclone))
volatile double sink;
NOINLINE void f60(int n) { double s = 0; for (int i = 0; i < n * 6; i++) s += i * 0.5; sink = s; }
NOINLINE void f30(int n) { double s = 0; for (int i = 0; i < n * 3; i++) s += i * 0.25; sink = s; }
NOINLINE void f10(int n) { double s = 0; for (int i = 0; i < n; i++) s += i * 0.125; sink = s; }
NOINLINE void work(int n) { f60(n); f30(n); f10(n); sink++; }
#include "until.h"
int main(int argc, char **argv) { (void)argc; while (running(argv[1])) work(20000); return 0; }
