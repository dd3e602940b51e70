/**
 * A text of `perf script` as a profile: its clock becomes the wall clock, its periods nanoseconds.
 *
 * Times. `perf script --header` tells the wall clock of its clock where perf recorded with -k (exact), and else when the
 * recording was closed (to a second). Without headers the last sample is put at the end of the file's writing, which needs
 * its tail; a stream without headers begins when it is read. A time given by the user beats all of these for the beginning.
 *
 * Values. Periods of cpu-clock and task-clock are ns. Those of cycles become ns by the rate that the recording shows: by its
 * frequency where the header has it, else by the time between samples of one thread on one CPU. Other events keep their name
 * and their own unit. A text without periods counts 1/hz a sample.
 */

import { TRUNCATED } from '../window.ts'
import type { ProfilePart, ProfileSource, ProfileSummary, ReadProfile } from './format.ts'
import { LineSplitter, readLines } from './lines.ts'
import { reachesRoot } from './perfframe.ts'
import { type PerfHeaders, type PerfSample, PerfScriptParser } from './perfscript.ts'

/** Samples that are looked at before the rate of cycles is believed. */
const LOOKED_AT = 1000
const CLOCK = /^(cpu-clock|task-clock)/
const CYCLES = /cycles/

export const readPerfScript: ReadProfile = async function* (chunks, source) {
  let pending: PerfSample[] = []
  const parser = new PerfScriptParser(sample => pending.push(sample))
  let measured: Measure | undefined
  for await (const lines of readLines(chunks)) {
    for (const line of lines) parser.line(line)
    if (!measured && pending.length < LOOKED_AT) continue
    measured ??= await Measure.of(pending, parser.headers, source)
    yield pending.map(sample => measured?.part(sample)).filter(part => part !== undefined)
    pending = []
  }
  parser.end()
  measured ??= await Measure.of(pending, parser.headers, source)
  const last = measured
  yield pending.map(sample => last.part(sample))
  return { ...last.summary(), ...countsOf(parser) }
}

const countsOf = ({ counters }: PerfScriptParser) => ({
  lost: counters.lost,
  otherEvents: counters.otherEvents,
  unknownLines: counters.unknownLines,
})

/** What turns a sample's own clock and unit into ours. */
class Measure {
  private readonly offsetMs: number
  private readonly nsPerUnit: number
  private readonly event: string
  private readonly hz: number
  private readonly source: ProfileSource
  private readonly names = new Map<number, string>()
  private firstMs = Number.POSITIVE_INFINITY
  private lastMs = Number.NEGATIVE_INFINITY
  private totalNs = 0

  private constructor(samples: readonly PerfSample[], offsetMs: number, headers: PerfHeaders, source: ProfileSource) {
    const event = samples[0]?.event ?? ''
    this.offsetMs = offsetMs
    this.hz = headers.hz ?? source.hz
    this.source = source
    this.nsPerUnit = CYCLES.test(event) ? rateOfCycles(samples, headers.hz) : 1
    this.event = event === '' || CLOCK.test(event) || CYCLES.test(event) ? 'cpu' : event
  }

  static async of(samples: readonly PerfSample[], headers: PerfHeaders, source: ProfileSource): Promise<Measure> {
    return new Measure(samples, await offsetOf(samples[0]?.timeMs, headers, source), headers, source)
  }

  part(sample: PerfSample): ProfilePart {
    const periodNs = sample.period === undefined ? 1e9 / this.hz : sample.period * this.nsPerUnit
    const timeMs = sample.timeMs === undefined ? undefined : sample.timeMs + this.offsetMs
    this.firstMs = Math.min(this.firstMs, timeMs ?? this.firstMs)
    this.lastMs = Math.max(this.lastMs, timeMs ?? this.lastMs)
    this.totalNs += periodNs
    return {
      event: this.event,
      timeMs,
      sample: {
        pid: sample.pid,
        startMs: 0,
        process: this.nameOf(sample),
        cgroup: '',
        thread: sample.comm,
        frames: reachesRoot(sample.frames) ? sample.frames : [...sample.frames, TRUNCATED],
        periodNs,
        count: 1,
      },
    }
  }

  summary(): Pick<ProfileSummary, 'format' | 'startMs' | 'endMs'> {
    const format = 'perf script'
    if (Number.isFinite(this.firstMs)) return { format, startMs: this.firstMs, endMs: this.lastMs + 1 }
    const durationMs = this.event === 'cpu' ? Math.max(1, this.totalNs / 1e6) : 1
    const startMs = this.source.startMs ?? this.source.endMs - durationMs
    return { format, startMs, endMs: startMs + durationMs }
  }

  /** A process is called by its main thread, or by the first of its threads that is seen. */
  private nameOf({ pid, tid, comm }: PerfSample): string {
    const known = this.names.get(pid)
    if (known !== undefined && tid !== pid) return known
    this.names.set(pid, comm)
    return comm
  }
}

async function offsetOf(firstMs: number | undefined, headers: PerfHeaders, source: ProfileSource): Promise<number> {
  if (firstMs === undefined) return 0
  if (source.startMs !== undefined) return source.startMs - firstMs
  if (headers.clockOffsetMs !== undefined) return headers.clockOffsetMs
  const lastMs = headers.lastSampleMs ?? (source.tail ? lastSampleOf(await source.tail()) : undefined)
  if (lastMs === undefined) return source.endMs - firstMs
  return (headers.capturedMs ?? source.endMs) - lastMs
}

function lastSampleOf(tail: Uint8Array): number | undefined {
  let lastMs: number | undefined
  const parser = new PerfScriptParser(sample => {
    lastMs = sample.timeMs ?? lastMs
  })
  const lines = new LineSplitter()
  for (const line of [...lines.push(tail), ...lines.end()]) parser.line(line)
  parser.end()
  return lastMs
}

/** ns a cycle: a processor of 2.5 GHz where nothing tells it. */
function rateOfCycles(samples: readonly PerfSample[], hz: number | undefined): number {
  const periods = samples.map(sample => sample.period ?? 0).filter(period => period > 0)
  const mean = periods.reduce((sum, period) => sum + period, 0) / periods.length
  if (hz !== undefined && mean > 0) return 1e9 / hz / mean
  const before = new Map<number, PerfSample>()
  const rates: number[] = []
  for (const sample of samples) {
    const last = before.get(sample.tid)
    before.set(sample.tid, sample)
    if (last?.cpu !== sample.cpu || last?.timeMs === undefined || sample.timeMs === undefined || !sample.period)
      continue
    rates.push(((sample.timeMs - last.timeMs) * 1e6) / sample.period)
  }
  return rates.sort((a, b) => a - b)[rates.length >> 1] ?? 0.4
}
