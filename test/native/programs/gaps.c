// Nanoseconds a second of its CPU time that a spinning program misses in gaps of 3 to 300 us: interrupts, not time slices.
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
static long long now(clockid_t clock) { struct timespec t; clock_gettime(clock, &t); return t.tv_sec * 1000000000LL + t.tv_nsec; }
int main(int argc, char **argv) {
  double seconds = argc > 1 ? atof(argv[1]) : 1;
  long long missing = 0, start = now(CLOCK_PROCESS_CPUTIME_ID), last = now(CLOCK_MONOTONIC), used = 0;
  while (used < seconds * 1e9) {
    for (int i = 0; i < 100000; i++) {
      long long t = now(CLOCK_MONOTONIC), gap = t - last;
      if (gap >= 3000 && gap <= 300000) missing += gap;
      last = t;
    }
    used = now(CLOCK_PROCESS_CPUTIME_ID) - start;
    last = now(CLOCK_MONOTONIC);
  }
  printf("%.0f\n", missing / (used / 1e9));
  return 0;
}
