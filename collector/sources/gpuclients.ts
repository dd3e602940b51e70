/**
 * What processes do on GPUs of AMD and Intel: each open file of a card tells of itself in /proc/PID/fdinfo, and compute on AMD
 * cards, which needs no such file, in /sys/class/kfd. https://docs.kernel.org/gpu/drm-usage-stats.html
 *
 *   drm-driver: xe                     drm-pdev: 0000:03:00.0           drm-client-id: 7
 *   drm-engine-render: 9288864723 ns   drm-resident-vram0: 12 MiB       i915, amdgpu: time that an engine worked
 *   drm-cycles-ccs: 500                drm-total-cycles-ccs: 1000       xe: of so many cycles
 *   /sys/class/kfd/kfd/proc/4711/vram_21223      bytes
 *
 * Files that were given to another process, or opened twice, are one client. Which of the files of a process are cards' is
 * looked at again each minute: a process can have thousands.
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { listed, parseNumber, readText } from '../hwmon.ts'
import type { GpuUse, Roots } from '../source.ts'

export interface Client {
  /** Card and number on it. */
  id: string
  /** Engine -> nanoseconds it worked, or cycles of all cycles. */
  engines: ReadonlyMap<string, { busy: number; of: number | undefined }>
  memoryBytes: number | undefined
}

const UNITS: Readonly<Record<string, number>> = { '': 1, KiB: 1024, MiB: 1 << 20 }

/** Undefined for a file that is not of a card, or tells nothing of its client. */
export function parseClient(fdinfo: string): Client | undefined {
  const fields = new Map([...fdinfo.matchAll(/^drm-([\w-]+):\s*(.*)$/gm)].map(([, name, value]) => [name, value ?? '']))
  const number = fields.get('client-id')
  if (number === undefined) return undefined
  const engines = new Map<string, { busy: number; of: number | undefined }>()
  let memoryBytes: number | undefined
  const resident = [...fields.keys()].some(name => name?.startsWith('resident-'))
  for (const [name = '', value] of fields) {
    const engine = /^(engine|cycles)-(?!capacity-)(.+)$/.exec(name)
    const amount = Number.parseInt(value, 10)
    if (engine?.[2] && Number.isFinite(amount)) {
      const total = Number.parseInt(fields.get(`total-cycles-${engine[2]}`) ?? '', 10)
      if (engine[1] === 'engine') engines.set(engine[2], { busy: amount, of: undefined })
      else if (Number.isFinite(total)) engines.set(engine[2], { busy: amount, of: total })
    }
    // of the card's own memory; amdgpu has told it as drm-memory before drm-resident was agreed on
    const memory = resident ? /^resident-(?:vram|local)\d*$/ : /^memory-(?:vram|local)\d*$/
    const unit = UNITS[/^\d+\s*(\w*)$/.exec(value)?.[1] ?? '?']
    if (memory.test(name) && unit !== undefined) memoryBytes = (memoryBytes ?? 0) + amount * unit
  }
  return { id: `${fields.get('pdev')} ${number}`, engines, memoryBytes }
}

const CARD_FILE = /^\/dev\/(?:dri\/(?:card|renderD)\d+)$/
const LOOK_AGAIN_MS = 60_000
const FORGET_MS = 300_000

interface Known {
  files: readonly string[]
  lookedMs: number
  readMs: number
  clients: ReadonlyMap<string, Client>
}

export class GpuClients {
  private readonly roots: Roots
  private readonly known = new Map<number, Known>()

  constructor(roots: Roots) {
    this.roots = roots
  }

  /** Since it was last asked of that process; utilisation is that of its busiest engine. */
  read(pid: number, monotonicMs: number): GpuUse | undefined {
    const before = this.known.get(pid)
    const isFresh = before !== undefined && monotonicMs - before.lookedMs < LOOK_AGAIN_MS
    const files = isFresh ? before.files : this.findFiles(pid)
    const clients = new Map(files.flatMap(file => this.readClient(pid, file)).map(client => [client.id, client]))
    const lookedMs = isFresh ? before.lookedMs : monotonicMs
    this.known.set(pid, { files, lookedMs, readMs: monotonicMs, clients })
    if (this.known.size > 1000) this.forget(monotonicMs)
    const kfd = this.readKfd(pid)
    if (clients.size === 0 && kfd === undefined) return undefined
    const seconds = before === undefined ? 0 : (monotonicMs - before.readMs) / 1000
    return {
      gpuUtilization: seconds > 0 ? busiest(before?.clients, clients, seconds) : undefined,
      gpuMemoryBytes: kfd ?? sumOf([...clients.values()].map(client => client.memoryBytes)),
    }
  }

  private findFiles(pid: number): string[] {
    try {
      const top = join(this.roots.proc, String(pid), 'fd')
      return readdirSync(top).filter(fd => CARD_FILE.test(linkOf(join(top, fd))))
    } catch {
      // gone, or not ours to look at
      return []
    }
  }

  private readClient(pid: number, file: string): Client[] {
    try {
      const client = parseClient(readFileSync(join(this.roots.proc, String(pid), 'fdinfo', file), 'latin1'))
      return client ? [client] : []
    } catch {
      return []
    }
  }

  /** Memory of compute on AMD cards. */
  private readKfd(pid: number): number | undefined {
    const top = join(this.roots.sys, 'class/kfd/kfd/proc', String(pid))
    const files = listed(top).filter(file => /^vram_\d+$/.test(file))
    return sumOf(files.map(file => parseNumber(readText(join(top, file)) ?? '')))
  }

  private forget(monotonicMs: number): void {
    for (const [pid, { readMs }] of this.known) if (monotonicMs - readMs > FORGET_MS) this.known.delete(pid)
  }
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path)
  } catch {
    return ''
  }
}

function sumOf(values: readonly (number | undefined)[]): number | undefined {
  const told = values.filter(value => value !== undefined)
  return told.length === 0 ? undefined : told.reduce((sum, value) => sum + value, 0)
}

/** Engines of one kind of all clients together, each as a share of time. */
function busiest(
  before: ReadonlyMap<string, Client> | undefined,
  now: ReadonlyMap<string, Client>,
  seconds: number,
): number | undefined {
  const shares = new Map<string, number>()
  for (const { id, engines } of now.values()) {
    for (const [engine, { busy, of }] of engines) {
      const last = before?.get(id)?.engines.get(engine)
      if (!last) continue
      const time = of === undefined ? seconds * 1e9 : of - (last.of ?? Number.NaN)
      const share = (busy - last.busy) / time
      const key = `${id.split(' ')[0]} ${engine}`
      if (share >= 0 && Number.isFinite(share)) shares.set(key, (shares.get(key) ?? 0) + share)
    }
  }
  return shares.size === 0 ? undefined : Math.max(...shares.values())
}
