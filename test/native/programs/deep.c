// DEPTH frames with FRAME bytes of locals each.
#ifndef DEPTH
#define DEPTH 200
#endif
#ifndef FRAME
#define FRAME 16
#endif
#define NOINLINE __attribute__((noinline, noclone))
volatile double sink;
volatile char *keep;
NOINLINE void leaf(void) { double s = 0; for (int i = 0; i < 40000; i++) s += i * 0.5; sink = s; }
NOINLINE void down(int depth) {
  volatile char local[FRAME];
  keep = local;
  local[depth % FRAME] = 1;
  if (depth == 0) leaf(); else down(depth - 1);
  sink += local[0];
}
#include "until.h"
int main(int argc, char **argv) { (void)argc; while (running(argv[1])) down(DEPTH - 1); return 0; }
