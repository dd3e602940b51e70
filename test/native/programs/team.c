// The split of flat.c by two OpenMP threads at once.
#define main flat_main
#include "flat.c"
#undef main
int main(int argc, char **argv) {
  (void)argc;
  while (running(argv[1])) {
#pragma omp parallel num_threads(2)
    for (int i = 0; i < 200; i++) work(1000);
  }
  return 0;
}
