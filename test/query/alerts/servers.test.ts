/** Several servers on one store of which one evaluates, and a file of rules that changes under them. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openControl } from '../../../ingest/control.ts'
import { LatestValues } from '../../../ingest/latest.ts'
import { EVERYONE } from '../../../query/access/who.ts'
import type { Book, Change } from '../../../query/alerts/book.ts'
import { ALERTS_DEFAULTS } from '../../../query/alerts/config.ts'
import { type Lease, openLease } from '../../../query/alerts/lease.ts'
import { type AlertDesk, openAlerts } from '../../../query/alerts/service.ts'
import { openBursts } from '../../../query/bursts.ts'
import { openRoom } from '../../../query/desk.ts'
import { MINUTE, openPlace, type Place, quiet, T0 } from '../place.ts'
import { nodePoints } from './rows.ts'

/** The newest record of each id, as the store keeps them. */
function memoryBook(): Book {
  const records = new Map<string, Change>()
  return {
    write: async changes => {
      for (const change of changes) records.set(`${change.kind} ${change.id}`, change)
    },
    writeAlerts: async () => {},
    read: async kind =>
      [...records.values()].flatMap(c =>
        c.kind === kind && c.record ? [{ id: c.id, record: c.record, updatedMs: 0 }] : [],
      ),
    tidy: async () => {},
  }
}

/**
 * A column is 10 s. x: the server asks for the lease, r: it asks and then stops in good order, .: it is not there.
 * In the answer capitals evaluate and - does not.
 */
async function play(a: string, b: string): Promise<string[]> {
  const book = memoryBook()
  const servers: [string, Lease, string[]][] = [
    ['A', openLease(book, 10_000, 0), a.split(' ')],
    ['B', openLease(book, 10_000, 0), b.split(' ')],
  ]
  const told: string[][] = [[], []]
  for (let column = 0; column < a.split(' ').length; column++) {
    for (const [i, [name, lease, cells]] of servers.entries()) {
      const cell = cells[column]
      told[i]?.push(cell === '.' ? '.' : (await lease.hold(column * 10_000)) ? name : '-')
      if (cell === 'r') await lease.release()
    }
  }
  return told.map(cells => cells.join(' '))
}

describe('of two servers', () => {
  it('the second waits for as long as the first answers', async () => {
    expect(await play('x x x x x x', '. x x x x x')).toEqual(['A A A A A A', '. - - - - -'])
  })

  it('the second takes over half a minute after the first was lost, and keeps it when the first is back', async () => {
    expect(await play('x x x . . . . x x', '. x x x x x x x x')).toEqual(['A A A . . . . - -', '. - - - - B B B B'])
  })

  it('the second takes over at once where the first stops in good order', async () => {
    expect(await play('x x r . . x', '. x x x x x')).toEqual(['A A A . . -', '. - B B B B'])
  })

  it('one wins where both begin at the same moment', async () => {
    const book = memoryBook()
    const both = [openLease(book, 10_000, 20), openLease(book, 10_000, 20)]
    const held = await Promise.all(both.map(lease => lease.hold(0)))
    expect(held.filter(Boolean)).toHaveLength(1)
  })
})

let place: Place
const directory = mkdtempSync(join(tmpdir(), 'jobsight-rules-'))
const file = join(directory, 'alerts.yaml')

beforeAll(async () => {
  place = await openPlace()
  await place.write(
    'node_points',
    ['n1', 'n2'].flatMap(node =>
      nodePoints(node, 0, 60, () => ({ cpu_busy: node === 'n1' ? 0.99 : 0.1, cpu_count: 8 })),
    ),
  )
  await place.restore()
}, 60_000)
afterAll(() => rmSync(directory, { recursive: true, force: true }))

/** A server over the place's store, as one of several. */
function serve(): AlertDesk {
  const now = () => place.clock.now
  const bursts = openBursts({ control: openControl('alpha', quiet), keepBurst: async () => {}, log: quiet, now })
  const room = openRoom(place.store, new LatestValues(), bursts, now)
  return openAlerts({
    store: { ...place.store, kind: 'remote' },
    config: { ...ALERTS_DEFAULTS, library: false, file },
    log: quiet,
    now,
    openDesk: () => room.desk({ who: EVERYONE, signal: undefined }),
  })
}

async function roundAt(minute: number, server: AlertDesk): Promise<string[]> {
  place.clock.now = T0 + minute * MINUTE + ALERTS_DEFAULTS.delayMs
  await server.evaluator.tick()
  return server.evaluator.active().map(a => `${a.rule.name} ${a.alert.labels.node} ${a.series.phase}`)
}

const HOT = '  - { name: hot, scope: node, metric: cpu_busy, above: 0.9 }\n'
const RECEIVERS = `receivers:\n  - { name: ops, kind: webhook, url: 'http://127.0.0.1:9/', groupWait: 0s }\n`

describe('servers on one store', () => {
  it('show the same, and what was told by one is not told again by the next', async () => {
    writeFileSync(file, `rules:\n${HOT}${RECEIVERS}`)
    const [first, second] = [serve(), serve()]
    expect(await roundAt(20, first)).toEqual(['hot n1 firing'])
    expect(await roundAt(20.1, second)).toEqual(['hot n1 firing'])
    expect([first, second].map(s => s.evaluator.counters.rounds)).toEqual([1, 0])
    const fired = first.evaluator.active()[0]?.series.firedMs
    const [letter] = first.outbox.list()
    expect(letter?.notice.firing).toHaveLength(1)

    // The first one is gone without a word.
    expect(await roundAt(22, second)).toEqual(['hot n1 firing'])
    expect(second.evaluator.counters.rounds).toBe(1)
    expect(second.evaluator.active()[0]?.series.firedMs).toBe(fired)
    expect(second.outbox.list().map(d => d.id)).toEqual([letter?.id])
    await second.evaluator.close()
  })
})

describe('a file of rules that changes', () => {
  it('is read with the next round; one that is wrong says its line, and what was read before stays in force', async () => {
    await place.store.command('TRUNCATE TABLE alert_records')
    writeFileSync(file, `rules:\n${HOT}`)
    const server = serve()
    expect(await roundAt(25, server)).toEqual(['hot n1 firing'])

    writeFileSync(file, `rules:\n${HOT}  - { name: cold, scope: node, metric: cpu_bsy, below: 0.2 }\n`)
    expect(await roundAt(26, server)).toEqual(['hot n1 firing'])
    expect(server.rules.fileError).toMatch(/alerts\.yaml:3: .*cpu_bsy is not known/)

    rmSync(file)
    expect(await roundAt(27, server)).toEqual(['hot n1 firing'])
    expect(server.rules.fileError).toMatch(/cannot read/)

    writeFileSync(file, `rules:\n${HOT}  - { name: cold, scope: node, metric: cpu_busy, below: 0.2 }\n`)
    expect(await roundAt(28, server)).toEqual(['hot n1 firing', 'cold n2 firing'])
    expect(server.rules.fileError).toBeUndefined()

    // Another threshold is another rule: what fires by the old one ends by the new one.
    writeFileSync(file, `rules:\n${HOT.replace('0.9', '1.5')}`)
    expect(await roundAt(29, server)).toEqual([])
    await server.evaluator.close()
  })
})
