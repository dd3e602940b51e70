// A shared library that calls back.
volatile double library_sink;
__attribute__((noinline, noclone)) static void library_inner(void (*callback)(int), int n) { callback(n); library_sink++; }
void library_each(void (*callback)(int), int n) { for (int i = 0; i < n; i++) library_inner(callback, 2000); library_sink++; }
