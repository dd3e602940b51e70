/**
 * Columns of a node made from its instances, where the sender did not give them itself.
 *
 *   vda read_bytes 100, vda1 read_bytes 90 (a part of vda), dm-0 read_bytes 90 (lies on vda)  ->  disk_read_bytes 100
 */
import type { Gather, Row } from './gather.ts'
import { COLUMNS, type Entity, type Metric } from './metrics.ts'
import type { Origin } from './origin.ts'

interface Total {
  from: number
  to: number
  how: 'sum' | 'avg' | 'max'
}

const nodeColumn = (name: string): number => COLUMNS.node.findIndex(m => m.column === name)

const totalsOf = (entity: Entity): Total[] =>
  COLUMNS[entity].flatMap((metric: Metric, from) =>
    metric.onNode === undefined ? [] : [{ from, to: nodeColumn(metric.onNode.column), how: metric.onNode.how }],
  )

const TOTALS: Readonly<Partial<Record<Entity, readonly Total[]>>> = Object.fromEntries(
  (Object.keys(COLUMNS) as Entity[]).map(entity => [entity, totalsOf(entity)]),
)

/** One instance's values: values[offset + column]. */
export interface Instance {
  instance: string
  values: ArrayLike<number>
  offset: number
}

export const hasTotals = (entity: Entity): boolean => (TOTALS[entity]?.length ?? 0) > 0

/** Rows of origins that split their ticks are left to SplitTicks. */
export function fillTotals(gather: Gather): void {
  const groups = new Map<Row, Map<Entity, Instance[]>>()
  for (const row of [...gather.rows]) {
    if (row.origin.splitsTicks === true || !hasTotals(row.place.entity)) continue
    const node = gather.row(row.origin, 'node', '', row.timeMs)
    if (node === undefined) continue
    if (node.intervalMs === 0) node.intervalMs = row.intervalMs
    const group = groups.get(node) ?? new Map<Entity, Instance[]>()
    groups.set(node, group)
    const instance = { instance: row.place.instance, values: gather.arena, offset: row.offset }
    const instances = group.get(row.place.entity)
    if (instances === undefined) group.set(row.place.entity, [instance])
    else instances.push(instance)
  }
  for (const [node, group] of groups) {
    for (const [entity, instances] of group) fillFrom(gather, node, entity, instances)
  }
  for (const row of gather.rows) if (row.place.entity === 'node') fillDerived(gather, row)
}

export function fillFrom(gather: Gather, node: Row, entity: Entity, instances: readonly Instance[]): void {
  const totals = TOTALS[entity] ?? []
  // Before anything is filled: a column that is there now is the sender's own.
  const open = totals.filter(t => Number.isNaN(gather.arena[node.offset + t.to] ?? 0))
  if (entity === 'core') fill(gather, node, 'cpu_count', instances.length)
  if (open.length === 0) return
  const counted = rememberedInstances(node.origin, entity, instances)
  for (const { from, to, how } of open) {
    let total = Number.NaN
    let values = 0
    for (const { values: given, offset } of counted) {
      const value = given[offset + from] ?? Number.NaN
      if (Number.isNaN(value)) continue
      total = values === 0 ? value : how === 'max' ? Math.max(total, value) : total + value
      values++
    }
    if (values > 0) gather.arena[node.offset + to] = how === 'avg' ? total / values : total
  }
}

const PARTITION = /^(?:((?:sd|hd|vd|xvd)[a-z]+)\d+|((?:nvme\d+n\d+|mmcblk\d+|nbd\d+))p\d+)$/
const NO_DISK = /^(?:loop|ram|zram|sr|fd)\d/
const LAYERED_DISK = /^(?:dm-|md)\d/
/** A name with a slash is a port of the fast network (mlx5_0/1): IP over it has an interface of its own. */
const NO_INTERFACE = /\/|^(?:lo\d*$|veth|docker|br-|virbr|cni|flannel|cali|dummy|tap|tun)/
/** An instance of a card that is divided (MIG): what it uses is in what the card uses. */
const GPU_PART = /\//
const LAYERED_INTERFACE = /^(?:bond|team)\d/

/** The instances of a node are most often those of its last tick. */
function rememberedInstances(origin: Origin, entity: Entity, instances: readonly Instance[]): readonly Instance[] {
  const known = origin.counted?.get(entity)
  if (known?.names.length === instances.length && instances.every((r, i) => r.instance === known.names[i])) {
    return instances.filter((_, i) => known.counts[i])
  }
  const counted = countedInstances(entity, instances)
  origin.counted ??= new Map()
  origin.counted.set(entity, {
    names: instances.map(r => r.instance),
    counts: instances.map(r => counted.includes(r)),
  })
  return counted
}

/** Instances that are not parts or copies of others here. A layer counts only where nothing below it is seen. */
function countedInstances(entity: Entity, rows: readonly Instance[]): readonly Instance[] {
  if (entity === 'disk') {
    const names = new Set(rows.map(r => r.instance))
    const real = rows.filter(r => !NO_DISK.test(r.instance) && !isPart(r.instance, names))
    return withoutLayers(real, LAYERED_DISK)
  }
  if (entity === 'interface') {
    const names = new Set(rows.map(r => r.instance))
    const isVlan = (name: string): boolean => name.includes('.') && names.has(name.slice(0, name.indexOf('.')))
    return withoutLayers(
      rows.filter(r => !NO_INTERFACE.test(r.instance) && !isVlan(r.instance)),
      LAYERED_INTERFACE,
    )
  }
  return entity === 'gpu' ? withoutLayers(rows, GPU_PART) : rows
}

function isPart(name: string, names: ReadonlySet<string>): boolean {
  const found = PARTITION.exec(name)
  const whole = found?.[1] ?? found?.[2]
  return whole !== undefined && names.has(whole)
}

function withoutLayers(rows: readonly Instance[], layered: RegExp): readonly Instance[] {
  const lowest = rows.filter(r => !layered.test(r.instance))
  return lowest.length > 0 ? lowest : rows
}

const BUSY_MODES = ['cpu_user', 'cpu_nice', 'cpu_system', 'cpu_irq', 'cpu_softirq', 'cpu_steal'].map(nodeColumn)
const MEMORY_PARTS = ['memory_used', 'memory_free', 'memory_cached', 'memory_buffers'].map(nodeColumn)
const [USER, SYSTEM] = [nodeColumn('cpu_user'), nodeColumn('cpu_system')]

const POWER_PARTS = ['power_cpu_watts', 'power_memory_watts', 'power_gpu_watts'].map(nodeColumn)

/** What follows from other columns of the node: busy from the modes, all memory from its parts, power from what is measured. */
function fillDerived(gather: Gather, node: Row): void {
  const value = (column: number): number => gather.arena[node.offset + column] ?? Number.NaN
  if (!Number.isNaN(value(USER) + value(SYSTEM))) {
    const busy = BUSY_MODES.reduce((sum, column) => sum + (Number.isNaN(value(column)) ? 0 : value(column)), 0)
    fill(gather, node, 'cpu_busy', Math.min(1, busy))
  }
  const memory = MEMORY_PARTS.reduce((sum, column) => sum + value(column), 0)
  if (!Number.isNaN(memory)) fill(gather, node, 'memory_total', memory)
  const parts = POWER_PARTS.map(value).filter(watts => !Number.isNaN(watts))
  const watts = parts.reduce((sum, part) => sum + part, 0)
  if (parts.length > 0) fill(gather, node, 'power_parts_watts', watts)
}

function fill(gather: Gather, node: Row, name: string, value: number): void {
  const at = node.offset + nodeColumn(name)
  if (Number.isNaN(gather.arena[at] ?? 0)) gather.arena[at] = value
}
