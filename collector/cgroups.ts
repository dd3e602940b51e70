/**
 * Control groups of jobs: where they are, and the texts in them. https://docs.kernel.org/admin-guide/cgroup-v2.html
 *
 *   v2   /sys/fs/cgroup/system.slice/slurmstepd.scope/job_4711      one directory has all
 *   v1   /sys/fs/cgroup/memory/slurm/uid_1000/job_4711              one a controller, of which there may be only some
 *        /sys/fs/cgroup/cpu,cpuacct/slurm/uid_1000/job_4711
 *
 * Which paths are jobs, attribution/cgroup.ts knows; here it is known which directories can lead there.
 */
import { existsSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { parseCgroup } from './attribution/cgroup.ts'
import type { Roots } from './source.ts'

export interface JobGroup {
  /** As the job is called where it is known, else as the scheduler numbers it. */
  job: string
  /** As files are looked for: sys/fs/cgroup/… */
  path: string
}

/** Controllers of v1 that are read; others and named hierarchies lead nowhere new. */
const HIERARCHY = /^(unified|cpuacct|cpu,cpuacct|cpuacct,cpu|memory|blkio|pids|cpuset)$/
/** Names of directories on the way to a job. */
const ON_THE_WAY =
  /^(slurm(_.+)?|uid_\d+|.+\.slice|(.+_)?slurmstepd\.scope|.+\.service|jobid|pbspro|torque|sge(\..+)?)$/
const DEEPEST = 5

export function findJobGroups(roots: Pick<Roots, 'sys'>): JobGroup[] {
  const top = join(roots.sys, 'fs/cgroup')
  // only a hierarchy of v2 has this file at its root
  if (existsSync(join(top, 'cgroup.controllers'))) return walk(top, '', 0)
  return directories(top).flatMap(entry => (HIERARCHY.test(entry) ? walk(top, `/${entry}`, 0) : []))
}

/** It, its entry above, and one of each directory in it. Some file systems do not count them, and say 1. */
const LINKS_OF_NONE = 2

/** No links: cpuacct is one to cpu,cpuacct. What has none in it is not listed: most hierarchies of v1 at their root. */
function directories(path: string): string[] {
  try {
    if (statSync(path).nlink === LINKS_OF_NONE) return []
    return readdirSync(path, { withFileTypes: true }).flatMap(entry => (entry.isDirectory() ? [entry.name] : []))
  } catch {
    return []
  }
}

function walk(top: string, path: string, depth: number): JobGroup[] {
  if (depth > DEEPEST) return []
  return directories(top + path).flatMap(entry => {
    const inner = `${path}/${entry}`
    const claim = parseCgroup(inner)
    if (claim) return [{ job: claim.id ?? claim.job, path: `sys/fs/cgroup${inner}` }]
    return ON_THE_WAY.test(entry) ? walk(top, inner, depth + 1) : []
  })
}

/** `user_usec 511476` a line. */
export function parseFlat(text: string): ReadonlyMap<string, number> {
  const values = new Map<string, number>()
  for (const [, name = '', value] of text.matchAll(/^(\S+) (\d+)$/gm)) values.set(name, Number(value))
  return values
}

/** `0-3,8` -> 5; nothing where none are set. */
export function parseCpuList(text: string): number | undefined {
  const words = text.trim().split(',')
  let count = 0
  for (const word of words) {
    const [, first, last] = /^(\d+)(?:-(\d+))?$/.exec(word) ?? []
    if (first === undefined) return undefined
    count += Number(last ?? first) - Number(first) + 1
  }
  return count
}

/**
 * io.stat of v2, and blkio.throttle.io_service_bytes of v1. A device that lies on others (dm, md) is left out: its I/O is
 * also theirs.
 *
 *   254:0 rbytes=90430464 wbytes=299008000 rios=8950 wios=1252      254:0 Read 90430464
 */
export function parseIo(text: string, isLayer: (device: string) => boolean): { read: number; write: number } {
  const sum = { read: 0, write: 0 }
  for (const line of text.split('\n')) {
    const [device = '', ...words] = line.split(' ')
    if (!/^\d+:\d+$/.test(device) || isLayer(device)) continue
    const v2 = (name: string) => Number(words.find(word => word.startsWith(`${name}=`))?.slice(name.length + 1) ?? 0)
    const v1 = (name: string) => (words[0] === name ? Number(words[1] ?? 0) : 0)
    sum.read += v2('rbytes') + v1('Read')
    sum.write += v2('wbytes') + v1('Write')
  }
  return sum
}
