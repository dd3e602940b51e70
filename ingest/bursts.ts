/** Bursts as they are kept: the newest record of each wins. */
import type { Burst } from './burst.ts'
import type { RowWriter } from './rowbinary.ts'

export const BURST_COLUMNS = [
  'cluster',
  'id',
  'job',
  'nodes',
  'pid',
  'start_ms',
  'from_ms',
  'to_ms',
  'record',
  'updated_ms',
] as const

export function writeBurst(writer: RowWriter, burst: Burst): void {
  writer.string(burst.cluster)
  writer.string(burst.id)
  writer.string(burst.job ?? '')
  writer.array(
    burst.parts.map(part => part.node),
    node => writer.string(node),
  )
  writer.u32(burst.pid ?? 0)
  writer.i64(Math.round(burst.start ?? 0))
  writer.i64(Math.round(burst.from))
  writer.i64(Math.round(burst.to))
  writer.string(JSON.stringify(burst))
  writer.i64(Math.round(burst.updatedMs))
  writer.endRow()
}
