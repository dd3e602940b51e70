// Loads and unloads two libraries in turn: they come to lie at the same addresses.
#include <dlfcn.h>
#include <stdio.h>
#define NOINLINE __attribute__((noinline, noclone))
volatile double sink;
NOINLINE void call(const char *path, const char *name) {
  void *library = dlopen(path, RTLD_NOW);
  if (!library) { fprintf(stderr, "%s\n", dlerror()); return; }
  ((void (*)(void))dlsym(library, name))();
  dlclose(library);
  sink++;
}
#include "until.h"
int main(int argc, char **argv) {
  if (argc < 4) return 1;
  limit = atof(argv[1]);
  struct timespec t = {0, 0};
  while ((double)t.tv_sec + (double)t.tv_nsec * 1e-9 < limit) {
    call(argv[2], "plugin_a");
    call(argv[3], "plugin_b");
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    (void)running;
  }
  return 0;
}
