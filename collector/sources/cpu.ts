/**
 * /proc/stat: where the CPUs' time went, a share of each mode for the node and for each core; forks, switches, interrupts,
 * tasks running and blocked. https://docs.kernel.org/filesystems/proc.html#miscellaneous-kernel-statistics-in-proc-stat
 *
 *   cpu  31684 433 5855 234445 933 0 95 31 0 0        user nice system idle iowait irq softirq steal guest guest_nice,
 *   cpu0 15568  85 2280 118781  55 0 21 14 0 0        in clock ticks; guest is contained in user, so it is not added
 *
 * A core that goes offline loses its line, one that comes back has one again: it is absent for a tick.
 */
import { CPU_MODES } from '../../ingest/metrics.ts'
import { rateOf } from '../counter.ts'
import { SourceError } from '../kernelfile.ts'
import type { Absent, Reading, Source, SourceOptions, Tick } from '../source.ts'

export interface Stat {
  /** Ticks by mode, in the order of CPU_MODES. */
  total: readonly number[]
  /** Online cores only; their numbers can have gaps. */
  cores: ReadonlyMap<string, readonly number[]>
  contextSwitches: number | undefined
  interrupts: number | undefined
  forks: number | undefined
  running: number | undefined
  blocked: number | undefined
}

const MODES = CPU_MODES.map(([mode]) => mode)
const IDLE = MODES.indexOf('idle')
const IOWAIT = MODES.indexOf('iowait')

/** Kernels before 2.6.11 have fewer modes; these are then missing in the array. */
function parseModes(line: string, from: number): number[] {
  const modes: number[] = []
  for (const word of line.slice(from).split(' ')) {
    if (word === '') continue
    modes.push(Number(word))
    if (modes.length === MODES.length) break
  }
  return modes
}

export function parseStat(text: string): Stat {
  const cores = new Map<string, readonly number[]>()
  const single = new Map<string, number>()
  let total: readonly number[] | undefined
  for (const line of text.split('\n')) {
    const blank = line.indexOf(' ')
    const key = line.slice(0, blank)
    if (key === 'cpu') total = parseModes(line, blank)
    else if (key.startsWith('cpu')) cores.set(key.slice(3), parseModes(line, blank))
    else if (blank > 0) {
      // intr is followed by thousands of columns, only its total is wanted
      const end = line.indexOf(' ', blank + 1)
      single.set(key, Number(line.slice(blank + 1, end < 0 ? undefined : end)))
    }
  }
  if (!total || total.length < 4 || total.some(Number.isNaN)) throw new SourceError('/proc/stat has no cpu line')
  return {
    total,
    cores,
    contextSwitches: single.get('ctxt'),
    interrupts: single.get('intr'),
    forks: single.get('processes'),
    running: single.get('procs_running'),
    blocked: single.get('procs_blocked'),
  }
}

/**
 * Share of each mode in the ticks between two readings. Undefined where a counter fell: the core was away in between.
 * idle and iowait may fall by a little on a healthy core (the kernel says so), that counts as 0.
 */
export function sharesOf(before: readonly number[] | undefined, now: readonly number[]): number[] | undefined {
  if (before === undefined) return undefined
  const grown: number[] = []
  let sum = 0
  for (let mode = 0; mode < now.length; mode++) {
    const ticks = (now[mode] ?? 0) - (before[mode] ?? 0)
    const mayFall = mode === IDLE || mode === IOWAIT ? 300 : 0
    if (!(ticks >= -mayFall)) return undefined
    grown.push(Math.max(0, ticks))
    sum += Math.max(0, ticks)
  }
  return sum > 0 ? grown.map(ticks => ticks / sum) : undefined
}

const COLUMN_OF_MODE = MODES.map(mode => `cpu_${mode}`)

function addShares(readings: Reading[], entity: 'node' | 'core', instance: string, shares: readonly number[]): void {
  for (let mode = 0; mode < shares.length; mode++) {
    readings.push({ entity, column: COLUMN_OF_MODE[mode] ?? '', instance, value: shares[mode] ?? 0 })
  }
}

function readingsOf(before: Stat | undefined, now: Stat, seconds: number, perCore: boolean): Reading[] {
  const readings: Reading[] = []
  const add = (column: string, value: number | undefined) => {
    if (value !== undefined && !Number.isNaN(value)) readings.push({ entity: 'node', column, instance: '', value })
  }
  const shares = sharesOf(before?.total, now.total)
  if (shares) {
    addShares(readings, 'node', '', shares)
    add('cpu_busy', Math.max(0, 1 - (shares[IDLE] ?? 0) - (shares[IOWAIT] ?? 0)))
  }
  if (now.cores.size > 0) add('cpu_count', now.cores.size)
  add('processes_running', now.running)
  add('processes_blocked', now.blocked)
  add('context_switches', rateOf(before?.contextSwitches, now.contextSwitches, seconds))
  add('interrupts', rateOf(before?.interrupts, now.interrupts, seconds))
  add('forks', rateOf(before?.forks, now.forks, seconds))
  if (!perCore) return readings
  for (const [core, modes] of now.cores) {
    const ofCore = sharesOf(before?.cores.get(core), modes)
    if (ofCore) addShares(readings, 'core', core, ofCore)
  }
  return readings
}

export function openCpu({ files, perCore }: SourceOptions): Source | Absent {
  const file = files.find('proc/stat')
  if (!file) return { absent: 'no /proc/stat' }
  let before: { stat: Stat; monotonicMs: number } | undefined
  return {
    name: 'cpu',
    read(tick: Tick) {
      const stat = parseStat(file.read(tick))
      const last = before
      before = { stat, monotonicMs: tick.monotonicMs }
      return readingsOf(last?.stat, stat, (tick.monotonicMs - (last?.monotonicMs ?? 0)) / 1000, perCore)
    },
  }
}
