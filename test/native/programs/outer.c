// The split of flat.c in a shared library.
void work(int n);
#include "until.h"
int main(int argc, char **argv) { (void)argc; while (running(argv[1])) for (int i = 0; i < 20; i++) work(1000); return 0; }
