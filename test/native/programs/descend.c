// The split of flat.c below 200 calls of itself.
#define main flat_main
#include "flat.c"
#undef main
NOINLINE void down(int depth) { if (depth == 0) work(5000); else down(depth - 1); sink++; }
int main(int argc, char **argv) { (void)argc; while (running(argv[1])) down(199); return 0; }
