// The split of flat.c by children that live ten milliseconds, one after the other.
#define main flat_main
#include "flat.c"
#undef main
#include <sys/wait.h>
#include <unistd.h>
int main(int argc, char **argv) {
  int children = (int)((argc > 1 ? atof(argv[1]) : 1) * 100);
  for (int i = 0; i < children; i++) {
    pid_t pid = fork();
    if (pid == 0) {
      while (running("0.01")) work(4000);
      _exit(0);
    }
    waitpid(pid, 0, 0);
  }
  return 0;
}
