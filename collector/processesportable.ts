/**
 * The process table of systems without /proc: systeminformation lists the processes, pidusage measures the top ones. Both
 * start programs, so they look beside the tick, and a tick shows what they found last. CPU comes as one number, shown as user.
 */
import type { Charge, Processes, ProcessReading } from './processes.ts'
import { topOf, UNTOLD } from './processreadings.ts'
import { openLookAhead } from './sources/portable.ts'

export interface PortableOptions {
  topByCpu: number
  topByMemory: number
  charge: Charge
}

interface Listed {
  pid: number
  parentPid: number
  name: string
  command: string
  user: string
  state: string
  cpu: number
  memRss: number
}

const STATES: Readonly<Record<string, string>> = {
  running: 'R',
  sleeping: 'S',
  blocked: 'D',
  zombie: 'Z',
  stopped: 'T',
}

export async function openPortableProcesses(options: PortableOptions): Promise<Processes> {
  const si = await import('systeminformation')
  const { default: pidusage } = await import('pidusage')
  let count = 0
  const latest = openLookAhead(async () => {
    const { list } = await si.processes()
    count = list.length
    const top = topListed(list, options)
    const usage = top.length === 0 ? {} : await pidusage(top.map(process => process.pid))
    // One that ended in between is left out: without its start nothing tells it from the next of its pid.
    return top.flatMap(process => readingOf(process, usage[String(process.pid)], options.charge) ?? [])
  })
  return {
    read: () => ({ processes: latest() ?? [], readings: [] }),
    get count() {
      return count
    },
    close: () => pidusage.clear(),
  }
}

function topListed(list: readonly Listed[], { topByCpu, topByMemory }: PortableOptions): Listed[] {
  const hot = topOf(list, topByCpu, process => process.cpu)
  return [...new Set([...hot, ...topOf(list, topByMemory, process => process.memRss)])]
}

/** cpu in percent of a core, memory in bytes, elapsed in ms: pidusage's units. */
interface Usage {
  cpu: number
  memory: number
  elapsed: number
  timestamp: number
}

function readingOf(process: Listed, usage: Usage | undefined, charge: Charge): ProcessReading | undefined {
  if (usage === undefined) return undefined
  const startMs = Math.round((usage.timestamp - usage.elapsed) / 1000) * 1000
  return {
    ...UNTOLD,
    pid: process.pid,
    startMs,
    parentPid: process.parentPid,
    name: process.name,
    command: process.command.slice(0, 1024),
    user: process.user,
    ...{ rank: undefined, ...charge(process.pid, startMs) },
    cpuUser: usage.cpu / 100,
    cpuSystem: undefined,
    memoryBytes: usage.memory,
    state: STATES[process.state] ?? '',
  }
}
