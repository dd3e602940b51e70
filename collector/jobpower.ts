/**
 * Power that falls to each job of a node, from what its CPUs and their memory draw (RAPL) and whose CPU time it was. A job
 * that has all CPUs is charged with all of it, also with what the node draws while the job waits.
 *
 *   packages and memory 400 W,  CPU time of the node 32 cores, of the job 8   ->  100 W
 *
 * It is a share by time: a job of few instructions and one of many are alike in it.
 */
import type { Reading } from './source.ts'

/** Modes of /proc/stat in which programs run, those of the job among them. */
const WORK = ['cpu_user', 'cpu_nice', 'cpu_system']

export interface JobPower {
  /** All readings of a tick -> those of the jobs' power. */
  next(readings: readonly Reading[]): Reading[]
}

export function openJobPower(): JobPower {
  let packages = 0
  return {
    next(readings) {
      if (!readings.some(({ entity, column }) => entity === 'socket' && column === 'power_watts')) return []
      const { watts, sockets, node, jobs } = gather(readings)
      packages = Math.max(packages, sockets.size)
      const cores = node.get('cpu_count') ?? 0
      const worked = cores * WORK.reduce((sum, mode) => sum + (node.get(mode) ?? 0), 0)
      // without one of the packages nobody knows what the node draws
      if (packages === 0 || sockets.size < packages || !(worked > 0)) return []
      return [...jobs].flatMap(([instance, job]): Reading[] => {
        const [user, system] = [job.get('cpu_user'), job.get('cpu_system')]
        if (user === undefined || system === undefined) return []
        const hasAll = (job.get('cpu_limit') ?? 0) >= cores
        const share = hasAll && jobs.size === 1 ? 1 : Math.min(1, (user + system) / worked)
        return [{ entity: 'job', column: 'power_watts', instance, value: watts * share }]
      })
    },
  }
}

function gather(readings: readonly Reading[]) {
  const sockets = new Set<string>()
  const node = new Map<string, number>()
  const jobs = new Map<string, Map<string, number>>()
  let watts = 0
  for (const { entity, column, instance, value } of readings) {
    if (entity === 'node') node.set(column, value)
    else if (entity === 'job') {
      const job = jobs.get(instance) ?? new Map<string, number>()
      jobs.set(instance, job.set(column, value))
    } else if (entity === 'socket' && (column === 'power_watts' || column === 'memory_power_watts')) {
      watts += value
      if (column === 'power_watts') sockets.add(instance)
    }
  }
  return { watts, sockets, node, jobs }
}
