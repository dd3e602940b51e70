/** The newest values of the store's last hour -> memory, so that a restart does not empty the page. */
import type { Logger } from 'pino'
import type { EntityPoint, LatestValues } from './latest.ts'
import { COLUMNS } from './metrics.ts'
import type { Store } from './store.ts'
import { ENTITY_NAMES, pointsTable } from './tables/points.ts'

const BACK_MS = 3_600_000

/** The answer is what memory did not have yet. */
export async function restoreLatest(
  store: Store,
  latest: LatestValues,
  nowMs: number,
  log: Logger,
  backMs: number = BACK_MS,
): Promise<EntityPoint[]> {
  const fresh: EntityPoint[] = []
  for (const entity of ENTITY_NAMES) {
    const instance = entity === 'node' ? "''" : 'instance'
    const values = COLUMNS[entity].map(m => `argMax(${m.column}, p.time) / ${m.scale}`)
    const query = `SELECT cluster, node, ${instance} AS i, toUnixTimestamp(max(p.time)), argMax(interval_ms, p.time), ${values.join(', ')}
      FROM ${pointsTable(entity)} AS p WHERE p.time > fromUnixTimestamp64Milli({from:Int64}) GROUP BY cluster, node, i`
    try {
      const columns = await store.queryColumns(
        { query, query_params: { from: Math.max(0, nowMs - backMs) } },
        { name: 'restore latest', maxSeconds: 20 },
      )
      for (let row = 0; row < (columns[0]?.length ?? 0); row++) {
        const at = (column: number): unknown => columns[column]?.[row]
        const point = {
          entity,
          cluster: String(at(0)),
          node: String(at(1)),
          instance: String(at(2)),
          timeMs: Number(at(3)) * 1000,
          intervalMs: Number(at(4)),
          values: Float64Array.from(values, (_, i) => Number(at(i + 5) ?? Number.NaN)),
        }
        if (latest.restore(point)) fresh.push(point)
      }
    } catch (error) {
      log.warn({ err: error, entity }, 'ingest: newest values not read from the store; they come with the next ticks')
    }
  }
  return fresh
}
