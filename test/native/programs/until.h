// running(seconds): until the process has used that much CPU time. Asks seldom, so that asking takes no time.
#include <stdlib.h>
#include <time.h>
static double limit;
static int running(const char *seconds) {
  static unsigned calls;
  if (limit == 0) limit = seconds ? atof(seconds) : 1;
  if (calls++ % 16) return 1;
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9 < limit;
}
