import { spawnSync } from 'node:child_process'
import { mkdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pino } from 'pino'
import { expect, it, onTestFinished } from 'vitest'
import { type Ingest, openIngest } from '../../ingest/index.ts'
import { openStore } from '../../ingest/store.ts'
import { counts, expected, missing, request } from './numbered.ts'
import { freshPath } from './place.ts'

/** A disk of its own, as small as this; undefined where we may not mount one. */
function mountDisk(megabytes: number): string | undefined {
  const path = join(freshPath(), 'disk')
  mkdirSync(path)
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tmpfs', path])
  if (mounted.status !== 0) return undefined
  onTestFinished(() => void spawnSync('umount', ['--lazy', path]))
  return path
}

/** Takes all that is free. */
function fill(disk: string): () => void {
  const file = join(disk, 'filler')
  const chunk = Buffer.alloc(1 << 20, 1)
  try {
    for (;;) writeFileSync(file, chunk, { flag: 'a' })
  } catch (error) {
    expect(error).toMatchObject({ code: 'ENOSPC' })
  }
  expect(statfsSync(disk).bavail).toBe(0)
  return () => rmSync(file)
}

/** As a collector's outbox does: what is not acknowledged is sent again. */
function openSender(ingest: Ingest) {
  const acked = new Set<number>()
  const refusals = new Map<number, number>()
  const send = async (i: number): Promise<void> => {
    const { door, base64 } = request(i)
    const receipt = await ingest.receive(door, Buffer.from(base64, 'base64'), undefined, `sender-${i % 20}-${i}`)
    if (receipt.status === 200) acked.add(i)
    else refusals.set(receipt.status, (refusals.get(receipt.status) ?? 0) + 1)
  }
  return { acked, refusals, sendAll: async (numbers: readonly number[]) => void (await Promise.all(numbers.map(send))) }
}

const numbers = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i)

const STEP = 300

it('a disk that is full costs nothing that was acknowledged, refuses the rest, and takes it once there is room', async ctx => {
  const disk = mountDisk(128)
  if (disk === undefined) {
    if (process.env.CI) throw new Error('mount -t tmpfs was refused: run as root')
    return ctx.skip('mount -t tmpfs was refused: run as root')
  }
  const said: string[] = []
  const log = pino({ level: 'warn' }, { write: line => void said.push(line) })
  const open = async () => {
    const store = await openStore({ path: join(disk, 'data') }, { log })
    const ingest = await openIngest({ store, log, defaultCluster: 'c', config: { flushMs: 20 } })
    return { store, ingest }
  }
  const first = await open()
  const sender = openSender(first.ingest)
  await sender.sendAll(numbers(0, STEP))
  expect(sender.acked.size).toBe(STEP)

  const free = fill(disk)
  await sender.sendAll(numbers(STEP, 2 * STEP))
  // What was acknowledged before the disk was full waits in the journal.
  await expect.poll(() => first.ingest.counters().retries, { timeout: 30_000 }).toBeGreaterThan(3)
  expect([...sender.refusals.keys()]).toEqual([503])
  expect(sender.acked.size).toBe(STEP)
  free()
  await sender.sendAll(numbers(STEP, 2 * STEP))
  await first.ingest.flush()
  expect(await missing(first.store, sender.acked)).toEqual([])

  await sender.sendAll(numbers(2 * STEP, 3 * STEP))
  const freeAgain = fill(disk)
  await first.ingest.close()
  await first.store.close()
  said.length = 0
  const opening = open()
  await expect.poll(() => said.join(''), { timeout: 30_000 }).toMatch(/no block can be written in .*: ENOSPC/)
  freeAgain()
  const next = await opening
  await next.ingest.close()
  expect(await counts(next.store)).toEqual(expected(3 * STEP))
  await next.store.close()
}, 60_000)
