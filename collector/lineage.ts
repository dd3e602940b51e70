/** Who has what those used that are gone: the nearest of their ancestors that lives. */
import type { ExitBatch } from './exits.ts'
import type { Known, ProcessTable } from './processtable.ts'

/** One entry of the exit records. */
export interface Exit {
  pid: number
  parentPid: number
  uid: number
  name: string
  count: number
  cpuSeconds: number
  tickedSeconds: number
  readBytes: number
  writeBytes: number
}

const MAX_DEPTH = 64

/** Who is whose child, among the living and those that are gone since the last sweep. */
export class Lineage {
  readonly dead: ReadonlyMap<number, Known>
  private readonly table: ProcessTable
  private readonly batch: ExitBatch | undefined
  private readonly placeOf = new Map<number, number>()
  private readonly heirs = new Map<number, Known | undefined>()

  constructor(table: ProcessTable, dead: readonly Known[], batch: ExitBatch | undefined) {
    this.table = table
    this.dead = new Map(dead.map(process => [process.pid, process]))
    this.batch = batch
    batch?.pid.forEach((pid, at) => {
      if (pid > 0) this.placeOf.set(pid, at)
    })
  }

  /** The nearest that lives, from `pid` up. */
  heirOf(pid: number, depth = 0): Known | undefined {
    const living = this.table.find(pid)
    if (living || depth > MAX_DEPTH) return living
    if (this.heirs.has(pid)) return this.heirs.get(pid)
    const at = this.placeOf.get(pid)
    const parent = this.dead.get(pid)?.parentPid ?? (at === undefined ? undefined : this.batch?.parentPid[at])
    const heir = parent === undefined ? undefined : this.heirOf(parent, depth + 1)
    this.heirs.set(pid, heir)
    return heir
  }

  /** CPU time of its life, by its record. */
  secondsOf(pid: number): number | undefined {
    const at = this.placeOf.get(pid)
    if (at === undefined) return undefined
    const { cpuSeconds, tickedSeconds } = this.exitAt(at)
    return Math.max(cpuSeconds, tickedSeconds)
  }

  /** Records of those that no sweep has seen. One that still is in the table waits to be waited for. */
  eachUnknown(visit: (exit: Exit) => void): void {
    for (let at = 0; at < (this.batch?.pid.length ?? 0); at++) {
      const exit = this.exitAt(at)
      if (!this.dead.has(exit.pid) && !this.table.find(exit.pid)) visit(exit)
    }
  }

  private exitAt(at: number): Exit {
    const of = (column: Uint32Array | Float64Array | undefined) => column?.[at] ?? 0
    const { batch } = this
    return {
      pid: of(batch?.pid),
      parentPid: of(batch?.parentPid),
      uid: of(batch?.uid),
      name: batch?.names[of(batch.name)] ?? '',
      count: of(batch?.count),
      cpuSeconds: of(batch?.cpuNs) / 1e9,
      tickedSeconds: of(batch?.tickedUs) / 1e6,
      readBytes: of(batch?.readBytes),
      writeBytes: of(batch?.writeBytes),
    }
  }
}
