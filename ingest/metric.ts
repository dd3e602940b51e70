/** What an entry of the catalogue is, and short ways to write one. */

/** What a row of points describes, and the OTLP attributes that may hold its instance (first found wins). */
export const ENTITIES = {
  node: { instance: [] },
  core: { instance: ['cpu.logical_number', 'system.cpu.logical_number', 'cpu'] },
  disk: { instance: ['system.device', 'device'] },
  interface: { instance: ['network.interface.name', 'system.device', 'device'] },
  gpu: { instance: ['hw.id'] },
  job: { instance: ['jobsight.job.id'] },
  numa: { instance: ['jobsight.numa.node'] },
  cache: { instance: ['hw.id'] },
  socket: { instance: ['hw.id'] },
  filesystem: { instance: ['system.filesystem.mountpoint', 'mountpoint'] },
} as const satisfies Record<string, { instance: readonly string[] }>
export type Entity = keyof typeof ENTITIES

export type Unit = 'ratio' | 'bytes' | 'bytes/s' | '1/s' | '1' | 'W' | 'Cel' | 'Hz' | 'J'

/** One way a metric arrives: an OTLP name with the attribute values that select this column. */
export interface Arrival {
  name: string
  attributes?: Readonly<Record<string, string>>
  /** Attribute that must NOT be there: it would make the point another entity's. */
  without?: string
  /** What arrives is divided by this (milliseconds to seconds: 1000). */
  divideBy?: number
}

export interface Metric {
  entity: Entity
  /** Column name, unique within its entity. */
  column: string
  unit: Unit
  /** Stored integer = round(value x scale). */
  scale: number
  /**
   * A sum is turned into a rate (delta or difference divided by its interval) when kind is 'rate'; a gauge is taken as it is.
   */
  kind: 'gauge' | 'rate'
  arrives: readonly Arrival[]
  /** How several ticks become one bucket. */
  overTime: 'avg' | 'max' | 'last'
  /** How the instances become a column of the node's own row, unless the sender gave that column itself. */
  onNode?: { column: string; how: 'sum' | 'avg' | 'max' }
  /** What full means: 1 for a ratio, else the column of the same entity that holds the capacity. */
  full?: 1 | string
  meaning: string
  source: string
}

type Given = Partial<Metric> & Pick<Metric, 'column' | 'unit' | 'meaning' | 'source'>
export const gauge = (
  entity: Entity,
  name: string,
  attributes: Record<string, string> | undefined,
  given: Given,
): Metric => ({
  entity,
  scale: given.unit === 'ratio' ? 10_000 : 1,
  kind: 'gauge',
  arrives: [attributes ? { name, attributes } : { name }],
  overTime: 'avg',
  ...given,
})
export const rate = (
  entity: Entity,
  name: string,
  attributes: Record<string, string> | undefined,
  given: Given,
): Metric => ({
  ...gauge(entity, name, attributes, given),
  kind: 'rate',
})

/**
 * A node's total under a name of its own. Our collector sends it because it knows which devices lie on others (dm on nvme,
 * bond0 on eth0 and eth1); under the device's name a backend that sums over devices would count it twice.
 */
export const whole = (name: string, attribute: string, value: string): readonly Arrival[] => [
  { name, attributes: { [attribute]: value } },
]

/** A column of the node's row that is made from its instances (`onNode` of another metric) unless the sender gave it. */
export const summed = (
  column: string,
  unit: Unit,
  scale: number,
  meaning: string,
  source: string,
  more: Partial<Metric> = {},
): Metric => ({
  entity: 'node',
  column,
  unit,
  scale,
  kind: 'gauge',
  arrives: [],
  overTime: 'avg',
  meaning,
  source,
  ...more,
})
