import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { LineSplitter } from '../../../collector/formats/lines.ts'
import { reachesRoot } from '../../../collector/formats/perfframe.ts'
import { type PerfSample, PerfScriptParser } from '../../../collector/formats/perfscript.ts'

const capture = (name: string) => readFileSync(`test/fixtures/profiles/${name}.txt`)

function parse(text: string | Uint8Array, chunk = 1 << 16) {
  const samples: PerfSample[] = []
  const parser = new PerfScriptParser(sample => samples.push(sample))
  const lines = new LineSplitter()
  const bytes = typeof text === 'string' ? Buffer.from(text) : text
  for (let at = 0; at < bytes.length; at += chunk)
    for (const line of lines.push(bytes.subarray(at, at + chunk))) parser.line(line)
  for (const line of lines.end()) parser.line(line)
  parser.end()
  return { samples, counters: parser.counters, headers: parser.headers }
}

/** `leaf<caller<root`, kernel frames with [k], modules with @ where asked. */
const drawnStack = (sample: PerfSample | undefined, modules = false) =>
  sample?.frames.map(f => `${f.function}${modules ? `@${f.module}` : ''}`).join('<')

const ROOTS = '__libc_start_call_main<__libc_start_main<_start'

describe('captures of perf script', () => {
  it('split: shares, complete stacks, exact clock', () => {
    const { samples, counters, headers } = parse(capture('split'))
    const share = (leaf: string) => samples.filter(s => s.frames[0]?.function === leaf).length / samples.length
    expect(drawnStack(samples[0])).toMatch(new RegExp(`^(solve|assemble|output)<step<main<${ROOTS}$`))
    expect(samples[0]).toMatchObject({ comm: 'split', event: 'cpu-clock', period: 10101010 })
    expect(samples[0]?.cpu).toBeLessThan(2)
    expect(samples[0]?.timeMs).toBeCloseTo(Number(/ (\d+\.\d{9}): /.exec(capture('split').toString())?.[1]) * 1000, 3)
    expect(samples[0]?.pid).toBe(samples[0]?.tid)
    expect(share('solve')).toBeGreaterThan(0.5)
    expect(samples.filter(s => s.frames.some(f => f.module === 'split') && !reachesRoot(s.frames))).toEqual([])
    expect(counters).toEqual({ samples: samples.length, lost: 0, otherEvents: 0, unknownLines: 0 })
    expect(headers.hz).toBe(99)
    const [clock, captured] = [headers.clockOffsetMs ?? 0, headers.capturedMs ?? 0]
    // The file was closed within the second after its last sample; ctime has whole seconds.
    expect(Math.abs(captured - clock - (headers.lastSampleMs ?? 0))).toBeLessThan(1500)
  })

  it('default-fields: a thread id only, offsets, kernel frames', () => {
    const { samples, counters } = parse(capture('default-fields'))
    expect(new Set(samples.map(s => s.comm))).toEqual(new Set(['split', 'dd']))
    expect(samples.every(s => s.pid > 0 && s.pid === s.tid)).toBe(true)
    const kernel = samples.flatMap(s => s.frames).filter(f => f.kind === 'kernel')
    expect(kernel.every(f => f.module === '[kernel.kallsyms]' && !f.function.includes('+0x'))).toBe(true)
    expect(kernel.map(f => f.function)).toContain('entry_SYSCALL_64_after_hwframe')
    expect(counters.unknownLines).toBe(0)
  })

  it('names: C++ as people write it', () => {
    const { samples } = parse(capture('names'))
    const names = new Set(samples.flatMap(s => s.frames.map(f => `${f.function}@${f.module}`)))
    expect(names).toContain('(anonymous namespace)::Call::operator()@names')
    expect(names).toContain('(anonymous namespace)::Call::operator bool@names')
    expect(names).toContain('(anonymous namespace)::Leaf::eval@names')
    const named = (pattern: RegExp) => [...names].filter(n => pattern.test(n)).length
    expect(named(/^std::__introsort_loop<.*lambda\(double, double\)#1}> >@names$/)).toBe(1)
    expect(named(/^\(anonymous namespace\)::Sum<std::pair<int, std::.*> >, 3>::eval@names$/)).toBe(1)
    expect([...names].filter(n => /\+0x|\(\/|inlined/.test(n))).toEqual([])
  })

  it('inline: inlined frames belong to the module of their physical frame', () => {
    const { samples } = parse(capture('inline'))
    const stacks = samples.map(s => drawnStack(s, true))
    expect(stacks).toContain(
      'burn@inline<i60@inline<step@inline<main@inline<__libc_start_call_main@libc.so.6<__libc_start_main_impl@<_start@inline',
    )
    const share = (name: string) => samples.filter(s => s.frames.some(f => f.function === name)).length / samples.length
    expect(share('i60')).toBeGreaterThan(share('i30'))
    expect(share('i30')).toBeGreaterThan(share('i10'))
  })

  it('inline-srcline: lines below frames', () => {
    const { samples, counters } = parse(capture('inline-srcline'))
    const frames = samples.flatMap(s => s.frames)
    expect(frames).toContainEqual({ function: 'i60', module: '', file: 'inline.c', line: 9, kind: 'native' })
    expect(frames.filter(f => f.file === '??')).toEqual([])
    expect(counters.unknownLines).toBe(0)
  })

  it('threads: names with blanks, digits, brackets and colons', () => {
    const { samples } = parse(capture('threads'))
    expect(new Set(samples.map(s => s.comm).filter(c => c !== 'threads'))).toEqual(
      new Set(['a thread 12 [3]', 'io: 4/5 1.0: x', '(pool) 7']),
    )
    expect(new Set(samples.map(s => s.pid)).size).toBe(1)
    expect(new Set(samples.map(s => s.tid)).size).toBeGreaterThanOrEqual(3)
    expect(samples.filter(s => s.comm === '(pool) 7').map(s => drawnStack(s))).toContain(
      'spin<work<start_thread<clone3',
    )
  })

  it('openmp: a stripped library keeps module and offset', () => {
    const { samples } = parse(capture('openmp'))
    expect(samples.map(s => drawnStack(s))).toContain(
      'libgomp.so.1.0.0+0x1f7da<main._omp_fn.0<libgomp.so.1.0.0+0x1cd8d<start_thread<clone3',
    )
  })

  it('leaf-only: one line a sample, names to the right', () => {
    const { samples, counters } = parse(capture('leaf-only'))
    expect(new Set(samples.map(s => s.comm))).toEqual(new Set(['split', 'dd']))
    expect(samples.every(s => s.frames.length === 1 && s.timeMs !== undefined)).toBe(true)
    expect(samples.map(s => s.frames[0]?.function)).toContain('solve')
    expect(counters).toMatchObject({ samples: samples.length, unknownLines: 0 })
  })

  it('two-events: the first one is kept, the other counted', () => {
    const { samples, counters } = parse(capture('two-events'))
    const text = capture('two-events').toString()
    expect(new Set(samples.map(s => s.event))).toEqual(new Set(['page-faults']))
    expect(counters.otherEvents).toBe(text.match(/ cpu-clock: $/gm)?.length)
  })

  it('no-time: neither time, period nor module', () => {
    const { samples, counters } = parse(capture('no-time'))
    expect(drawnStack(samples.at(-1))).toMatch(/<step<main<__libc_start_call_main<__libc_start_main_impl<_start$/)
    expect(samples[0]).toMatchObject({ comm: 'split', event: '', timeMs: undefined, period: undefined })
    expect(counters.unknownLines).toBe(0)
  })

  it('lost: counts what the kernel dropped', () => {
    const { counters } = parse(capture('lost'))
    const told = [
      ...capture('lost')
        .toString()
        .matchAll(/LOST lost (\d+)/g),
    ].reduce((sum, m) => sum + Number(m[1]), 0)
    expect(told).toBeGreaterThan(0)
    expect(counters.lost).toBe(told)
  })

  it('deleted: the program is gone, its name is not', () => {
    const { samples } = parse(capture('deleted'))
    expect(new Set(samples.map(s => s.frames[0]?.module))).toEqual(new Set(['gone']))
    expect(samples[0]?.frames[0]?.function).toMatch(/^gone\+0x[0-9a-f]+$/)
  })

  it('cut-short: frame pointers that were none are no root', () => {
    const { samples } = parse(capture('cut-short'))
    const python = samples.filter(s => s.frames[0]?.function === '_PyEval_EvalFrameDefault')
    expect(python.length).toBeGreaterThan(5)
    expect(python.filter(s => reachesRoot(s.frames))).toEqual([])
    expect(python[0]?.frames.at(-1)).toMatchObject({ function: '[unknown]', module: '' })
  })

  it('node: functions of V8 with file and line', () => {
    const frames = parse(capture('node')).samples.flatMap(s => s.frames)
    expect(frames).toContainEqual({
      function: 'fib',
      module: '[jit]',
      file: '/tmp/captures/programs/fib.cjs',
      line: 2,
      kind: 'javascript',
    })
  })
})

describe('a damaged or unusual text', () => {
  it('reads the same with CRLF and in pieces of any size', () => {
    const text = capture('threads')
    const whole = parse(text)
    expect(parse(Buffer.from(text.toString().replaceAll('\n', '\r\n'))).samples).toEqual(whole.samples)
    expect(parse(text, 7).samples).toEqual(whole.samples)
  })

  it('takes lines that look like others for what they are', () => {
    const { samples, counters } = parse(
      [
        'instruction trace error type 1 cpu 1 pid 2 tid 2',
        'dd 4711/4711 [000] 1.5:  10 cycles:uppp: ',
        '\t   4c0de operator()(int (*)(char)) const+0x1f (/opt/my app (2)/bin (deleted))',
        '\t    4c0 foo; bar (//anon)',
        '\t7f0000000001 [unknown] (/usr/lib/libx.so)',
        '\tffffffffc0123456 nfs_file_read ([nfs])',
        '\tffffffffc0123456 [unknown] ([kernel.kallsyms])',
        '\t    77 py::fib:/app/fib.py (/tmp/perf-4.map)',
        '\t    77 Lcom/acme/Solver;::step (/tmp/perf-4.map)',
        '\t    77 memcpy@@GLIBC_2.14 (/lib/libc.so.6)',
        '\t    77 memcpy@plt (/bin/x)',
        '\tffffffffffffffff [unknown] ([unknown])',
        '\t               0 [unknown] ([unknown])',
        'nonsense',
        '',
        '              dd  4711 [000]     1.6:         10 cpu_core/cycles/:  77 read (/lib/libc.so.6)',
        '              ee  4711 [000]     1.7:         10 cpu_atom/cycles/u:  77 read (/lib/libc.so.6)',
      ].join('\n'),
    )
    expect(samples.map(s => [s.comm, s.pid, s.event, s.timeMs])).toEqual([
      ['dd', 4711, 'cycles', 1500],
      ['dd', 4711, 'cycles', 1600],
      ['ee', 4711, 'cycles', 1700],
    ])
    expect(samples[0]?.frames.map(f => [f.function, f.module, f.kind])).toEqual([
      ['operator()(int (*)(char)) const', 'bin', 'native'],
      ['foo; bar', '[anon]', 'native'],
      ['[libx.so]', 'libx.so', 'native'],
      ['nfs_file_read', '[nfs]', 'kernel'],
      ['[kernel]', '[kernel.kallsyms]', 'kernel'],
      ['fib', 'fib.py', 'python'],
      ['Lcom/acme/Solver;::step', '[jit]', 'java'],
      ['memcpy', 'libc.so.6', 'native'],
      ['memcpy@plt', 'x', 'native'],
    ])
    expect(counters.unknownLines).toBe(2)
  })

  it('never makes it throw, and every sample is still counted', () => {
    let seed = 11
    const next = (below: number) => {
      seed = (seed * 1103515245 + 12345) % 2147483648
      return Math.floor((seed / 2147483648) * below)
    }
    const sources = ['split', 'default-fields', 'names', 'inline-srcline', 'leaf-only', 'lost'].map(n => capture(n))
    for (let round = 0; round < 300; round++) {
      const source = sources[next(sources.length)] ?? Buffer.alloc(0)
      const from = next(source.length - 1)
      const bytes = Buffer.from(source.subarray(from, from + 4000))
      for (let hits = next(40); hits > 0; hits--) bytes[next(bytes.length)] = next(256)
      const cut = next(bytes.length)
      const { samples, counters } = parse(Buffer.concat([bytes.subarray(cut), bytes.subarray(0, cut)]), 1 + next(500))
      expect(samples.length).toBe(counters.samples)
      for (const sample of samples) expect(Number.isFinite(sample.pid)).toBe(true)
    }
  })

  it('bounds a line that never ends', () => {
    const lines = new LineSplitter()
    const chunk = Buffer.alloc(1 << 20, 'x')
    for (let i = 0; i < 20; i++) expect(lines.push(chunk)).toEqual([])
    expect(lines.end()[0]?.length).toBe(64 << 10)
  })
})
