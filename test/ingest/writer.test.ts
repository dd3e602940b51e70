import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Inserter } from '../../ingest/insert.ts'
import { openJournal } from '../../ingest/journal.ts'
import { openLatch } from '../../ingest/latch.ts'
import { openWriter } from '../../ingest/writer.ts'
import { freshPath, quiet } from './place.ts'

describe('a writer', () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }))
  afterEach(() => void vi.useRealTimers())

  it('goes on after an insert that took longer than its wait and began in the same turn as an append', async () => {
    const inserts: { rows: number; end: () => void }[] = []
    const store = {
      insert: async (_table: string, _columns: readonly string[], _bytes: Uint8Array, rows: number) => {
        const latch = openLatch()
        inserts.push({ rows, end: latch.resolve })
        await latch.done
      },
    }
    const journal = openJournal(freshPath(), quiet)
    const writer = openWriter({ flushMs: 1000, flushRows: 1e6 }, new Inserter(store, {}, quiet), journal)
    const append = () =>
      writer.append('t', ['n'], rows => {
        rows.u8(1)
        rows.endRow()
      })
    await append()
    const together = append()
    vi.advanceTimersByTime(1000)
    await together
    await expect.poll(() => inserts.map(({ rows }) => rows)).toEqual([2])
    // it takes longer than the wait, and more comes meanwhile
    await append()
    vi.advanceTimersByTime(60_000)
    inserts[0]?.end()
    await new Promise(setImmediate)
    await append()
    vi.advanceTimersByTime(60_000)
    await new Promise(setImmediate)
    expect(inserts.map(({ rows }) => rows)).toEqual([2, 2])
    const closed = writer.close()
    inserts[1]?.end()
    await closed
  })
})
