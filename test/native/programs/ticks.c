// Samples of all CPUs as the sampler asks for them (kernel stack, registers, a part of the user stack), into rings that nobody reads
// and that overwrite themselves: what they cost is the kernel's part alone. Arguments: Hz, bytes of the user stack (16384; 0 for none).
// Runs until it is killed.
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#ifdef __aarch64__
#define REGISTERS ((1ULL << 33) - 1)
#else
#define REGISTERS 0xff01ffULL
#endif
enum { RING_PAGES = 1024 };
int main(int argc, char **argv) {
  struct perf_event_attr attr;
  memset(&attr, 0, sizeof attr);
  attr.size = sizeof attr;
  attr.type = PERF_TYPE_SOFTWARE;
  attr.config = PERF_COUNT_SW_CPU_CLOCK;
  attr.freq = 1;
  attr.sample_freq = argc > 1 ? atoi(argv[1]) : 99;
  attr.sample_type = PERF_SAMPLE_IP | PERF_SAMPLE_TID | PERF_SAMPLE_TIME | PERF_SAMPLE_CALLCHAIN | PERF_SAMPLE_CPU |
                     PERF_SAMPLE_PERIOD | PERF_SAMPLE_REGS_USER;
  attr.sample_regs_user = REGISTERS;
  attr.sample_stack_user = argc > 2 ? atoi(argv[2]) : 16384;
  if (attr.sample_stack_user > 0) attr.sample_type |= PERF_SAMPLE_STACK_USER;
  attr.exclude_callchain_user = attr.exclude_idle = attr.exclude_hv = attr.write_backward = 1;
  long cpus = sysconf(_SC_NPROCESSORS_ONLN), bytes = (1 + RING_PAGES) * sysconf(_SC_PAGESIZE);
  for (int cpu = 0; cpu < cpus; cpu++) {
    int event = syscall(SYS_perf_event_open, &attr, -1, cpu, -1, 0);
    if (event < 0 || mmap(0, bytes, PROT_READ, MAP_SHARED, event, 0) == MAP_FAILED) { perror("ticks"); return 1; }
  }
  pause();
  return 0;
}
