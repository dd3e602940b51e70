/** What the collector says of itself, and of the CPU time that no process was seen to use. */
import { gauge, type Metric, rate } from '../metric.ts'

export const SELF_METRICS: readonly Metric[] = [
  gauge('node', 'jobsight.cpu.unseen', undefined, {
    column: 'cpu_unseen',
    unit: '1',
    scale: 1000,
    full: 'cpu_count',
    meaning: 'cores used by processes that lived and died between two sweeps of the process table',
    source: '/proc/stat less the sum over /proc/PID/stat',
  }),
  gauge('node', 'jobsight.collector.cpu', undefined, {
    column: 'collector_cpu',
    unit: '1',
    scale: 10_000,
    full: 'cpu_count',
    meaning: 'cores used by the process the collector runs in (with `jobsight start`: store and page too)',
    source: 'getrusage of the collector',
  }),
  gauge('node', 'jobsight.collector.memory', undefined, {
    column: 'collector_memory',
    unit: 'bytes',
    full: 'memory_total',
    meaning: 'resident memory of the process the collector runs in (with `jobsight start`: store and page too)',
    source: '/proc/self/statm',
  }),

  rate('node', 'jobsight.stacks.samples', undefined, {
    column: 'stacks_samples',
    unit: '1/s',
    scale: 10,
    meaning: 'stack samples taken a second',
    source: 'stack sampler',
  }),
  rate('node', 'jobsight.stacks.lost', undefined, {
    column: 'stacks_lost',
    unit: '1/s',
    scale: 10,
    meaning: 'stack samples lost a second, before anyone could read them',
    source: 'stack sampler',
  }),
  rate('node', 'jobsight.stacks.throttled', undefined, {
    column: 'stacks_throttled',
    unit: '1/s',
    scale: 10,
    meaning: 'times a second that the kernel throttled sampling, because its interrupts took too long',
    source: 'stack sampler',
  }),
  gauge('node', 'jobsight.stacks.cpu', undefined, {
    column: 'stacks_cpu',
    unit: '1',
    scale: 1_000_000,
    full: 'cpu_count',
    meaning: "cores used by the stack sampler's own threads",
    source: 'CLOCK_THREAD_CPUTIME_ID of the sampler addon',
  }),
]
