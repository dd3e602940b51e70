// Half of the time in the kernel: reads and writes through libc's wrappers.
#include <fcntl.h>
#include <unistd.h>
#define NOINLINE __attribute__((noinline, noclone))
volatile long sink;
static char buffer[1 << 16];
NOINLINE void reading(int zero) { for (int i = 0; i < 20; i++) sink += read(zero, buffer, sizeof buffer); }
NOINLINE void asking(void) { for (int i = 0; i < 200; i++) sink += getppid(); }
#include "until.h"
int main(int argc, char **argv) {
  (void)argc;
  int zero = open("/dev/zero", O_RDONLY);
  while (running(argv[1])) { reading(zero); asking(); }
  return 0;
}
