/** A machine made of files: what the sources read, under a temporary root that goes with the test. Files are rewritten in place, as the kernel's are. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { type Logger, pino } from 'pino'
import { onTestFinished, vi } from 'vitest'
import { type KernelFiles, openKernelFiles, PartError } from '../../collector/kernelfile.ts'
import type { Absent, Reading, Source, SourceOptions, Tick } from '../../collector/source.ts'

export interface Machine {
  options: SourceOptions
  /** Lines of the log, newest last. */
  logged: { level: number; msg: string; [key: string]: unknown }[]
  write(path: string, text: string): void
  /** Moves the clock and makes a tick. */
  tick(afterMs?: number): Tick
}

/** In memory where there is such a file system: on a disk, ext4 flushes a file that is rewritten, which takes milliseconds. */
const ROOM = existsSync('/dev/shm') ? '/dev/shm' : tmpdir()

export function makeMachine(files: Record<string, string>): Machine {
  const root = mkdtempSync(join(ROOM, 'jobsight-machine-'))
  const roots = { proc: join(root, 'proc'), sys: join(root, 'sys') }
  const logged: Machine['logged'] = []
  const log: Logger = pino({ level: 'debug' }, { write: line => logged.push(JSON.parse(line)) })
  const write = (path: string, text: string) => {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), text)
  }
  for (const [path, text] of Object.entries(files)) write(path, text)
  const kernelFiles: KernelFiles = openKernelFiles(roots)
  let monotonicMs = 1000
  onTestFinished(() => {
    kernelFiles.close()
    rmSync(root, { recursive: true })
  })
  return {
    options: { roots, files: kernelFiles, perCore: true, log },
    logged,
    write,
    tick(afterMs = 1000) {
      monotonicMs += afterMs
      return { timeMs: 1_700_000_000_000 + monotonicMs, intervalMs: afterMs, monotonicMs }
    },
  }
}

export function captured(which: string, path: string): string {
  return readFileSync(new URL(`../fixtures/proc/${which}/${path}`, import.meta.url), 'utf8')
}

export function opened(source: Source | Absent | Promise<Source | Absent>): Source {
  if (source instanceof Promise || 'absent' in source) throw new Error(`not opened: ${JSON.stringify(source)}`)
  return source
}

/** readings as {'disk sda read_bytes': 512}; the node's without an instance: {'node cpu_user': 0.5} */
export function table(readings: readonly Reading[]): Record<string, number> {
  return Object.fromEntries(
    readings.map(r => [[r.entity, r.instance, r.column].filter(word => word !== '').join(' '), round(r.value)]),
  )
}

/** What a source could read and, where that was not all of it, what it says of the rest. */
export function partsOf(source: Source, tick: Tick): { told: Record<string, number>; problem: string | undefined } {
  try {
    return { told: table(source.read(tick)), problem: undefined }
  } catch (error) {
    if (!(error instanceof PartError)) throw error
    return { told: table(error.readings), problem: error.message }
  }
}

/** Reads until it is told: what is looked at beside the ticks comes with a later one. */
export function toldIn<T>(read: () => T): Promise<T> {
  return vi.waitFor(read, { timeout: 20_000, interval: 20 })
}

const round = (value: number) => Math.round(value * 1e6) / 1e6
