// main -> library_each -> library_inner -> visit -> leaf
void library_each(void (*callback)(int), int n);
#define NOINLINE __attribute__((noinline, noclone))
volatile double sink;
NOINLINE void leaf(int n) { double s = 0; for (int i = 0; i < n; i++) s += i * 0.5; sink = s; }
NOINLINE void visit(int n) { leaf(n); sink++; }
#include "until.h"
int main(int argc, char **argv) { (void)argc; while (running(argv[1])) library_each(visit, 50); return 0; }
