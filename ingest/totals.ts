/**
 * Columns of a node made from its instances, where the sender did not give them itself.
 *
 *   vda read_bytes 100, vda1 read_bytes 90 (a part of vda), dm-0 read_bytes 90 (lies on vda)  ->  disk_read_bytes 100
 */
import type { Gather, Row } from './gather.ts'
import { COLUMNS, type Entity, type Metric } from './metrics.ts'
import type { Place } from './place.ts'

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

/** What counts at a node, as long as its ticks tell of the same places in the same order. */
export interface TotalsPlan {
  places: readonly Place[]
  /** Of each of them; the values are those of the tick that is being added up. */
  instances: readonly Instance[]
  entities: readonly { entity: Entity; present: number; counted: readonly Instance[] }[]
}

export const hasTotals = (entity: Entity): boolean => (TOTALS[entity]?.length ?? 0) > 0

/** Rows of origins that split their ticks are left to SplitTicks. */
export function fillTotals(gather: Gather): void {
  for (const [node, rows] of ticksOf(gather)) fillTick(gather, node, rows)
  for (const row of gather.rows) if (row.place.entity === 'node') fillDerived(gather, row)
}

/** The node's row, and all rows of its tick. Most requests are one tick of one origin. */
function ticksOf(gather: Gather): Iterable<readonly [Row, readonly Row[]]> {
  const rows = [...gather.rows]
  const [first] = rows
  if (first === undefined) return []
  if (rows.every(r => r.origin === first.origin && r.timeMs === first.timeMs)) {
    if (first.origin.splitsTicks === true || !rows.some(r => hasTotals(r.place.entity))) return []
    const node = gather.row(first.origin, 'node', '', first.timeMs)
    return node === undefined ? [] : [[node, rows]]
  }
  const ticks = new Map<Row, Row[]>()
  for (const row of rows) {
    if (row.origin.splitsTicks === true || !hasTotals(row.place.entity)) continue
    const node = gather.row(row.origin, 'node', '', row.timeMs)
    if (node === undefined) continue
    const tick = ticks.get(node)
    if (tick === undefined) ticks.set(node, [row])
    else tick.push(row)
  }
  return ticks
}

function fillTick(gather: Gather, node: Row, rows: readonly Row[]): void {
  const known = node.origin.totals
  const isKnown = known?.places.length === rows.length && rows.every((row, i) => row.place === known.places[i])
  const plan = isKnown ? known : planTotals(rows)
  node.origin.totals = plan
  rows.forEach((row, i) => {
    if (node.intervalMs === 0) node.intervalMs = row.intervalMs
    const instance = plan.instances[i]
    if (instance === undefined) return
    instance.values = gather.arena
    instance.offset = row.offset
  })
  for (const { entity, present, counted } of plan.entities) addUp(gather, node, entity, present, counted)
  // The plan stays, an array that was made for a large request need not.
  for (const instance of plan.instances) instance.values = NONE
}

const NONE: readonly number[] = []

function planTotals(rows: readonly Row[]): TotalsPlan {
  const places = rows.map(r => r.place)
  const instances = places.map(({ instance }) => ({ instance, values: NONE, offset: 0 }))
  const entities = [...new Set(places.map(p => p.entity))].filter(hasTotals).map(entity => {
    const own = instances.filter((_, i) => places[i]?.entity === entity)
    return { entity, present: own.length, counted: countedInstances(entity, own) }
  })
  return { places, instances, entities }
}

export function fillFrom(gather: Gather, node: Row, entity: Entity, instances: readonly Instance[]): void {
  addUp(gather, node, entity, instances.length, countedInstances(entity, instances))
}

function addUp(gather: Gather, node: Row, entity: Entity, present: number, counted: readonly Instance[]): void {
  const totals = TOTALS[entity] ?? []
  const { arena } = gather
  // Before anything is filled: a column that is there now is the sender's own.
  const open = totals.filter(t => Number.isNaN(arena[node.offset + t.to] ?? 0))
  if (entity === 'core') fill(gather, node, CPU_COUNT, present)
  for (const { from, to, how } of open) {
    let total = Number.NaN
    let values = 0
    for (const { values: given, offset } of counted) {
      const value = given[offset + from] ?? Number.NaN
      if (Number.isNaN(value)) continue
      total = values === 0 ? value : how === 'max' ? Math.max(total, value) : total + value
      values++
    }
    if (values > 0) arena[node.offset + to] = how === 'avg' ? total / values : total
  }
}

const CPU_COUNT = nodeColumn('cpu_count')
const PARTITION = /^(?:((?:sd|hd|vd|xvd)[a-z]+)\d+|((?:nvme\d+n\d+|mmcblk\d+|nbd\d+))p\d+)$/
const NO_DISK = /^(?:loop|ram|zram|sr|fd)\d/
const LAYERED_DISK = /^(?:dm-|md)\d/
/** A name with a slash is a port of the fast network (mlx5_0/1): IP over it has an interface of its own. */
const NO_INTERFACE = /\/|^(?:lo\d*$|veth|docker|br-|virbr|cni|flannel|cali|dummy|tap|tun)/
/** An instance of a card that is divided (MIG): what it uses is in what the card uses. */
const GPU_PART = /\//
const LAYERED_INTERFACE = /^(?:bond|team)\d/

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
const CPU_BUSY = nodeColumn('cpu_busy')
const MEMORY_TOTAL = nodeColumn('memory_total')
const PARTS_WATTS = nodeColumn('power_parts_watts')

/** What follows from other columns of the node: busy from the modes, all memory from its parts, power from what is measured. */
function fillDerived(gather: Gather, node: Row): void {
  const value = (column: number): number => gather.arena[node.offset + column] ?? Number.NaN
  const sum = (columns: readonly number[]): number => {
    let all = 0
    for (const column of columns) all += Number.isNaN(value(column)) ? 0 : value(column)
    return all
  }
  const isThere = (column: number): boolean => !Number.isNaN(value(column))
  if (isThere(USER) && isThere(SYSTEM)) fill(gather, node, CPU_BUSY, Math.min(1, sum(BUSY_MODES)))
  if (MEMORY_PARTS.every(isThere)) fill(gather, node, MEMORY_TOTAL, sum(MEMORY_PARTS))
  if (POWER_PARTS.some(isThere)) fill(gather, node, PARTS_WATTS, sum(POWER_PARTS))
}

function fill({ arena }: Gather, node: Row, column: number, value: number): void {
  const at = node.offset + column
  if (Number.isNaN(arena[at] ?? 0)) arena[at] = value
}
