/**
 * The metric catalogue: name, unit, meaning, how it arrives, how it aggregates over time and over instances.
 *
 * Append only: a column never changes its meaning. openStore() adds the columns that a store does not have yet, so
 * adding a metric is adding an entry here. Values are gauges for their interval: a utilisation 0..1, bytes a second, watts.
 * They are stored as integers (value x scale), which measured smallest (Delta, T64, ZSTD on scaled integers).
 *
 * Kernel files: https://docs.kernel.org/filesystems/proc.html, https://docs.kernel.org/accounting/psi.html.
 * OTLP names are OpenTelemetry's semantic conventions where they exist, system.linux.* / jobsight.* where they do not.
 */
import { BANDWIDTH_METRICS } from './catalogue/bandwidth.ts'
import { COUNTER_METRICS } from './catalogue/counters.ts'
import { CPU_METRICS } from './catalogue/cpu.ts'
import { DISK_METRICS } from './catalogue/disk.ts'
import { FABRIC_METRICS } from './catalogue/fabric.ts'
import { FILESYSTEM_METRICS } from './catalogue/filesystem.ts'
import { GPU_METRICS } from './catalogue/gpu.ts'
import { JOB_METRICS } from './catalogue/job.ts'
import { KERNEL_METRICS } from './catalogue/kernel.ts'
import { MEMORY_METRICS } from './catalogue/memory.ts'
import { NETWORK_METRICS } from './catalogue/network.ts'
import { POWER_METRICS } from './catalogue/power.ts'
import { SELF_METRICS } from './catalogue/self.ts'
import type { Entity, Metric } from './metric.ts'

export { CPU_MODES } from './catalogue/cpu.ts'
export { type Arrival, ENTITIES, type Entity, type Metric } from './metric.ts'

export const METRICS: readonly Metric[] = [
  ...CPU_METRICS,
  ...MEMORY_METRICS,
  ...DISK_METRICS,
  ...NETWORK_METRICS,
  ...SELF_METRICS,
  ...FABRIC_METRICS,
  ...FILESYSTEM_METRICS,
  ...POWER_METRICS,
  ...GPU_METRICS,
  ...JOB_METRICS,
  ...KERNEL_METRICS,
  ...BANDWIDTH_METRICS,
  ...COUNTER_METRICS,
]

const columnsOf = (entity: Entity): readonly Metric[] => METRICS.filter(m => m.entity === entity)

/** Catalogue by entity, in column order: position i is values[i] of a Point. */
export const COLUMNS: Readonly<Record<Entity, readonly Metric[]>> = {
  node: columnsOf('node'),
  core: columnsOf('core'),
  disk: columnsOf('disk'),
  interface: columnsOf('interface'),
  filesystem: columnsOf('filesystem'),
  socket: columnsOf('socket'),
  gpu: columnsOf('gpu'),
  job: columnsOf('job'),
  numa: columnsOf('numa'),
  cache: columnsOf('cache'),
}

/** A metric by entity and column; undefined for a name that is not in the catalogue. */
export function findMetric(entity: Entity, column: string): Metric | undefined {
  return COLUMNS[entity].find(m => m.column === column)
}
