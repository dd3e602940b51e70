/** Where the cores' time went in a tick. */
import { CPU_MODES } from '../../ingest/metrics.ts'

export const MODES = CPU_MODES.map(([mode]) => mode)
export type Mode = (typeof MODES)[number]

/** Core-seconds a second by mode, for the node and, where asked for, for each core. */
export class Modes {
  readonly cores: number
  readonly node = new Map<Mode, number>()
  readonly perCore: Record<'user' | 'system' | 'iowait', Float64Array>
  constructor(cores: number) {
    this.cores = cores
    const zero = () => new Float64Array(cores)
    this.perCore = { user: zero(), system: zero(), iowait: zero() }
  }
  clear(): void {
    for (const mode of MODES) this.node.set(mode, 0)
    this.perCore.user.fill(0)
    this.perCore.system.fill(0)
    this.perCore.iowait.fill(0)
  }
  get(mode: Mode): number {
    return this.node.get(mode) ?? 0
  }
  add(mode: Mode, cores: number): void {
    this.node.set(mode, this.get(mode) + cores)
  }
  busy(user: number, system: number, firstCore: number, spread: number): void {
    this.add('user', user)
    this.add('system', system)
    this.place('user', user, firstCore, spread)
    this.place('system', system, firstCore, spread)
  }
  iowait(cores: number, firstCore: number, spread: number): void {
    this.add('iowait', cores)
    this.place('iowait', cores, firstCore, spread)
  }
  private place(mode: 'user' | 'system' | 'iowait', cores: number, firstCore: number, spread: number): void {
    const each = cores / spread
    const of = this.perCore[mode]
    for (let i = 0; i < spread; i++) {
      const core = (firstCore + i) % this.cores
      of[core] = (of[core] ?? 0) + each
    }
  }
}
