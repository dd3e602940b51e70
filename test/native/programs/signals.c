// A timer's signal interrupts the work ten times a millisecond or so; its handler works too.
#include <signal.h>
#include <sys/time.h>
#define NOINLINE __attribute__((noinline, noclone))
volatile double sink;
NOINLINE void in_handler(void) { double s = 0; for (int i = 0; i < 200000; i++) s += i * 0.5; sink = s; }
static void handler(int _) { (void)_; in_handler(); sink++; }
NOINLINE void interrupted(void) { double s = 0; for (int i = 0; i < 20000; i++) s += i * 0.25; sink = s; }
#include "until.h"
int main(int argc, char **argv) {
  (void)argc;
  signal(SIGALRM, handler);
  struct itimerval often = {{0, 1000}, {0, 1000}};
  setitimer(ITIMER_REAL, &often, 0);
  while (running(argv[1])) interrupted();
  return 0;
}
