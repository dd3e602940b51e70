/** What alerting remembers, in the store: records by kind and id, the newest wins; and a row an alert that fired. */
import { RowWriter } from '../../ingest/rowbinary.ts'
import type { Store } from '../../ingest/store.ts'
import { sql } from '../sql.ts'

export type Kind = 'rule' | 'state' | 'told' | 'silence' | 'ack' | 'delivery' | 'clock' | 'lease' | 'burst'

export interface Change {
  kind: Kind
  id: string
  /** null: taken away. */
  record: object | null
}

export interface AlertRow {
  cluster: string
  rule: string
  series: string
  sinceMs: number
  firedMs: number
  /** 0: it fires still. */
  resolvedMs: number
  severity: string
  value: number
  worst: number
  threshold: number
  /** Of its end: value, gone, ended, rule. */
  why: string
  labels: Readonly<Record<string, string>>
  message: string
}

export interface Book {
  /** All or nothing: one insert. Resolves when the database has it. */
  write(changes: readonly Change[]): Promise<void>
  writeAlerts(rows: readonly AlertRow[]): Promise<void>
  read(kind: Kind): Promise<{ id: string; record: unknown; updatedMs: number }[]>
  /** Old versions go, so that what was taken away does not come back when its mark is old. */
  tidy(): Promise<void>
}

const RECORD_COLUMNS = ['kind', 'id', 'record', 'updated_ms'] as const
const ALERT_COLUMNS = [
  ...['cluster', 'rule', 'series', 'since_ms', 'fired_ms', 'resolved_ms', 'severity', 'value', 'worst', 'threshold'],
  ...['why', 'node', 'job', 'user', 'labels', 'message', 'updated_ms'],
]

export function openBook(store: Store, now: () => number): Book {
  let newest = 0
  /** Two writes in one millisecond must not tie, and a clock that steps back must not lose. */
  const stamp = (): number => {
    newest = Math.max(newest + 1, now())
    return newest
  }
  return {
    async write(changes) {
      if (changes.length === 0) return
      const updatedMs = stamp()
      const block = new RowWriter()
      // Of one id in one insert the last is meant.
      for (const { kind, id, record } of new Map(changes.map(c => [`${c.kind}\0${c.id}`, c])).values()) {
        block.string(kind)
        block.string(id)
        block.string(record === null ? '' : JSON.stringify(record))
        block.i64(updatedMs)
        block.endRow()
      }
      await store.insert('alert_records', RECORD_COLUMNS, block.bytes, block.rows)
    },
    async writeAlerts(rows) {
      if (rows.length === 0) return
      const updatedMs = stamp()
      const block = new RowWriter()
      for (const row of rows) writeAlert(block, row, updatedMs)
      await store.insert('alerts', ALERT_COLUMNS, block.bytes, block.rows)
    },
    async read(kind) {
      const { query, query_params } = sql`SELECT id, record, toFloat64(updated_ms) AS ms FROM alert_records FINAL
        WHERE kind = ${kind} AND record != '' ORDER BY id`
      const rows = await store.query<{ id: string; record: string; ms: number }>(
        { query, query_params },
        { name: `alert records: ${kind}` },
      )
      newest = Math.max(newest, ...rows.map(row => row.ms))
      return rows.map(row => ({ id: row.id, record: JSON.parse(row.record), updatedMs: row.ms }))
    },
    tidy: () => store.command('OPTIMIZE TABLE alert_records FINAL'),
  }
}

function writeAlert(block: RowWriter, row: AlertRow, updatedMs: number): void {
  block.string(row.cluster)
  block.string(row.rule)
  block.string(row.series)
  block.i64(row.sinceMs)
  block.i64(row.firedMs)
  block.i64(row.resolvedMs)
  block.string(row.severity)
  block.f64(row.value)
  block.f64(row.worst)
  block.f64(row.threshold)
  block.string(row.why)
  block.string(row.labels.node ?? '')
  block.string(row.labels.job ?? '')
  block.string(row.labels.user ?? '')
  block.string(JSON.stringify(row.labels))
  block.string(row.message)
  block.i64(updatedMs)
  block.endRow()
}
