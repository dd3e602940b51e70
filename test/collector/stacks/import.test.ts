import { mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { Function as Fn, Label, Line, Location, Mapping, Profile, Sample, StringTable, ValueType } from 'pprof-format'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { detectFormat } from '../../../collector/formats/detect.ts'
import { ProfileError, type ProfileSummary } from '../../../collector/formats/format.ts'
import { type ImportOptions, importProfile } from '../../../collector/import.ts'
import { type DecodedSample, decodeRequest } from './otlp.ts'

const fixture = (name: string) => `test/fixtures/profiles/${name}`
const NOW = 1_795_500_000_000

async function imported(file: string | Uint8Array, options: Partial<ImportOptions> = {}) {
  let summary: ProfileSummary | undefined
  const samples: DecodedSample[] = []
  const settings = { node: 'n1', now: () => NOW, onSummary: (s: ProfileSummary) => (summary = s), ...options }
  const input = typeof file === 'string' ? file : pieces(file)
  for await (const body of importProfile(input, settings)) samples.push(...decodeRequest(body).samples)
  return { samples, summary, sum: samples.reduce((total, s) => total + s.value, 0) }
}

async function* pieces(bytes: Uint8Array, size = 1000) {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

const names = (sample: DecodedSample | undefined) => sample?.frames.map(f => f.split('@')[0]).join('<')

describe('importProfile', () => {
  let folder: string
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'jobsight-import-'))
  })
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  it('reads perf script, at the time it was recorded, charged to the job that is named', async () => {
    const { samples, summary, sum } = await imported(fixture('split.txt'), { cluster: 'c', job: '4711' })
    expect(samples[0]?.resource).toMatchObject({
      'host.name': 'n1',
      'jobsight.cluster': 'c',
      'jobsight.job.id': '4711',
      'jobsight.evidence': 'sender',
      'process.executable.name': 'split',
    })
    const reference = /reference time: .* = (\d+\.\d+) \(TOD\)/.exec(readFileSync(fixture('split.txt'), 'utf8'))?.[1]
    expect(Math.abs((summary?.startMs ?? 0) - 1000 * Number(reference))).toBeLessThan(1000)
    for (const sample of samples) {
      expect(sample.startMs % 10_000).toBe(0)
      expect(sample.endMs - sample.startMs).toBe(10_000)
      expect(sample.endMs).toBeGreaterThanOrEqual(summary?.startMs ?? 0)
      expect(sample.startMs).toBeLessThanOrEqual(summary?.endMs ?? 0)
    }
    const solve = samples.filter(s => names(s)?.startsWith('solve<')).reduce((total, s) => total + s.value, 0)
    expect(solve / sum).toBeGreaterThan(0.5)
    expect(samples.every(s => s.type === 'cpu/nanoseconds')).toBe(true)
  })

  it('puts a text without a wall clock before the end of its writing', async () => {
    const file = join(folder, 'default-fields.txt')
    const text = readFileSync(fixture('default-fields.txt'), 'utf8')
    writeFileSync(file, text)
    utimesSync(file, NOW / 1000, NOW / 1000)
    const times = [...text.matchAll(/ (\d+\.\d+): /g)].map(m => 1000 * Number(m[1]))
    const { summary } = await imported(file)
    expect(summary?.endMs).toBeCloseTo(NOW + 1, 0)
    expect(summary?.startMs).toBeCloseTo(NOW - ((times.at(-1) ?? 0) - (times[0] ?? 0)), 0)
    expect((await imported(file, { timeMs: 5_000_000 })).summary?.startMs).toBeCloseTo(5_000_000, 0)
    expect((await imported(readFileSync(file))).summary?.startMs).toBeCloseTo(NOW, 0)
  })

  it('makes nanoseconds of cycles by the time between samples, and none of page faults', async () => {
    const line = (at: number) =>
      `app 7/7 [001] ${(100 + at / 100).toFixed(6)}: 25000000 cycles:P: \n\t77 main (/bin/app)\n\n`
    const { samples, sum } = await imported(Buffer.from(Array.from({ length: 101 }, (_, at) => line(at)).join('')))
    expect(samples[0]?.type).toBe('cpu/nanoseconds')
    expect(sum / 1.01e9).toBeCloseTo(1, 3)
    const faults = await imported(fixture('two-events.txt'))
    expect(new Set(faults.samples.map(s => s.type))).toEqual(new Set(['page-faults/count']))
    expect(faults.summary?.otherEvents).toBeGreaterThan(10)
  })

  it('reads folded stacks of py-spy', async () => {
    const { samples, summary, sum } = await imported(fixture('fib-python.folded'))
    const counts = [...readFileSync(fixture('fib-python.folded'), 'utf8').matchAll(/ (\d+)$/gm)].map(m => Number(m[1]))
    expect(sum).toBe(counts.reduce((total, n) => total + n, 0) * 1e7)
    expect(samples[0]?.frames.at(-1)).toBe('<module>@fib.py cpython fib.py:12')
    expect(samples.reduce((n, s) => n + Number(s.attributes['jobsight.sample.count']), 0)).toBe(sum / 1e7)
    expect(samples[0]?.resource).toMatchObject({ 'process.executable.name': 'fib-python' })
    expect(Number(samples[0]?.resource['process.pid'])).toBeGreaterThan(2 ** 22)
    expect((summary?.endMs ?? 0) - (summary?.startMs ?? 0)).toBe(sum / 1e6)
  })

  it('reads the annotations of FlameGraph, and semicolons and blanks as they come', async () => {
    const text = 'app;main;operator new(unsigned long);asm_exc_page_fault_[k] 2\napp;jit_code_[j] 1.5\n\nbad line\n'
    const { samples, summary } = await imported(Buffer.from(text), { hz: 1 })
    expect(samples.map(s => [s.frames, s.value])).toEqual([
      [
        [
          'asm_exc_page_fault@[kernel.kallsyms] kernel',
          'operator new(unsigned long)@ native',
          'main@ native',
          'app@ native',
        ],
        2e9,
      ],
      [['jit_code@ jit', 'app@ native'], 1.5e9],
    ])
    expect(summary?.unknownLines).toBe(1)
  })

  it('reads pprof of Go, gzipped, with its own time', async () => {
    const { samples, summary, sum } = await imported(fixture('fib-go.pb.gz'))
    expect(sum).toBeGreaterThan(0.5e9)
    expect(samples.map(s => s.frames.at(-1)?.split(' ')[0])).toContain('runtime.main@fibgo')
    expect(
      samples.flatMap(s => s.frames).some(f => f.startsWith('main.fib@fibgo native /tmp/captures/programs/fib.go:')),
    ).toBe(true)
    expect(new Date(summary?.startMs ?? 0).getUTCFullYear()).toBe(2026)
    expect((summary?.endMs ?? 0) - (summary?.startMs ?? 0)).toBe(1000)
  })

  it('reads pprof with sparse ids, inlined lines, labels, and takes samples times period where there is no CPU time', async () => {
    const { samples } = await imported(pprof({ types: [['samples', 'count']], values: [3], period: 10_000_000 }))
    expect(samples[0]).toMatchObject({ type: 'cpu/nanoseconds', value: 3e7 })
    expect(samples[0]?.frames).toEqual([
      'inner@libx.so native x.c:7',
      'outer@libx.so native x.c:9',
      'libx.so+0x1234@libx.so native',
    ])
    expect(samples[0]?.attributes).toMatchObject({ 'jobsight.sample.count': 3, 'thread.name': 'worker' })
    expect(samples[0]?.resource).toMatchObject({ 'process.pid': 4711, 'process.executable.name': 'solver' })
    const heap = pprof({
      types: [
        ['alloc_objects', 'count'],
        ['alloc_space', 'bytes'],
      ],
      values: [3, 4096],
      period: 524_288,
    })
    expect((await imported(heap)).samples[0]).toMatchObject({ type: 'alloc_space/count', value: 4096 })
    const both = pprof({
      types: [
        ['samples', 'count'],
        ['cpu', 'microseconds'],
      ],
      values: [3, 40],
      period: 0,
    })
    expect((await imported(both)).samples[0]).toMatchObject({ value: 40_000 })
  })

  it('reads speedscope, sampled by py-spy and evented', async () => {
    const sampled = await imported(fixture('fib-python.speedscope.json'))
    expect(sampled.sum / 1e9).toBeCloseTo(0.99, 1)
    expect(names(sampled.samples[0])).toMatch(/^fib<.*<outer<<module>$/)
    const file = {
      $schema: 'https://www.speedscope.app/file-format-schema.json',
      shared: { frames: [{ name: 'main' }, { name: 'step', file: 'a.c', line: 3 }] },
      profiles: [
        {
          type: 'evented',
          name: 'main thread',
          unit: 'milliseconds',
          startValue: 0,
          endValue: 10,
          events: [
            { type: 'O', frame: 0, at: 0 },
            { type: 'O', frame: 1, at: 4 },
            { type: 'C', frame: 1, at: 9 },
            { type: 'C', frame: 0, at: 10 },
          ],
        },
      ],
    }
    const evented = await imported(Buffer.from(JSON.stringify(file)))
    expect(evented.samples.map(s => [names(s), s.value])).toEqual([
      ['main', 5e6],
      ['step<main', 5e6],
    ])
  })

  it('splits a long recording into windows of ten seconds, and adds up to the same', async () => {
    const line = (at: number) => `app 7/7 [001] ${at}.5: 1000000000 cpu-clock: \n\t77 f${at % 3} (/bin/app)\n\n`
    const text = Array.from({ length: 95 }, (_, at) => line(at)).join('')
    const { samples, sum } = await imported(gzipSync(text), { timeMs: 500 })
    expect(sum).toBe(95e9)
    expect(new Set(samples.map(s => s.startMs)).size).toBe(10)
  })
})

describe('what it cannot read', () => {
  it.each([
    ['perf.data', Buffer.from('PERFILE2\0\0\0\0'), /perf script --header -i perf\.data/],
    ['x.json', Buffer.from('{"traceEvents":[]}'), /not of speedscope/],
    ['x.txt', Buffer.from('hello\nworld\n'), /perf script --header > FILE/],
    ['empty', Buffer.alloc(0), /perf script --header > FILE/],
  ])('%s: says what to do', (name, bytes, message) => {
    expect(() => detectFormat(bytes, name)).toThrow(message)
  })

  it('a missing file, a folder', async () => {
    await expect(imported('test')).rejects.toThrow(/cannot read test: EISDIR/)
    await expect(imported('/nowhere/x.txt')).rejects.toThrow(/cannot read \/nowhere\/x\.txt/)
  })

  it('damaged files of all kinds end in an answer or a ProfileError', async () => {
    let seed = 5
    const next = (below: number) => {
      seed = (seed * 1103515245 + 12345) % 2147483648
      return Math.floor((seed / 2147483648) * below)
    }
    const whole = pprof({ types: [['cpu', 'nanoseconds']], values: [3], period: 1 })
    const files = ['names.txt', 'fib-python.folded', 'fib-python.speedscope.json', 'fib-go.pb.gz'].map(f =>
      readFileSync(fixture(f)),
    )
    for (let round = 0; round < 200; round++) {
      const source = [...files, whole][next(files.length + 1)] ?? whole
      const bytes = Buffer.from(source.subarray(0, 1 + next(Math.min(source.length, 20_000))))
      for (let hits = next(20); hits > 0; hits--) bytes[next(bytes.length)] = next(256)
      await imported(bytes).catch(error => expect(error).toBeInstanceOf(ProfileError))
    }
  })
})

/** One sample: inner inlined into outer, called from an address without a name. */
function pprof(options: { types: [string, string][]; values: number[]; period: number }): Uint8Array {
  const strings = new StringTable()
  const text = (s: string) => strings.dedup(s)
  const fn = (id: number, name: string) => new Fn({ id, name: text(name), filename: text('x.c') })
  const label = (key: string, str: string) => new Label({ key: text(key), str: text(str) })
  return new Profile({
    sampleType: options.types.map(([type, unit]) => new ValueType({ type: text(type), unit: text(unit) })),
    sample: [
      new Sample({
        locationId: [900, 70],
        value: options.values,
        label: [new Label({ key: text('pid'), num: 4711 }), label('comm', 'solver'), label('thread', 'worker')],
      }),
    ],
    mapping: [
      new Mapping({
        id: 33,
        memoryStart: 0x10000,
        memoryLimit: 0x20000,
        fileOffset: 0x1000,
        filename: text('/lib/libx.so'),
      }),
    ],
    location: [
      new Location({ id: 70, mappingId: 33, address: 0x10234 }),
      new Location({
        id: 900,
        mappingId: 33,
        address: 0x10300,
        line: [new Line({ functionId: 12, line: 7 }), new Line({ functionId: 500, line: 9 })],
      }),
    ],
    function: [fn(500, 'outer'), fn(12, 'inner')],
    stringTable: strings,
    periodType: new ValueType({ type: text('cpu'), unit: text(options.period === 524_288 ? 'bytes' : 'nanoseconds') }),
    period: options.period,
  }).encode()
}
