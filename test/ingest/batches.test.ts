import { appendFileSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { KnownBatches, parseBatch } from '../../ingest/batches.ts'
import { StoreError } from '../../ingest/errors.ts'
import { openIngest } from '../../ingest/index.ts'
import { Inserter } from '../../ingest/insert.ts'
import { openJournal } from '../../ingest/journal.ts'
import type { Store } from '../../ingest/store.ts'
import { openWriter } from '../../ingest/writer.ts'
import { metricsProtobuf } from './otlp.ts'
import { freshPath, freshStore, quiet, rows } from './place.ts'

const T = Math.floor(Date.now() / 1000) * 1000 - 60_000

const tick = (node: string, timeMs = T): Uint8Array =>
  metricsProtobuf([
    {
      attributes: { 'host.name': node },
      metrics: [
        { name: 'system.memory.usage', gauge: [{ timeMs, asInt: 1, attributes: { 'system.memory.state': 'used' } }] },
      ],
    },
  ])

const points = async (store: Store): Promise<number> =>
  Number((await rows<{ n: string }>(store, 'SELECT count() AS n FROM node_points'))[0]?.n)

const open = (store: Store, flushMs = 60_000) =>
  openIngest({ store, log: quiet, defaultCluster: 'c', config: { flushMs } })

describe('a batch that is sent again', () => {
  it('is stored once: while it is under way, later, and after a restart', async () => {
    const store = await freshStore()
    const first = await open(store)
    const send = (ingest: typeof first, batch?: string) => ingest.receive('metrics', tick('n1'), undefined, batch)
    const receipts = await Promise.all([send(first, 'collector-a-1'), send(first, 'collector-a-1')])
    receipts.push(await send(first, 'collector-a-1'), await send(first, 'collector-b-1'), await send(first))
    await first.close()
    const again = await open(store)
    onTestFinished(() => again.close())
    receipts.push(
      await send(again, 'collector-a-1'),
      await send(again, 'collector-b-1'),
      await send(again, 'collector-a-2'),
    )
    await again.close()
    expect(receipts.map(r => r.status)).toEqual(Array(8).fill(200))
    expect([first.counters().duplicateBatches, again.counters().duplicateBatches]).toEqual([2, 2])
    // a-1, b-1, the one without a name, a-2
    expect(await points(store)).toBe(4)
  })

  it('is known among the newest of its sender, in whatever order they came, and senders are bounded', () => {
    const known = new KnownBatches()
    for (const number of [5, 3, 4, 1000]) known.add({ sender: 'a', number })
    expect([3, 4, 5, 1000, 6].map(number => known.has({ sender: 'a', number }))).toEqual([
      true,
      true,
      true,
      true,
      false,
    ])
    const restored = new KnownBatches()
    restored.restore(JSON.parse(JSON.stringify(known)))
    expect(restored.has({ sender: 'a', number: 4 })).toBe(true)
    for (let number = 0; number < 64; number++) known.add({ sender: 'a', number: 2000 + number })
    expect(known.has({ sender: 'a', number: 1000 })).toBe(false)
  })

  it('is told by its name only where that is whole', () => {
    expect(parseBatch('9f3a01c2b4d5-1764284400123')).toEqual({ sender: '9f3a01c2b4d5', number: 1_764_284_400_123 })
    for (const odd of [
      undefined,
      '',
      'x-1',
      '9f3a01c2b4d5',
      '9f3a01c2b4d5-',
      '9f3a01c2b4d5-1e3',
      `${'a'.repeat(65)}-1`,
    ])
      expect(parseBatch(odd)).toBeUndefined()
  })
})

describe('the journal', () => {
  it('holds what is acknowledged until the database takes it, and each segment goes in once', async () => {
    const store = await freshStore()
    let full = true
    const inserts: (string | undefined)[] = []
    const stubborn: Store = {
      ...store,
      async insert(table, columns, bytes, count, token) {
        inserts.push(token)
        await store.insert(table, columns, bytes, count, token)
        // As where the connection broke after the database had it.
        if (full)
          throw new StoreError('database', 'Code: 243. DB::Exception: Cannot reserve 1.00 MiB, not enough space')
      },
    }
    const ingest = await open(stubborn, 1)
    onTestFinished(() => ingest.close())
    expect((await ingest.receive('metrics', tick('n1'))).status).toBe(200)
    await expect.poll(() => inserts.length, { timeout: 20_000 }).toBeGreaterThan(2)
    full = false
    await ingest.close()
    expect(await points(store)).toBe(1)
    expect(inserts.every(token => token !== undefined)).toBe(true)
    expect(readdirSync(store.journalPath ?? '').filter(name => name.endsWith('.rows'))).toEqual([])
  })

  it('is read at the next start, up to a frame that is not whole', () => {
    const path = freshPath()
    const journal = openJournal(path, quiet)
    const block = (text: string) => ({ table: 't', columns: ['a'], rows: 1, bytes: Buffer.from(text) })
    journal.append([block('one')], [{ sender: 'sender-1', number: 1 }])
    journal.append([block('two'), { ...block('x'), table: 'u' }], [{ sender: 'sender-1', number: 2 }])
    journal.append([block('three')], [{ sender: 'sender-1', number: 3 }])
    journal.close()
    const [file = ''] = readdirSync(path)
    const whole = readFileSync(join(path, file))
    for (const cutAt of [whole.length, whole.length - 1, whole.length - 8]) {
      writeFileSync(join(path, file), whole.subarray(0, cutAt))
      const again = openJournal(path, quiet)
      const [t, u] = again.read(again.left[0] ?? '')
      const last = cutAt === whole.length ? 'three' : ''
      expect([t?.rows, String(Buffer.from(t?.bytes ?? [])), u?.rows]).toEqual([last ? 3 : 2, `onetwo${last}`, 1])
      expect([2, 3].map(number => again.known.has({ sender: 'sender-1', number }))).toEqual([true, last !== ''])
    }
  })

  it('knows the batches that it noted after a line which a full disk had cut', () => {
    const path = freshPath()
    const block = { table: 't', columns: ['a'], rows: 1, bytes: Buffer.from('x') }
    const take = (number: number): void => {
      const journal = openJournal(path, quiet)
      journal.append([block], [{ sender: 'sender-1', number }])
      journal.done(journal.turn())
    }
    take(1)
    appendFileSync(join(path, 'batches.log'), '\n[["sender-')
    take(2)
    const { known } = openJournal(path, quiet)
    expect([1, 2].map(number => known.has({ sender: 'sender-1', number }))).toEqual([true, true])
  })

  it('that takes nothing is no acknowledgement, and nothing of the request stays', async () => {
    const path = freshPath()
    const journal = openJournal(path, quiet)
    const inserted: string[] = []
    const store = {
      insert: async (_: string, __: unknown, bytes: Uint8Array) => void inserted.push(Buffer.from(bytes).toString()),
    }
    let full = false
    const append: typeof journal.append = (blocks, batches) => {
      if (full) throw new StoreError('journal', 'ENOSPC: no space left on device, writev')
      journal.append(blocks, batches)
    }
    const seen = { known: journal.known, left: journal.left, append }
    const onDisk = { turn: () => journal.turn(), done: (s: string) => journal.done(s), close: () => journal.close() }
    const rest = { read: (s: string) => journal.read(s), refused: (s: string) => journal.refused(s) }
    const inserter = new Inserter(store, {}, quiet)
    const writer = openWriter({ flushMs: 60_000, flushRows: 1000 }, inserter, { ...seen, ...onDisk, ...rest })
    const put = (value: number): Promise<void> =>
      writer.append('t', ['a'], to => {
        to.u8(value)
        to.endRow()
      })
    await put(65)
    full = true
    await expect(put(66)).rejects.toThrow('ENOSPC')
    expect([writer.queuedBytes, inserter.counters.failedRows]).toEqual([1, 1])
    full = false
    await put(67)
    await writer.close()
    expect(inserted).toEqual(['AC'])
  })
})
