// Children of ten milliseconds, one after the other. With an argument "exec" each runs this program anew.
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#define NOINLINE __attribute__((noinline, noclone))
volatile double sink;
NOINLINE void burn(void) { double s = 0; for (int i = 0; i < 20000; i++) s += i * 0.5; sink = s; }
#include "until.h"
NOINLINE void child(void) { while (running("0.01")) burn(); }
int main(int argc, char **argv) {
  if (argc > 1 && !strcmp(argv[1], "child")) { child(); return 0; }
  int count = argc > 1 ? atoi(argv[1]) : 80, exec = argc > 2;
  for (int i = 0; i < count; i++) {
    pid_t pid = fork();
    if (pid == 0) {
      if (exec) { execl(argv[0], argv[0], "child", (char *)0); _exit(1); }
      child();
      _exit(0);
    }
    waitpid(pid, 0, 0);
  }
  return 0;
}
