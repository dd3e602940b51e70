// Locals aligned beyond what a call keeps: the frame is found by an expression (gcc's DRAP), as in vectorised code.
#define NOINLINE __attribute__((noinline, noclone))
volatile double sink;
void *volatile keep;
NOINLINE void leaf(double *a) { double s = 0; for (int i = 0; i < 20000; i++) s += a[i & 7] * 0.5; sink = s; }
NOINLINE void aligned(int n) {
  double __attribute__((aligned(64))) a[8] = {1, 2, 3};
  double *more = __builtin_alloca((unsigned)n);
  keep = more;
  more[0] = 1;
  leaf(a);
  sink += a[n & 7] + more[0];
}
#include "until.h"
int main(int argc, char **argv) { (void)argc; while (running(argv[1])) aligned(64 + (int)(limit * 10) % 64); return 0; }
