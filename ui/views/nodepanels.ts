/** The small multiples of a node: which metrics, in which shape. Colours are the palette's words. */
import type { Catalogue, NodeDetail, Series } from '../../query/api.ts'
import type { Colour } from '../colour.ts'
import { metricName } from '../metrics.ts'
import { type Key, t } from '../words.ts'
import { DEVICE_PANELS } from './devicepanels.ts'

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
  /** Sources of the collector whose absence explains an empty panel (node.record.sources). */
  sources: readonly string[]
  unit: string
  how: 'stack' | 'lines' | 'mirror'
  /** One chart for each instance, or all instances as lines of one chart, of the first part that has values. */
  instances?: 'each' | 'overlaid'
  /** Which instances belong here; absent: all. */
  of?: (instance: string) => boolean
  /** Not every machine has it: where nothing is there it is not drawn, but told with its reason below the others. */
  device?: boolean
  height: number
  floor?: number
  parts: readonly Part[]
}

/** A port of the fast network is card/port. */
export const isPort = (name: string): boolean => name.includes('/')

const USUAL_PANELS: readonly NodePanel[] = [
  {
    id: 'cpu',
    title: 'panel.cpu',
    sources: ['cpu'],
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
    sources: ['load'],
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
    sources: ['memory'],
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
    sources: ['pressure'],
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
    sources: ['disk'],
    unit: 'bytes/s',
    how: 'mirror',
    instances: 'each',
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
    sources: ['network'],
    unit: 'bytes/s',
    how: 'mirror',
    instances: 'each',
    of: name => !isPort(name),
    floor: 1e6,
    height: 56,
    parts: [
      { metric: 'interface.receive_bytes', name: 'metric.in', colour: 'user' },
      { metric: 'interface.transmit_bytes', name: 'metric.out', colour: 'iowait', down: true },
    ],
  },
]

export const NODE_PANELS: readonly NodePanel[] = [...USUAL_PANELS, ...DEVICE_PANELS]

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
  sources: [],
  unit,
  how: 'lines',
  height: 62,
  parts: [{ metric, colour: 'user' }],
})

/** `0000:65:00.0` -> `65:00.0`: nobody has a second PCI domain on the same node's first cards. */
export const instanceName = (instance: string): string => instance.replace(/^0000:/, '')

export const partName = (part: Part): string => (part.name ? t(part.name) : metricName(part.metric))
export const titleOf = (panel: NodePanel): string =>
  panel.title === 'panel.metric' ? metricName(panel.id) : t(panel.title)

/** Every metric that the chosen panels need, once; of devices only what the cluster has. */
export function metricsOf(panels: readonly NodePanel[], catalogue: Catalogue | undefined): string[] {
  const known = (catalogue?.metrics ?? []).filter(m => m.there !== false)
  const there = new Set(known.map(m => (m.entity === 'node' ? m.column : `${m.entity}.${m.column}`)))
  const wanted = panels.flatMap(p => p.parts.filter(part => !p.device || there.has(part.metric)))
  return [...new Set(wanted.map(part => part.metric))]
}

export type OneSeries = Series['series'][number]

/** Instances of a panel by what they carried, most first, those that were quiet left out; lo last. */
export function instancesOf(panel: NodePanel, series: readonly OneSeries[]): string[] {
  const sums = new Map<string, number>()
  for (const s of series)
    if (panel.parts.some(p => p.metric === s.metric) && s.instance !== '' && (panel.of?.(s.instance) ?? true))
      sums.set(s.instance, (sums.get(s.instance) ?? 0) + s.values.reduce((a: number, v) => a + (v ?? 0), 0))
  const last = (name: string) => (name === 'lo' ? 1 : 0)
  const sorted = [...sums].sort((a, b) => last(a[0]) - last(b[0]) || b[1] - a[1] || a[0].localeCompare(b[0]))
  return sorted.filter(([, sum], i) => i === 0 || sum > 0).map(([name]) => name)
}

/** Whether anything of a panel is known in the window. */
export const hasValues = (panel: NodePanel, series: readonly OneSeries[]): boolean =>
  series.some(
    s =>
      panel.parts.some(p => p.metric === s.metric) &&
      (s.instance === '' || (panel.of?.(s.instance) ?? true)) &&
      s.values.some(v => v !== null),
  )

/** Why its sources give nothing, in their own words; where one of them works, it had nothing to tell. */
export function reasonOf(detail: NodeDetail | undefined, sources: readonly string[]): string {
  const said = sources.flatMap(source => detail?.record?.sources?.[source] ?? [])
  if (said.length === 0 || said.some(words => words.startsWith('ok'))) return t('absent.unknown')
  return [...new Set(said)].join('; ')
}
