import { pino } from 'pino'
import { describe, expect, it } from 'vitest'
import type { Sent } from '../../../collector/outbox.ts'
import type { Traffic } from '../../../collector/simulate/cluster.ts'
import { play } from '../../../collector/simulate/play.ts'
import { startSimulation } from '../../../collector/simulate.ts'

const log = pino({ level: 'silent' })
const never = new AbortController().signal
async function* requests(count: number, size: number): AsyncGenerator<Traffic> {
  for (let i = 0; i < count; i++) yield { door: 'metrics', body: new Uint8Array(size).fill(i), timeMs: i }
}

describe('play', () => {
  it('has several requests under way, never more bytes than allowed', async () => {
    let bytes = 0
    let most = 0
    const send = async (_door: string, body: Uint8Array): Promise<Sent> => {
      bytes += body.length
      most = Math.max(most, bytes)
      await new Promise(resolve => setImmediate(resolve))
      bytes -= body.length
      return { ok: true }
    }
    const counters = await play(requests(40, 100), { send, log, signal: never, maxBytesUnderWay: 1000 })
    expect(most).toBe(1000)
    expect(counters).toEqual({ requests: 40, bytes: 4000, retries: 0, refused: 0 })
  })

  it('sends again what is refused for now, and counts what is refused for good', async () => {
    const tries = new Map<number, number>()
    const send = async (_door: string, body: Uint8Array): Promise<Sent> => {
      const which = body[0] ?? 0
      const tried = (tries.get(which) ?? 0) + 1
      tries.set(which, tried)
      if (which === 1 && tried < 3) return { ok: false, permanent: false, retryAfterMs: 1, message: 'busy' }
      return which === 2 ? { ok: false, permanent: true, message: 'broken' } : { ok: true }
    }
    const counters = await play(requests(4, 1), { send, log, signal: never })
    expect(counters).toEqual({ requests: 3, bytes: 3, retries: 2, refused: 1 })
    expect([...tries]).toEqual([
      [0, 1],
      [1, 3],
      [2, 1],
      [3, 1],
    ])
  })

  it('runs on from the history until it is stopped', async () => {
    const untilMs = Date.UTC(2026, 10, 23, 14)
    let nowMs = untilMs
    let heard: (n: number) => void = () => {}
    let metrics = 0
    const third = new Promise<number>(resolve => {
      heard = resolve
    })
    const send = async (door: string): Promise<Sent> => {
      nowMs += 10_000
      if (door === 'metrics' && ++metrics === 3) heard(metrics)
      return { ok: true }
    }
    const simulation = startSimulation(
      { untilMs, nodes: 2, hours: 0.01, follow: true },
      { send, log, now: () => nowMs },
    )
    expect((await simulation.history).refused).toBe(0)
    expect(await third).toBe(3)
    await simulation.stop()
    const after = metrics
    await new Promise(resolve => setImmediate(resolve))
    expect(metrics).toBe(after)
  })
})
