/** What a rule can watch beside the metrics of the catalogue: computed from jobs, processes and what was heard of nodes. */
import type { Unit } from '../../ingest/metric.ts'
import { ENTITIES, findMetric, type Metric } from '../../ingest/metrics.ts'
import type { Scope } from './rule.ts'

export interface Figure {
  name: string
  scope: Scope
  unit: Unit | 's'
  meaning: string
}

const of =
  (scope: Scope) =>
  (name: string, unit: Figure['unit'], meaning: string): Figure => ({ name, scope, unit, meaning })
const job = of('job')
const node = of('node')
const process = of('process')
const cluster = of('cluster')

export const FIGURES: readonly Figure[] = [
  job(
    'cpu_efficiency',
    'ratio',
    'cores its processes used, of those allocated; where not all of them were seen, at most so much',
  ),
  job('memory_share', 'ratio', 'memory of its processes, of what it was allocated'),
  job('kernel_share', 'ratio', 'of its CPU time that was spent in the kernel'),
  job('busy_cores', '1', 'cores its processes used'),
  job('busy_cores_per_node', '1', 'cores its processes used, mean of its nodes'),
  job('imbalance', 'ratio', 'how much less than its busiest node its nodes compute on average: 0 all the same'),
  job('read_bytes', 'bytes/s', 'bytes that its processes read a second, from disks and network file systems'),
  job('write_bytes', 'bytes/s', 'bytes that its processes wrote a second, to disks and network file systems'),
  job('io_bytes', 'bytes/s', 'bytes that its processes read and wrote a second'),
  job('time_share', 'ratio', 'of its time limit that is over'),
  job('seconds_left', 's', 'until its time limit'),
  job('out_of_memory', '1', '1 where it was killed for memory within the window'),
  node('job_cores', '1', 'cores that a job uses on this node; one value for each job and node'),
  node(
    'job_cpu_share',
    'ratio',
    'of the cores that a job holds on this node, how many its processes use; one value for each job and node',
  ),
  node(
    'wait_share',
    'ratio',
    "of a job's sampled time on this node that waited for others (MPI, synchronisation); one value for each job and node",
  ),
  node('silent_seconds', 's', 'since its collector was heard from last; of nodes that were heard within a day'),
  node('scheduler_down', '1', '1 where the scheduler says that the node is down, failed or does not answer'),
  process('cpu', '1', 'cores that the process uses'),
  process('memory_bytes', 'bytes', 'resident memory'),
  process('read_bytes', 'bytes/s', 'bytes that it read a second'),
  process('write_bytes', 'bytes/s', 'bytes that it wrote a second'),
  process('threads', '1', 'threads'),
  cluster('scheduler_silent_seconds', 's', 'since the scheduler was heard from last; where it was within a week'),
  cluster('silent_seconds', 's', 'since any node of it was heard from last'),
  cluster('nodes_silent', '1', 'nodes that were heard within a day and are silent for two minutes'),
  cluster('jobs_queued', '1', 'jobs that wait'),
  cluster('jobs_running', '1', 'jobs that run'),
]

export const findFigure = (scope: Scope, name: string): Figure | undefined =>
  FIGURES.find(f => f.scope === scope && f.name === name)

const isEntity = (name: string): name is keyof typeof ENTITIES => Object.hasOwn(ENTITIES, name)

/** `disk.utilization` -> the metric; `cpu_busy` is the node's. */
export function metricOf(name: string): Metric | undefined {
  const dot = name.indexOf('.')
  const entity = dot < 0 ? 'node' : name.slice(0, dot)
  return isEntity(entity) ? findMetric(entity, name.slice(dot + 1)) : undefined
}
