// A parallel loop: the team's threads start in libgomp.
#define NOINLINE __attribute__((noinline, noclone))
volatile double sink;
NOINLINE double kernel(int i) { double s = 0; for (int k = 0; k < 2000; k++) s += (i + k) * 0.5; return s; }
NOINLINE void step(void) {
  double sum = 0;
#pragma omp parallel for reduction(+ : sum) num_threads(2)
  for (int i = 0; i < 2000; i++) sum += kernel(i);
  sink = sum;
}
#include "until.h"
int main(int argc, char **argv) { (void)argc; while (running(argv[1])) step(); return 0; }
