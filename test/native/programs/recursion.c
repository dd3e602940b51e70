// Forty calls of itself, then the work.
#define NOINLINE __attribute__((noinline, noclone))
volatile double sink;
NOINLINE void leaf(void) { double s = 0; for (int i = 0; i < 40000; i++) s += i * 0.5; sink = s; }
NOINLINE void down(int depth) { if (depth == 0) leaf(); else down(depth - 1); sink++; }
#include "until.h"
int main(int argc, char **argv) { (void)argc; while (running(argv[1])) down(39); return 0; }
