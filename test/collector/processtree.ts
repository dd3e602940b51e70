/** A process table made of files. */
import { onTestFinished } from 'vitest'
import { openProcesses, type Processes, type ProcessesOptions } from '../../collector/processes.ts'
import type { Machine } from './machine.ts'

/** A line of /proc/PID/stat with what matters; the rest as kernels print it. */
export function statOf(p: {
  pid: number
  name?: string
  state?: string
  user?: number
  system?: number
  childUser?: number
  childSystem?: number
  pages?: number
  start?: number
  parent?: number
  cpu?: number
}): string {
  const { pid, name = 'a.out', state = 'S', user = 0, system = 0, pages = 0, start = 100, parent = 1, cpu = 1 } = p
  const { childUser = 0, childSystem = 0 } = p
  return `${pid} (${name}) ${state} ${parent} ${pid} ${pid} 0 -1 4194560 99 0 0 0 ${user} ${system} ${childUser} ${childSystem} 20 0 3 0 ${start} 104857600 ${pages} 18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17 ${cpu} 0 0 0 0 0 0 0 0 0 0 0 0 0\n`
}

export const NOBODY = { job: '', step: '', rank: undefined, evidence: 'none' } as const

export function open(machine: Machine, more: Partial<ProcessesOptions> = {}): Processes {
  const processes = openProcesses({
    roots: machine.options.roots,
    files: machine.options.files,
    boot: { bootMs: 1_000_000, ticksPerSecond: 100, pageBytes: 4096 },
    topByCpu: 2,
    topByMemory: 2,
    charge: () => NOBODY,
    users: { nameOf: uid => `user${uid}` },
    keepFiles: 0,
    ...more,
  })
  if ('absent' in processes) throw new Error(processes.absent)
  onTestFinished(() => processes.close())
  return processes
}

/** busy: user ticks of all CPUs */
export const kernel = (busy: number, forks: number) => `cpu  ${busy} 0 0 900 0 0 0 0 0 0\nctxt 1\nprocesses ${forks}\n`
