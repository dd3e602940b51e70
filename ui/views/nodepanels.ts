/** The small multiples of a node: which metrics, in which shape. Colours are the palette's words. */
import type { NodeDetail, Series } from '../../query/api.ts'
import type { Colour } from '../colour.ts'
import { metricName } from '../metrics.ts'
import { type Key, t } from '../words.ts'

export interface Part {
  metric: string
  name?: Key
  colour: Colour
  down?: boolean
  dashed?: boolean
  ratio?: boolean
}

export interface NodePanel {
  id: string
  title: Key
  /** Source of the collector whose absence explains an empty panel (node.record.sources). */
  source: string
  unit: string
  how: 'stack' | 'lines' | 'mirror'
  /** disk, interface: one panel for each instance. */
  each?: 'disk' | 'interface'
  height: number
  floor?: number
  parts: readonly Part[]
}

export const NODE_PANELS: readonly NodePanel[] = [
  {
    id: 'cpu',
    title: 'panel.cpu',
    source: 'cpu',
    unit: 'ratio',
    how: 'stack',
    height: 92,
    parts: [
      { metric: 'cpu_user', colour: 'user' },
      { metric: 'cpu_system', colour: 'system' },
      { metric: 'cpu_nice', colour: 'nice' },
      { metric: 'cpu_irq', colour: 'irq' },
      { metric: 'cpu_softirq', colour: 'irq' },
      { metric: 'cpu_steal', colour: 'steal' },
      { metric: 'cpu_iowait', colour: 'iowait' },
    ],
  },
  {
    id: 'queue',
    title: 'panel.queue',
    source: 'load',
    unit: '1',
    how: 'lines',
    height: 62,
    parts: [
      { metric: 'processes_running', colour: 'user' },
      { metric: 'load_1m', colour: 'steal', dashed: true },
      { metric: 'processes_blocked', colour: 'iowait' },
    ],
  },
  {
    id: 'memory',
    title: 'panel.memory',
    source: 'memory',
    unit: 'bytes',
    how: 'stack',
    height: 62,
    parts: [
      { metric: 'memory_used', name: 'metric.used', colour: 'user' },
      { metric: 'memory_cached', colour: 'band' },
      { metric: 'swap_used', colour: 'irq' },
    ],
  },
  {
    id: 'pressure',
    title: 'panel.pressure',
    source: 'pressure',
    unit: 'ratio',
    how: 'lines',
    height: 62,
    parts: [
      { metric: 'pressure_cpu_some', name: 'panel.cpu', colour: 'user' },
      { metric: 'pressure_memory_some', name: 'panel.memory', colour: 'nice' },
      { metric: 'pressure_io_some', name: 'metric.io', colour: 'iowait' },
    ],
  },
  {
    id: 'disk',
    title: 'panel.disk',
    source: 'disk',
    unit: 'bytes/s',
    how: 'mirror',
    each: 'disk',
    floor: 10e6,
    height: 62,
    parts: [
      { metric: 'disk.read_bytes', name: 'metric.read', colour: 'user' },
      { metric: 'disk.write_bytes', name: 'metric.write', colour: 'iowait', down: true },
      { metric: 'disk.utilization', name: 'metric.busy', colour: 'soft', ratio: true },
    ],
  },
  {
    id: 'network',
    title: 'panel.network',
    source: 'network',
    unit: 'bytes/s',
    how: 'mirror',
    each: 'interface',
    floor: 1e6,
    height: 56,
    parts: [
      { metric: 'interface.receive_bytes', name: 'metric.in', colour: 'user' },
      { metric: 'interface.transmit_bytes', name: 'metric.out', colour: 'iowait', down: true },
    ],
  },
]

export const ALL_PANELS: readonly string[] = [...NODE_PANELS.map(p => p.id), 'cores']

/** panels=cpu,memory of the address; also any other metric of the catalogue by its column. */
export function chosenPanels(text: string | undefined): { ids: ReadonlySet<string>; extra: string[] } {
  const chosen = text === undefined || text === '' ? ALL_PANELS : text.split(',')
  return { ids: new Set(chosen), extra: chosen.filter(c => !ALL_PANELS.includes(c)) }
}

/** A panel for a metric that has none of its own. */
export const plainPanel = (metric: string, unit: string): NodePanel => ({
  id: metric,
  title: 'panel.metric',
  source: '',
  unit,
  how: 'lines',
  height: 62,
  parts: [{ metric, colour: 'user' }],
})

export const partName = (part: Part): string => (part.name ? t(part.name) : metricName(part.metric))
export const titleOf = (panel: NodePanel): string =>
  panel.title === 'panel.metric' ? metricName(panel.id) : t(panel.title)

/** Every metric that the chosen panels need, once. */
export function metricsOf(panels: readonly NodePanel[]): string[] {
  return [...new Set(panels.flatMap(p => p.parts.map(part => part.metric)))]
}

export type OneSeries = Series['series'][number]

/** Instances of a panel by what they carried, most first, those that were quiet left out; lo last. */
export function instancesOf(panel: NodePanel, series: readonly OneSeries[]): string[] {
  const sums = new Map<string, number>()
  for (const s of series)
    if (panel.parts.some(p => p.metric === s.metric) && s.instance !== '')
      sums.set(s.instance, (sums.get(s.instance) ?? 0) + s.values.reduce((a: number, v) => a + (v ?? 0), 0))
  const last = (name: string) => (name === 'lo' ? 1 : 0)
  const sorted = [...sums].sort((a, b) => last(a[0]) - last(b[0]) || b[1] - a[1] || a[0].localeCompare(b[0]))
  return sorted.filter(([, sum], i) => i === 0 || sum > 0).map(([name]) => name)
}

/** Why a source gives nothing, in its own words. */
export function reasonOf(detail: NodeDetail | undefined, source: string): string {
  const said = detail?.record?.sources?.[source]
  if (said !== undefined && said !== 'ok') return said
  return t('absent.unknown')
}
