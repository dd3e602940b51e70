/**
 * NVIDIA's GPUs by `nvidia-smi --query-gpu=… -lms`, kept running: to start it each tick would load the driver each time.
 * https://docs.nvidia.com/deploy/nvidia-smi/index.html
 *
 *   0, 00000000:65:00.0, 97, 41, 35112, 81559, 401.22, 700.00, 61, 78, 1755, 1980, 2619, 0x0000000000000004, 0, 0
 *   1, 00000000:66:00.0, [N/A], [N/A], 1024, …            MIG is on: the instances share what the card cannot tell apart
 *   2, [GPU is lost], [GPU is lost], …                    a card that fell off the bus while it ran
 *   Unable to determine the device handle for GPU3: 0000:67:00.0: Unknown Error       one that was lost before
 *   Field "temperature.memory" is not a valid field to query.                         an older driver: asked again without
 *
 * Each line is a moment: several a tick, of which the tick takes the mean. It is started again when it ends, ever less often.
 */
import { join } from 'node:path'
import { rateOf } from '../counter.ts'
import { listed, readText } from '../hwmon.ts'
import { whole } from '../kernelfile.ts'
import { openCommands } from '../programs.ts'
import type { Absent, Reading, Roots, Source, SourceOptions, Tick } from '../source.ts'
import { Talk } from '../talk.ts'

const MIB = 1 << 20
/** Field -> column, and what its number is multiplied by. */
const FIELDS: readonly { field: string; column?: string; times?: number }[] = [
  { field: 'index', column: 'ordinal' },
  { field: 'pci.bus_id' },
  { field: 'utilization.gpu', column: 'utilization', times: 0.01 },
  { field: 'utilization.memory', column: 'memory_busy', times: 0.01 },
  { field: 'memory.used', column: 'memory_used', times: MIB },
  { field: 'memory.total', column: 'memory_total', times: MIB },
  { field: 'power.draw', column: 'power_watts' },
  { field: 'enforced.power.limit', column: 'power_limit_watts' },
  { field: 'temperature.gpu', column: 'temperature' },
  { field: 'temperature.memory', column: 'memory_temperature' },
  { field: 'clocks.sm', column: 'clock_hz', times: 1e6 },
  { field: 'clocks.max.sm', column: 'clock_limit_hz', times: 1e6 },
  { field: 'clocks.mem', column: 'memory_clock_hz', times: 1e6 },
  { field: 'clocks_throttle_reasons.active' },
  { field: 'ecc.errors.corrected.volatile.total' },
  { field: 'ecc.errors.uncorrected.volatile.total' },
]
export const ALL_FIELDS: readonly string[] = FIELDS.map(({ field }) => field)

/** Power cap, slowdown by hardware or heat, power brake; not: idle, clocks that somebody has set. */
const SLOWED = 0x4 | 0x8 | 0x20 | 0x40 | 0x80

export interface SmiGpu {
  /** 0000:65:00.0 */
  instance: string
  values: ReadonlyMap<string, number>
  corrected: number | undefined
  uncorrected: number | undefined
}

/** nvidia-smi writes the domain with eight digits, the kernel with four. */
export const pciAddress = (busId: string): string => busId.toLowerCase().replace(/^0{4}(?=[0-9a-f]{4}:)/, '')

const PCI = /^[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-9a-f]$/i

/** One line of the table; undefined for one that is none (a message, a card that is lost). */
export function parseSmiLine(line: string, fields: readonly string[]): SmiGpu | undefined {
  const words = line.trim().split(/,\s*/)
  if (words.length !== fields.length) return undefined
  const wordOf = (field: string) => words[fields.indexOf(field)] ?? ''
  const busId = wordOf('pci.bus_id')
  if (!PCI.test(busId)) return undefined
  const values = new Map<string, number>()
  for (const { field, column, times = 1 } of FIELDS) {
    const value = parseValue(wordOf(field))
    if (column !== undefined && value !== undefined) values.set(column, value * times)
  }
  const reasons = wordOf('clocks_throttle_reasons.active')
  if (/^0x[0-9a-f]+$/i.test(reasons)) values.set('throttled', Number(BigInt(reasons) & BigInt(SLOWED)) === 0 ? 0 : 1)
  return {
    instance: pciAddress(busId),
    values,
    corrected: parseValue(wordOf('ecc.errors.corrected.volatile.total')),
    uncorrected: parseValue(wordOf('ecc.errors.uncorrected.volatile.total')),
  }
}

/** `[N/A]`, `[Not Supported]`, `[Unknown Error]`, `[GPU is lost]`: everything but a number is none. */
const parseValue = (word: string): number | undefined => (/^\d+(\.\d+)?$/.test(word) ? Number(word) : undefined)

/** The field that this driver does not know. */
export const unknownField = (line: string): string | undefined =>
  /^Field "([\w.]+)" is not a valid field to query/.exec(line)?.[1]

/** What is said of a card that does not answer. */
const TROUBLE = /^Unable to determine the device handle|GPU is lost|Reboot the system|GPU requires reset/
const NO_GPU = /No devices were found/

/** A card, and what was said of it since the last tick. */
class Card {
  gpu: SmiGpu
  heardMs: number
  private moments: SmiGpu[] = []
  private errors: { gpu: SmiGpu; monotonicMs: number } | undefined

  constructor(gpu: SmiGpu, heardMs: number) {
    this.gpu = gpu
    this.heardMs = heardMs
  }

  hear(gpu: SmiGpu, heardMs: number): void {
    this.gpu = gpu
    this.heardMs = heardMs
    this.moments.push(gpu)
  }

  read({ monotonicMs }: Tick): Reading[] {
    const moments = this.moments.length > 0 ? this.moments : [this.gpu]
    this.moments = []
    const { instance } = this.gpu
    const readings = [...this.gpu.values.keys()].map((column): Reading => {
      const values = moments.flatMap(moment => moment.values.get(column) ?? [])
      return { entity: 'gpu', column, instance, value: values.reduce((sum, v) => sum + v, 0) / values.length }
    })
    const last = this.errors
    this.errors = { gpu: this.gpu, monotonicMs }
    const seconds = (monotonicMs - (last?.monotonicMs ?? monotonicMs)) / 1000
    for (const which of ['corrected', 'uncorrected'] as const) {
      const value = rateOf(last?.gpu[which], this.gpu[which], seconds)
      if (value !== undefined) readings.push({ entity: 'gpu', column: `ecc_${which}`, instance, value })
    }
    return readings
  }
}

/** Without a line for so long it is stuck: it waits for a card whose driver hangs. */
const SILENT_MS = 30_000
/** A tick; what it says of utilisation is that of a fraction of a second. */
const MOMENTS = 4

export function openNvidiaSmi(options: SourceOptions): Source | Absent {
  const program = openCommands(options, 10_000).find('nvidia-smi')
  if (program) return new NvidiaSmi(program, options.env ?? {})
  const cards = countCards(options.roots)
  return cards === 0
    ? { absent: 'no GPU of NVIDIA' }
    : { absent: `${cards} GPUs of NVIDIA, but no nvidia-smi: install the driver (nvidia-driver, nvidia-utils)` }
}

/** 3D controllers and displays of NVIDIA on the PCI bus, driver or not. */
function countCards(roots: Roots): number {
  const top = join(roots.sys, 'bus/pci/devices')
  const of = (device: string, file: string) => readText(join(top, device, file)) ?? ''
  return listed(top).filter(d => of(d, 'vendor') === '0x10de' && /^0x030[02]/.test(of(d, 'class'))).length
}

class NvidiaSmi implements Source {
  readonly name = 'nvidia'
  private readonly talk: Talk
  private fields = ALL_FIELDS
  private intervalMs = 0
  private nowMs = 0
  private readonly cards = new Map<string, Card>()
  private trouble: { line: string; heardMs: number } | undefined
  private said = ''

  constructor(program: string, env: Readonly<Record<string, string | undefined>>) {
    const args = () => [
      `--query-gpu=${this.fields.join(',')}`,
      '--format=csv,noheader,nounits',
      '-lms',
      String(this.intervalMs),
    ]
    const ended = (why: string) => {
      if (this.said === '') this.said = why
    }
    this.talk = new Talk({ program, args, env, hear: line => this.hear(line), ended })
  }

  read(tick: Tick): Reading[] {
    this.nowMs = tick.monotonicMs
    if (!this.talk.isRunning) this.intervalMs = Math.max(1000, Math.round(tick.intervalMs / MOMENTS))
    const silence = 2 * this.intervalMs + SILENT_MS
    for (const [instance, { heardMs }] of this.cards) {
      if (tick.monotonicMs - heardMs > silence) this.cards.delete(instance)
    }
    this.talk.tick(tick, silence)
    const readings = [...this.cards.values()].flatMap(card => card.read(tick))
    if (this.cards.size > 0) {
      readings.push({ entity: 'node', column: 'gpu_count', instance: '', value: this.cards.size })
    }
    if (this.trouble && tick.monotonicMs - this.trouble.heardMs > silence) this.trouble = undefined
    const problem = this.trouble?.line ?? (this.talk.isRunning ? undefined : this.said)
    return whole(readings, problem && !NO_GPU.test(problem) ? [`nvidia-smi: ${problem}`] : [])
  }

  detail(): string | undefined {
    return NO_GPU.test(this.said) ? 'nvidia-smi finds no GPU' : 'by nvidia-smi, which tells less than NVML'
  }

  private hear(line: string): boolean {
    const gpu = parseSmiLine(line, this.fields)
    const unknown = unknownField(line)
    if (gpu) {
      const card = this.cards.get(gpu.instance) ?? new Card(gpu, this.nowMs)
      this.cards.set(gpu.instance, card)
      card.hear(gpu, this.nowMs)
    } else if (unknown) {
      this.fields = this.fields.filter(field => field !== unknown)
      this.talk.again()
    } else if (TROUBLE.test(line)) this.trouble = { line: line.slice(0, 200), heardMs: this.nowMs }
    else if (line !== '') this.said = line.slice(0, 200)
    return gpu !== undefined
  }

  close(): void {
    this.talk.close()
  }
}
