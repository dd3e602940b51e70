// Forks children that burn CPU for so many microseconds each, some at a time, and waits for them. In each third, another
// child does it; one in ten is named otherwise. Prints what wait4(2) says that all of them used, and what was used here.
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
static long now(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return t.tv_sec * 1000000L + t.tv_nsec / 1000;
}
static long microseconds(struct rusage *r) {
  return (r->ru_utime.tv_sec + r->ru_stime.tv_sec) * 1000000L + r->ru_utime.tv_usec + r->ru_stime.tv_usec;
}
static void burn(long us) {
  while (now() < us) {}
}
static void child(int i, long us) {
  if (i % 10 == 0) prctl(PR_SET_NAME, "tenth");
  if (i % 3 == 0) {
    pid_t pid = fork();
    if (pid == 0) burn(us);
    else waitpid(pid, 0, 0);
  } else burn(us);
  _exit(0);
}
int main(int argc, char **argv) {
  int count = atoi(argv[1]), together = argc > 3 ? atoi(argv[3]) : 1;
  long us = atol(argv[2]), used = 0;
  for (int i = 0; i < count; i += together) {
    for (int k = 0; k < together; k++)
      if (fork() == 0) child(i + k, us);
    struct rusage r;
    while (wait4(-1, 0, 0, &r) > 0) used += microseconds(&r);
  }
  struct rusage self;
  getrusage(RUSAGE_SELF, &self);
  printf("%ld %ld\n", used, microseconds(&self));
  return 0;
}
