// A plug-in; compiled twice under two names of its function.
volatile double plugin_sink;
void NAME(void) { double s = 0; for (int i = 0; i < 3000000; i++) s += i * 0.5; plugin_sink = s; }
