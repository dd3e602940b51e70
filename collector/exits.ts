/**
 * Who has ended since the last look, told by the kernel through the addon (taskstats; native/src/taskstats.rs), also those
 * that lived less than a tick. Needs CAP_NET_ADMIN and the machine's own process namespace.
 */
import { readAddon, reasonOf } from './addon.ts'
import { PartError } from './kernelfile.ts'
import type { Absent, Source } from './source.ts'

/** Columns of the same length, an entry a process. */
export interface ExitBatch {
  /** 0: an entry stands for several, since there were more than are told one by one. */
  pid: Uint32Array
  /** Who would have waited for it. */
  parentPid: Uint32Array
  uid: Uint32Array
  /** Place in `names`. */
  name: Uint32Array
  names: readonly string[]
  count: Uint32Array
  /** What it had used when the scheduler last looked: too little, by up to a tick of the kernel. */
  cpuNs: Float64Array
  /** User and system time in microseconds by ticks of the kernel: right as the sum of many. */
  tickedUs: Float64Array
  /** From and to storage. */
  readBytes: Float64Array
  writeBytes: Float64Array
  /** More ended than the kernel could tell of: some are missing. */
  overran: boolean
}

export interface Exits {
  drain(): ExitBatch
  /** Two numbers a pid: nanoseconds that its threads have waited for a CPU and for a disk so far; NaN where it is gone. */
  delays(pids: Uint32Array): Float64Array
}

interface Drained extends Omit<ExitBatch, 'overran'> {
  overruns: number
  unknown: number
}

interface Addon {
  /** Throws with the reason to show. */
  NativeExitListener: new () => Omit<Exits, 'drain'> & { drain(): Drained; close(): void }
}

function parseAddon(loaded: object): Addon | undefined {
  return 'NativeExitListener' in loaded && typeof loaded.NativeExitListener === 'function'
    ? (loaded as Addon)
    : undefined
}

/** As a source it has no readings of its own: it counts what it lost. */
export function openExits(): (Exits & Source) | Absent {
  const addon = readAddon(parseAddon)
  if ('absent' in addon) return addon
  try {
    return new Listener(new addon.NativeExitListener())
  } catch (error) {
    return { absent: reasonOf(error) }
  }
}

class Listener implements Exits, Source {
  readonly name = 'process exits'
  private readonly native: InstanceType<Addon['NativeExitListener']>
  private overruns = 0
  private unknown = 0

  constructor(native: InstanceType<Addon['NativeExitListener']>) {
    this.native = native
  }

  drain(): ExitBatch {
    const { overruns, unknown, ...batch } = this.native.drain()
    this.overruns += overruns
    this.unknown += unknown
    return { ...batch, overran: overruns > 0 }
  }

  delays(pids: Uint32Array): Float64Array {
    return this.native.delays(pids)
  }

  read(): [] {
    const { overruns, unknown } = this
    this.overruns = 0
    this.unknown = 0
    const problems = [
      ...(overruns > 0
        ? [
            `more processes ended at once than the kernel could tell of (${overruns} times): their CPU time is counted, ` +
              'but under the name of others',
          ]
        : []),
      ...(unknown > 0 ? [`${unknown} messages of taskstats are not what they should be`] : []),
    ]
    if (problems.length > 0) throw new PartError(problems.join('; '), [])
    return []
  }

  close(): void {
    this.native.close()
  }
}
