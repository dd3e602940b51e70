/**
 * The text of `perf script`, line by line, in bounded memory: our own fields (comm,pid,tid,cpu,time,period,event,ip,sym,dso),
 * the default ones, and what people add to them.
 *
 *   V8 WorkerThread 24636/25607 [000] 94564.109216:  52631578 cpu-clock:ppp:      header: comm may hold blanks
 *           ffffffff81637628 get_page_from_freelist ([kernel.kallsyms])            leaf first
 *                      4c0de std::map<int, (anonymous namespace)::T>::at+0x1f (/opt/app (deleted))
 *                      4c1aa inner (inlined)                                       belongs to the next physical frame
 *                      4c1aa outer (/opt/app)
 *                                                                                  a blank line ends the sample
 *
 * Unknown lines are left out and counted; nothing in the text makes it throw. The first event type is kept, samples of other
 * types are counted: a cache miss and a tick have no common unit. https://man7.org/linux/man-pages/man1/perf-script.1.html
 */
import type { Frame } from '../../ingest/records.ts'
import { parsePerfFrame } from './perfframe.ts'

export interface PerfSample {
  comm: string
  /** The thread's id where the text has no process id. */
  pid: number
  tid: number
  cpu: number | undefined
  /** On the clock of the recording. */
  timeMs: number | undefined
  /** Nanoseconds for cpu-clock and task-clock, else events. */
  period: number | undefined
  /** Without modifiers: cpu-clock, cycles. */
  event: string
  /** Leaf first. */
  frames: Frame[]
}

/** What the `#` lines of `perf script --header` tell, where they are there. */
export interface PerfHeaders {
  /** Wall clock minus the recording's clock, ms: `reference time`, present with `perf record -k`; the best there is. */
  clockOffsetMs?: number
  /** When perf.data was closed, wall clock. */
  capturedMs?: number
  lastSampleMs?: number
  /** `sample_freq` of the recording. */
  hz?: number
}

export interface PerfTextCounters {
  samples: number
  /** Records that the kernel dropped: samples and side-band alike, so an upper bound of lost samples. */
  lost: number
  /** Samples of another event type than the first. */
  otherEvents: number
  unknownLines: number
}

/** comm pid/tid [cpu] time: period event: rest; each but comm and tid may be missing. */
const HEADER = /^\s*(\S.*?)\s+(-?\d+)(?:\/(-?\d+))?\s+(?:\[(\d+)\]\s+)?(\d+\.\d+):\s+(?:(\d+)\s+)?(\S+?):(?:\s+(.*))?$/
const TIMELESS = /^\s*(\S.*?)\s+(-?\d+)(?:\/(-?\d+))?\s*(?:\[(\d+)\])?\s*(?:(\d+)\s+)?(?:([a-zA-Z][\w./:-]*):)?\s*$/
const LOST = /PERF_RECORD_LOST(?:_SAMPLES)?\s+lost\s+(\d+)/
const FRAME = /^\s+([0-9a-f]+)(?:\s+(.*))?$/
/** A return address of 0, less one: what the unwinder reads beyond the end of the copied stack. It is no frame. */
const NO_ADDRESS = /^(0+|f{16})$/
const SOURCE_LINE = /^\s+(\S.*):(\d+)(?: \(inlined\))?$/
const NO_SOURCE = /^\s+(\?\?:\d+|\S.*\[[0-9a-f]+\])(?: \(inlined\))?$/
const OFFSET = /\+0x[0-9a-f]+$/
const MODIFIERS = /:[a-zA-Z]+$/
/** cpu_core/cycles/ and cpu_atom/cycles/ are one event on two kinds of core. */
const HYBRID = /^cpu_(?:core|atom)\/(.*)\/\w*$/

/** Frames repeat: parsed once each, up to this many, so that equal frames are the same object. */
const CACHED_FRAMES = 50_000

export class PerfScriptParser {
  readonly counters: PerfTextCounters = { samples: 0, lost: 0, otherEvents: 0, unknownLines: 0 }
  readonly headers: PerfHeaders = {}
  private readonly emit: (sample: PerfSample) => void
  private readonly cache = new Map<string, Frame>()
  private event: string | undefined
  private open: PerfSample | undefined
  /** Inlined frames of the open sample that wait for the physical frame of the same address, which names their module. */
  private inlined: number[] = []
  private inlinedAt = ''

  constructor(emit: (sample: PerfSample) => void) {
    this.emit = emit
  }

  line(text: string): void {
    if (text.startsWith('#')) {
      this.comment(text)
      return
    }
    // Blanks may also be a right-justified comm, and `dd 4711` looks like an address; perf puts a tab before a frame.
    const frame = text.startsWith('\t')
    if (frame && this.frameLine(text)) return
    if (this.timedLine(text)) return
    if (!frame && text.startsWith(' ') && this.frameLine(text)) return
    if (this.sourceLine(text) || this.timelessLine(text)) return
    if (text.trim() === '') this.end()
    else this.counters.unknownLines++
  }

  /** Call it after the last line. */
  end(): void {
    const sample = this.open
    this.open = undefined
    this.inlined = []
    this.inlinedAt = ''
    if (!sample) return
    if (sample.timeMs === undefined && sample.frames.length === 0) {
      // Prose that looked like a header.
      this.counters.unknownLines++
      return
    }
    this.event ??= sample.event
    if (sample.event !== this.event) {
      this.counters.otherEvents++
      return
    }
    this.counters.samples++
    this.emit(sample)
  }

  private comment(text: string): void {
    const { headers } = this
    const reference = /reference time: .* = (\d+\.\d+) \(TOD\) = (\d+\.\d+) \(/.exec(text)
    if (reference) headers.clockOffsetMs = 1000 * (Number(reference[1]) - Number(reference[2]))
    const captured = Date.parse(/^# captured on\s*: (.+)$/.exec(text)?.[1] ?? '')
    if (!Number.isNaN(captured)) headers.capturedMs = captured
    const last = /^# time of last sample : (\d+\.\d+)/.exec(text)
    if (last) headers.lastSampleMs = 1000 * Number(last[1])
    const freq = /sample_freq \} = (\d+)/.exec(text)
    if (freq) headers.hz ??= Number(freq[1])
  }

  private timedLine(text: string): boolean {
    const lost = LOST.exec(text)
    if (lost) {
      this.end()
      this.counters.lost += Number(lost[1])
      return true
    }
    const match = HEADER.exec(text)
    if (!match) return false
    const [, comm, first, second, cpu, time, period, event, rest] = match
    this.begin({ comm, ids: [first, second], cpu, timeMs: Number(time) * 1000, period, event })
    if (rest) this.frameLine(` ${rest}`)
    return true
  }

  private timelessLine(text: string): boolean {
    const match = TIMELESS.exec(text)
    if (!match) return false
    const [, comm, first, second, cpu, period, event] = match
    this.begin({ comm, ids: [first, second], cpu, timeMs: undefined, period, event })
    return true
  }

  private begin(head: HeaderText): void {
    this.end()
    const [first, second] = head.ids
    this.open = {
      comm: head.comm ?? '',
      pid: Number(first),
      tid: Number(second ?? first),
      cpu: numberOf(head.cpu),
      timeMs: head.timeMs,
      period: numberOf(head.period),
      event: (head.event ?? '').replace(MODIFIERS, '').replace(HYBRID, '$1'),
      frames: [],
    }
  }

  private frameLine(text: string): boolean {
    const match = FRAME.exec(text)
    const sample = this.open
    if (!match || !sample) return false
    const [, ip = '', rest = ''] = match
    if (NO_ADDRESS.test(ip)) return true
    const { symbol, dso } = splitSymbol(rest)
    const frame = this.frameOf(ip, symbol, dso)
    if (dso === 'inlined') {
      if (this.inlinedAt !== ip) this.inlined = []
      this.inlinedAt = ip
      this.inlined.push(sample.frames.length)
    } else if (this.inlinedAt === ip) this.settleInlined(sample, frame)
    sample.frames.push(frame)
    return true
  }

  private settleInlined(sample: PerfSample, physical: Frame): void {
    for (const at of this.inlined) {
      const name = sample.frames[at]?.function ?? ''
      sample.frames[at] = this.cached(`${name}\n${physical.module}`, () => ({ ...physical, function: name }))
    }
    this.inlined = []
  }

  /** Below a frame, by `-F +srcline`: `  file.c:12`, `  file.c:12 (inlined)`; where nothing is known `  ??:0`, `  libx.so[1f3]`. */
  private sourceLine(text: string): boolean {
    if (NO_SOURCE.test(text)) return true
    const match = SOURCE_LINE.exec(text)
    const frames = this.open?.frames
    const last = frames?.at(-1)
    if (!match || !frames || !last) return false
    const [, file = '', line = ''] = match
    frames[frames.length - 1] = this.cached(`${last.function}\n${last.module}\n${file}\n${line}`, () => ({
      ...last,
      file,
      line: Number(line),
    }))
    return true
  }

  private frameOf(ip: string, symbol: string, dso: string): Frame {
    const key = symbol === '[unknown]' || symbol === '' ? `${ip} ${dso}` : `${symbol} ${dso}`
    return this.cached(key, () => parsePerfFrame({ ip, symbol, dso: dso === 'inlined' ? '' : dso }))
  }

  private cached(key: string, make: () => Frame): Frame {
    const known = this.cache.get(key)
    if (known) return known
    if (this.cache.size >= CACHED_FRAMES) this.cache.clear()
    const frame = make()
    this.cache.set(key, frame)
    return frame
  }
}

interface HeaderText {
  comm: string | undefined
  ids: [string | undefined, string | undefined]
  cpu: string | undefined
  timeMs: number | undefined
  period: string | undefined
  event: string | undefined
}

const numberOf = (text: string | undefined) => (text === undefined ? undefined : Number(text))

/** `operator()(int) const+0x1f (/opt/my app (2)/bin (deleted))`: the last group of parentheses, nested ones inside it. */
function splitSymbol(text: string): { symbol: string; dso: string } {
  const trimmed = text.trimEnd()
  const open = trimmed.endsWith(')') ? lastGroup(trimmed) : -1
  const symbol = open < 0 ? trimmed : trimmed.slice(0, open)
  return {
    symbol: symbol.trimEnd().replace(OFFSET, ''),
    dso: open < 0 ? '' : trimmed.slice(open + 1, -1),
  }
}

function lastGroup(text: string): number {
  let depth = 0
  for (let at = text.length - 1; at >= 0; at--) {
    const c = text.charCodeAt(at)
    if (c === 0x29) depth++
    else if (c === 0x28 && --depth === 0) return at === 0 || text[at - 1] === ' ' ? at : -1
  }
  return -1
}
