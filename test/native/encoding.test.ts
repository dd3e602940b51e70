import { afterAll, describe, expect, it } from 'vitest'
import { startNative } from '../../collector/native.ts'
import { type Charge, encodeColumns, encodeProfiles, MAX_REQUEST_BYTES } from '../../collector/profiles.ts'
import type { SampledProcess, StackWindow } from '../../collector/sampler.ts'
import { FRAME_KINDS } from '../../ingest/records.ts'
import { drainUntil, openWorkshop, start, startBurst, whyAbsent } from './sampling.ts'

/** What the addon writes of its windows, beside what profiles.ts writes of the same columns. */
const absent = await whyAbsent()
const workshop = openWorkshop()
afterAll(() => workshop.close())

/** Windows of half a second and of a burst: compiled code, the kernel, Python, JavaScript, short-lived processes. */
async function sampleWindows(): Promise<StackWindow[]> {
  const sampler = await startNative({ hz: 499, windowMs: 500, includeIdle: false, stackBytes: 16_384 })
  if ('absent' in sampler) throw new Error(sampler.absent)
  try {
    const programs = [
      [workshop.compile('flat.c', 'flät'), '2'],
      [workshop.compile('storm.c', 'storm'), '100'],
      ['python3', workshop.source('flat.py'), '2'],
      [process.execPath, '--perf-basic-prof', workshop.source('flat.js'), '2'],
    ]
    const started = programs.map(command => start(command))
    startBurst(sampler, { target: 'node', durationMs: 1000 })
    await Promise.all(started.map(({ ended }) => ended))
    return await drainUntil(sampler, Date.now(), [''])
  } finally {
    await sampler.stop()
  }
}

/** All that a charge may say, and some processes left out. */
function chargeOf({ pid }: SampledProcess): Charge | undefined {
  const charges: (Charge | undefined)[] = [
    { job: '', step: '', evidence: 'none' },
    { job: '4711_[1-3]', step: '0', rank: pid % 200, evidence: 'cgroup' },
    { job: 'läuft 运行', step: '', rank: 0, evidence: 'environment' },
    undefined,
  ]
  return charges[pid % charges.length]
}

if (absent) it(`encoding: ${absent}`, context => context.skip(absent))

describe.skipIf(absent)('windows of the addon', () => {
  it('are encoded as profiles.ts would, byte for byte', async () => {
    const windows = await sampleWindows()
    const seen = { bodies: [0], kinds: new Set<string>(), bursts: new Set<string>() }
    for (const [index, window] of windows.entries()) {
      for (const kind of window.frames.kind) seen.kinds.add(FRAME_KINDS[kind] ?? '')
      seen.bursts.add(window.burst)
      const sender = { node: 'n1', ...(index % 2 === 0 ? {} : { cluster: 'c' }) }
      const maxBytes = [MAX_REQUEST_BYTES, 20_000, 900][index % 3] ?? MAX_REQUEST_BYTES
      const expected = [...encodeColumns(window, sender, chargeOf, maxBytes)]
      const bodies = [...encodeProfiles(window, sender, chargeOf, maxBytes)]
      seen.bodies.push(bodies.length)
      expect(bodies.map(body => body.length)).toEqual(expected.map(body => body.length))
      expect(bodies.every((body, at) => Buffer.compare(body, expected[at] ?? Buffer.of()) === 0)).toBe(true)
    }
    expect(Math.max(...seen.bodies)).toBeGreaterThan(1)
    expect([...seen.kinds]).toEqual(expect.arrayContaining(['native', 'kernel', 'python', 'javascript']))
    expect(seen.bursts).toEqual(new Set(['', 'b']))
  }, 120_000)

  it('tell the samples of each process, and encode once', async () => {
    const [window] = (await sampleWindows()).filter(({ processes }) => processes.length > 1)
    if (!window) throw new Error('no window of several processes')
    const counted = window.processes.map(() => 0)
    for (const [at, of] of window.samples.process.entries())
      counted[of] = (counted[of] ?? 0) + (window.samples.count[at] ?? 0)
    expect([...(window.sampled ?? [])]).toEqual(counted)
    const nobody = (): Charge => ({ job: '', step: '', evidence: 'none' })
    expect([...encodeProfiles(window, { node: 'n1' }, nobody)].length).toBe(1)
    expect([...encodeProfiles(window, { node: 'n1' }, nobody)]).toEqual([])
  }, 120_000)
})
