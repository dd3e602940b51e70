/**
 * What goes through each mount of IBM Storage Scale (GPFS), by mmpmon, kept running and asked each tick. Needs root.
 * https://www.ibm.com/docs/en/storage-scale/5.2.0?topic=mmpmon-display-io-statistics-per-mounted-file-system
 *
 *   fs_io_s  ->  _fs_io_s_ _n_ 10.1.1.8 _nn_ node1 _rc_ 0 _t_ 1066660148 _tu_ 407431 _cl_ cluster1 _fs_ gpfs2 _d_ 2
 *                _br_ 6291456 _bw_ 314572800 _oc_ 10 _cc_ 16 _rdc_ 101 _wc_ 300 _dir_ 7 _iu_ 2          (one line)
 *                bytes read, written, opens, closes, reads, writes, readdirs, inode updates since it was mounted
 *
 * An answer is there a moment after the tick that asked, so the next tick has it, with the time at which it was true.
 */
import { existsSync } from 'node:fs'
import { Rates } from '../counter.ts'
import { whole } from '../kernelfile.ts'
import { openMounts, type Shown } from '../mounts.ts'
import { openCommands } from '../programs.ts'
import type { Absent, Reading, Source, SourceOptions, Tick } from '../source.ts'
import { Talk } from '../talk.ts'

export interface GpfsAnswer {
  filesystem: string
  timeMs: number
  counters: ReadonlyMap<string, number>
}

const COLUMNS: Readonly<Record<string, readonly string[]>> = {
  read_bytes: ['_br_'],
  write_bytes: ['_bw_'],
  read_operations: ['_rdc_'],
  write_operations: ['_wc_'],
  metadata_operations: ['_oc_', '_cc_', '_dir_', '_iu_'],
}

/** Undefined for a line that is no answer, or says that something went wrong (_rc_ is not 0). */
export function parseGpfsLine(line: string): GpfsAnswer | undefined {
  const words = line.split(' ')
  if (words[0] !== '_fs_io_s_') return undefined
  const fields = new Map<string, string>()
  for (let i = 1; i + 1 < words.length; i += 2) fields.set(words[i] ?? '', words[i + 1] ?? '')
  const number = (name: string) => Number(fields.get(name) ?? 'none')
  const filesystem = fields.get('_fs_')
  const timeMs = number('_t_') * 1000 + number('_tu_') / 1000
  if (fields.get('_rc_') !== '0' || filesystem === undefined || Number.isNaN(timeMs)) return undefined
  const counters = new Map<string, number>()
  for (const [column, names] of Object.entries(COLUMNS)) {
    const value = names.reduce((sum, name) => sum + number(name), 0)
    if (!Number.isNaN(value)) counters.set(column, value)
  }
  return { filesystem, timeMs, counters }
}

const USUAL = '/usr/lpp/mmfs/bin/mmpmon'
const SILENT_MS = 60_000

export function openGpfs(options: SourceOptions): Source | Absent {
  const mounts = openMounts(options)
  const program = openCommands(options, 1000).find('mmpmon') ?? (existsSync(USUAL) ? USUAL : undefined)
  if (!program) return { absent: 'no GPFS (no mmpmon)' }
  return new Gpfs(program, options.env ?? {}, tick => mounts?.read(tick) ?? [])
}

class Gpfs implements Source {
  readonly name = 'gpfs'
  private readonly talk: Talk
  private readonly mounts: (tick: Tick) => readonly Shown[]
  private readonly rates = new Rates('filesystem')
  private readonly answers = new Map<string, GpfsAnswer>()
  private newestMs = 0
  private said = ''

  constructor(
    program: string,
    env: Readonly<Record<string, string | undefined>>,
    mounts: (tick: Tick) => readonly Shown[],
  ) {
    this.mounts = mounts
    this.talk = new Talk({
      program,
      args: () => ['-p', '-s'],
      env,
      hear: line => this.hear(line),
      ended: why => {
        if (this.said === '') this.said = why
      },
    })
  }

  read(tick: Tick): Reading[] {
    this.talk.tick(tick, 2 * tick.intervalMs + SILENT_MS)
    const counters = new Map<string, ReadonlyMap<string, number>>()
    const shown = this.mounts(tick)
    for (const { filesystem, counters: ofOne } of this.answers.values()) {
      counters.set(instanceOf(filesystem, shown), ofOne)
    }
    this.answers.clear()
    const problems = this.said === '' ? [] : [`mmpmon: ${this.said}`]
    // the rates are over the time between the answers, not over that between the ticks
    const readings = counters.size > 0 ? this.rates.next({ ...tick, monotonicMs: this.newestMs }, counters) : []
    this.talk.send('fs_io_s\n')
    return whole(readings, problems)
  }

  private hear(line: string): boolean {
    const answer = parseGpfsLine(line)
    if (answer) {
      this.answers.set(answer.filesystem, answer)
      this.newestMs = answer.timeMs
      this.said = ''
    } else if (line !== '') this.said = line.slice(0, 200)
    return answer !== undefined
  }

  close(): void {
    this.talk.close()
  }
}

/** Mounted as `gpfs2` or `/dev/gpfs2`. */
function instanceOf(filesystem: string, shown: readonly Shown[]): string {
  const found = shown.find(({ mount }) => mount.type === 'gpfs' && mount.source.replace(/^\/dev\//, '') === filesystem)
  return found?.mount.path ?? `gpfs ${filesystem}`
}
