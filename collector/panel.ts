/**
 * All sources of this machine: opened once, read each tick. One that cannot be read leaves its metrics out of the tick; that
 * is counted, and said once, until it works again.
 */
import type { Logger } from 'pino'
import { type KernelFiles, openKernelFiles, PartError } from './kernelfile.ts'
import type { Absent, GpuUse, OpenSource, Reading, Source, SourceOptions, Tick } from './source.ts'

export interface SourceStatus {
  name: string
  /** failing: it was there at the start, and its last read failed. */
  state: 'works' | 'absent' | 'failing'
  /** Why it is absent or failing, and what to do; of one that works, what it has and what it lacks. */
  why?: string
  errors: number
}

export interface Panel {
  readonly files: KernelFiles
  read(tick: Tick): Reading[]
  status(): SourceStatus[]
  /** Failed reads since the start, by source. */
  errors(): Readonly<Record<string, number>>
  /** Adds one that opens on its own: the process table, which is no Source, and the stack sampler. */
  add(name: string, absent: string | undefined, source?: Source): void
  /** Reads something of that name as a source is read: a throw is counted, said once and gives undefined. */
  attempt<T>(name: string, read: () => T): T | undefined
  /** What a process does on GPUs, of whichever source tells it. */
  gpuOf(pid: number): GpuUse | undefined
  close(): void
}

interface Entry {
  status: SourceStatus
  source: Source | undefined
}

export interface PanelOptions extends Omit<SourceOptions, 'files'> {
  sources: readonly { name: string; open: OpenSource }[]
  /** A source works again, or no more. */
  onChange: () => void
}

export async function openPanel(options: PanelOptions): Promise<Panel> {
  const files = openKernelFiles(options.roots)
  const panel = new Sources(options.log, files, options.onChange)
  for (const { name, open } of options.sources) {
    const opened = await openSafely(open, { ...options, files })
    if ('absent' in opened) panel.add(name, opened.absent)
    else panel.add(name, undefined, opened)
  }
  return panel
}

async function openSafely(open: OpenSource, options: Parameters<OpenSource>[0]): Promise<Source | Absent> {
  try {
    return await open(options)
  } catch (error) {
    return { absent: `it cannot be opened: ${messageOf(error)}` }
  }
}

/** What could be read counts, also where the source throws because of the rest. */
function readInto(readings: Reading[], source: Source, tick: Tick): void {
  try {
    for (const reading of source.read(tick)) readings.push(reading)
  } catch (error) {
    if (error instanceof PartError) for (const reading of error.readings) readings.push(reading)
    throw error
  }
}

const LEFT_OUT = {
  all: 'cannot be read, its metrics are left out',
  part: 'cannot be read wholly, what is missing is left out',
}

const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error))

class Sources implements Panel {
  readonly files: KernelFiles
  private readonly log: Logger
  private readonly onChange: () => void
  private readonly entries = new Map<string, Entry>()
  /** Those that tell what a process does on a GPU: asked for each process. */
  private readonly gpus: Source[] = []

  constructor(log: Logger, files: KernelFiles, onChange: () => void) {
    this.log = log
    this.files = files
    this.onChange = onChange
  }

  add(name: string, absent: string | undefined, source?: Source): void {
    if (absent !== undefined) this.log.info({ source: name }, `${name} is absent: ${absent}`)
    const status: SourceStatus = { name, state: absent === undefined ? 'works' : 'absent', errors: 0 }
    if (absent !== undefined) status.why = absent
    this.entries.set(name, { status, source })
    if (source?.gpuOf) this.gpus.push(source)
  }

  read(tick: Tick): Reading[] {
    const readings: Reading[] = []
    for (const { source } of this.entries.values()) {
      if (!source) continue
      this.attempt(source.name, () => readInto(readings, source, tick))
    }
    return readings
  }

  attempt<T>(name: string, read: () => T): T | undefined {
    const status = this.entries.get(name)?.status
    try {
      const value = read()
      if (status?.state === 'failing') this.recovered(status)
      return value
    } catch (error) {
      if (status) this.failed(status, error)
      return undefined
    }
  }

  gpuOf(pid: number): GpuUse | undefined {
    for (const source of this.gpus) {
      const use = source.gpuOf?.(pid)
      if (use) return use
    }
    return undefined
  }

  private failed(status: SourceStatus, error: unknown): void {
    status.errors++
    status.why = messageOf(error)
    if (status.state === 'failing') return
    status.state = 'failing'
    this.log.error(
      { source: status.name, err: error },
      `${status.name} ${LEFT_OUT[error instanceof PartError ? 'part' : 'all']}`,
    )
    this.onChange()
  }

  private recovered(status: SourceStatus): void {
    status.state = 'works'
    delete status.why
    this.log.info({ source: status.name }, `${status.name} can be read again`)
    this.onChange()
  }

  status(): SourceStatus[] {
    return [...this.entries.values()].map(({ status, source }) => {
      const detail = status.why ?? source?.detail?.()
      return detail === undefined ? { ...status } : { ...status, why: detail }
    })
  }

  errors(): Readonly<Record<string, number>> {
    return Object.fromEntries([...this.entries].map(([name, { status }]) => [name, status.errors]))
  }

  close(): void {
    for (const { source } of this.entries.values()) source?.close?.()
    this.files.close()
  }
}
