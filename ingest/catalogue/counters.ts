/** What the counters of the cores tell, where collector.counters switches them on. */
import { gauge, type Metric, rate, summed } from '../metric.ts'

const SOURCE = 'perf events of each core, counted, of collector.counters'

const COUNTED = [
  ['cycles', 'cpu_cycles', 'clock cycles a second, of cores that were not halted'],
  ['instructions', 'cpu_instructions', 'instructions a second'],
  ['llc_references', 'llc_references', 'accesses to the last level cache a second'],
  ['llc_misses', 'llc_misses', 'accesses to the last level cache a second that it had to fetch'],
  ['flops', 'flops', 'floating point operations a second; fused multiply-add is two, a vector its length'],
] as const

export const COUNTER_METRICS: readonly Metric[] = [
  ...COUNTED.map(([column, onNode, meaning]) =>
    rate('socket', `jobsight.cpu.${column}`, undefined, {
      column,
      unit: '1/s',
      onNode: { column: onNode, how: 'sum' },
      meaning: `${meaning}, of the CPU package`,
      source: SOURCE,
    }),
  ),
  gauge('socket', 'jobsight.cpu.ipc', undefined, {
    column: 'ipc',
    unit: '1',
    scale: 1000,
    meaning: 'instructions per cycle of the CPU package',
    source: SOURCE,
  }),
  ...COUNTED.map(([, column, meaning]) => summed(column, '1/s', 1, `${meaning}, all cores`, SOURCE)),
  gauge('node', 'jobsight.cpu.node.ipc', undefined, {
    column: 'cpu_ipc',
    unit: '1',
    scale: 1000,
    meaning: 'instructions per cycle, all cores',
    source: SOURCE,
  }),
]
