import { spawn } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { describe, expect, it, onTestFinished } from 'vitest'
import { openIngest } from '../../ingest/index.ts'
import { openStore } from '../../ingest/store.ts'
import { counts, expected, missing, request } from './numbered.ts'
import { freshPath, quiet } from './place.ts'

/** Kills that are drawn; more by hand: KILLS=100 npx vitest run test/ingest/kill.test.ts */
const KILLS = Number(process.env.KILLS ?? 5)
const REQUESTS = 300 * KILLS

/** As a sender names it; of one sender's batches the newest 64 are known. */
const batchOf = (i: number): string => `sender-${i % 20}-${i}`

/** Starts the child, kills it after so many acknowledgements and a moment more; what it had acknowledged. */
function runAndKill(path: string, numbers: readonly number[], acks: number, moreMs: number): Promise<number[]> {
  const script = join(import.meta.dirname, 'killed.mjs')
  const list = join(path, 'numbers.json')
  writeFileSync(list, JSON.stringify(numbers))
  const data = join(path, 'data')
  const args = [script, resolve('dist'), data, join(path, 'bodies.json'), list]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  let errors = ''
  child.stderr.on('data', text => {
    errors += text
  })
  const acked: number[] = []
  let dying = false
  let tried = Promise.resolve()
  createInterface({ input: child.stdout }).on('line', line => {
    if (line === 'open') tried = expectHeld(data, child.pid)
    if (/^\d+$/.test(line)) acked.push(Number(line))
    if (dying || (acked.length < acks && line !== 'all')) return
    dying = true
    // Who tries to open what nobody holds any more has it, and the next child has not.
    void tried.then(() => setTimeout(() => child.kill('SIGKILL'), moreMs))
  })
  return new Promise((ok, no) => {
    child.on('close', (_, signal) =>
      signal === 'SIGKILL' ? ok(acked) : no(new Error(`the child ended on its own: ${errors}`)),
    )
  })
}

/**
 * Those that may be stored although nobody heard of it, as a sender does that keeps what was not acknowledged; the next ones in
 * another order; and some that were acknowledged before once more. All of it within what is known of a sender's batches.
 */
function numbersToSend(acked: ReadonlySet<number>, maybe: readonly number[], some: number): number[] {
  const open = Array.from({ length: REQUESTS }, (_, i) => i).filter(i => !acked.has(i) && !maybe.includes(i))
  const next = open.slice(0, some).sort((a, b) => ((a * 7919) % 101) - ((b * 7919) % 101))
  return [...[...acked].slice(-20), ...maybe, ...next.slice(0, 300), ...next.slice(0, 10), ...next.slice(300)]
}

/** Of what a child was given: it takes four at once, in order. */
const begun = (numbers: readonly number[], acks: number, acked: ReadonlySet<number>): number[] =>
  [...new Set(numbers.slice(0, acks + 4))].filter(i => !acked.has(i))

const refusals: unknown[] = []
async function expectHeld(path: string, pid: number | undefined): Promise<void> {
  const refused = await openStore({ path }, { log: quiet }).catch((error: unknown) => error)
  refusals.push(refused instanceof Error && refused.message.includes(`held by process ${pid} on`))
}

describe('kill -9 at any moment', () => {
  it(
    'stores each request once, whatever was sent again, and the next start says nobody holds it',
    async () => {
      expect(existsSync('dist/ingest/store.js')).toBe(true)
      const path = freshPath()
      writeFileSync(join(path, 'bodies.json'), JSON.stringify(Array.from({ length: REQUESTS }, (_, i) => request(i))))
      const acked = new Set<number>()
      let told = 0
      let maybe: number[] = []
      for (let kill = 0; kill < KILLS; kill++) {
        const numbers = numbersToSend(acked, maybe, 300)
        const now = await runAndKill(path, numbers, 1 + ((kill * 97) % 211), (kill * 13) % 37)
        told += now.length
        for (const i of now) acked.add(i)
        maybe = begun(numbers, now.length, acked)
      }
      expect(refusals).toEqual(Array(KILLS).fill(true))

      const store = await openStore({ path: join(path, 'data') }, { log: quiet })
      onTestFinished(() => store.close())
      const ingest = await openIngest({ store, log: quiet, defaultCluster: 'c', config: { flushMs: 5 } })
      onTestFinished(() => ingest.close())
      expect(await missing(store, acked)).toEqual([])
      const left = numbersToSend(acked, maybe, REQUESTS)
      for (const i of left) {
        const { door, base64 } = request(i)
        const receipt = await ingest.receive(door, Buffer.from(base64, 'base64'), undefined, batchOf(i))
        expect(receipt.status).toBe(200)
      }
      // Where nothing was left to send, only those that were acknowledged before.
      expect(ingest.counters().duplicateBatches).toBeGreaterThanOrEqual(left.length - (REQUESTS - acked.size))
      expect(told).toBeGreaterThan(acked.size)
      await ingest.close()
      expect(await counts(store)).toEqual(expected(REQUESTS))
    },
    180_000 + 20_000 * KILLS,
  )
})
