/** A process: what it is, its life on the axis, what its time went into, and its stacks four ways. */
import { useMemo } from 'preact/hooks'
import type { Categories, ProcessDetail, ProcessRow } from '../../query/api.ts'
import { ask, useAnswer } from '../client.ts'
import { jobColour, palette } from '../colour.ts'
import { formatSpan, formatTime } from '../format.ts'
import { useTheme } from '../prefs.ts'
import { t } from '../words.ts'
import { CategoryBar, CategoryChart } from './categories.tsx'
import { Chart, type Layer } from './chart.tsx'
import { Panel, type Sheet } from './panel.tsx'
import { endedOf } from './processes.tsx'
import { bucketsFor, linkTo, OWN_SPAN, type Page, scopeOf } from './scope.ts'
import { type Frame, TimeStack } from './stack.tsx'
import { Stacks } from './stacks.tsx'
import { Shown } from './states.tsx'

export function ProcessView({ page }: { page: Page }) {
  const { node, pid, query } = page.place
  const who = { node, pid, start: query.start === undefined ? undefined : Number(query.start) }
  const key = `${node} ${pid} ${query.start}`
  const detail = useAnswer(page.span && ask.process(scopeOf(page, page.span, who), bucketsFor(0.8)), key)
  const scope = scopeOf(page, page.calm, who)
  const spent = useAnswer(page.calm && ask.categories(scope, bucketsFor(0.8)), key)
  const found = detail.data
  return (
    <>
      <Shown answer={detail}>{data => <Identity page={page} data={data} />}</Shown>
      <div class="column">
        <Panel
          title={t('process.series')}
          name={`${node}-${pid}`}
          answers={[detail]}
          sheet={found && (() => sheetOf(found))}
        >
          {found && <Life page={page} data={found} spent={spent.data} />}
        </Panel>
        <Stacks scope={scope} title={t('stacks.process')} name={`${node}-${pid}`} height={560} />
      </div>
    </>
  )
}

/** Its life on the axis, and what its time was. */
function Life({ page, data, spent }: { page: Page; data: ProcessDetail; spent: Categories | undefined }) {
  if (!page.span) return null
  return (
    <>
      <TimeStack span={page.span} gutter={168} stepMs={data.bucketMs} label={t('process.series')}>
        {frame => (
          <>
            <Charts frame={frame} data={data} />
            {spent?.over && spent.categories.length > 1 && <CategoryChart frame={frame} over={spent.over} />}
          </>
        )}
      </TimeStack>
      {spent && spent.categories.length > 0 && (
        <div class="pad" style={{ borderTop: '1px solid var(--line)' }}>
          <CategoryBar categories={spent.categories} />
        </div>
      )}
    </>
  )
}

function Identity({ page, data }: { page: Page; data: ProcessDetail }) {
  const p = data.process
  const life = p.last - p.start
  return (
    <div class="identity">
      <h1>
        {p.name} <span class="dim">{p.ended === null ? p.pid : endedOf(p.ended)}</span>
      </h1>
      <span>{p.user}</span>
      {p.job !== '' && (
        <a class="job-link" href={linkTo(page, { job: p.job }, OWN_SPAN)}>
          <i class="dot" style={{ background: jobColour(p.job) }} /> {t('crumb.jobNamed', { id: p.job })}
        </a>
      )}
      {p.rank !== null && <span>{t('processes.rank', { rank: p.rank })}</span>}
      <a href={linkTo(page, { job: page.place.job, node: p.node })}>{p.node}</a>
      {p.start > 0 && p.ended === null && (
        <span class="soft">
          {t('process.started', { time: formatTime(p.start, 1) })} · {t('process.ran', { length: formatSpan(life) })}
        </span>
      )}
      {p.threads !== null && <span class="soft">{t('process.threads', { count: p.threads })}</span>}
      {p.first > data.to && <span role="status">{t('process.soon', { time: formatTime(p.first, 1) })}</span>}
      <Where process={p} />
      {p.ended !== null && <span class="soft">{t('process.endedWhy')}</span>}
      <code class="command cut" title={p.command}>
        {p.command}
      </code>
    </div>
  )
}

/** Where it runs and by what: told where it is known. */
function Where({ process: { numaNode, container, executable } }: { process: ProcessRow }) {
  return (
    <>
      {numaNode !== null && <span class="soft">{t('process.numaNode', { node: numaNode })}</span>}
      {container !== '' && (
        <span class="soft" title={container}>
          {t('process.container', { id: container.slice(0, 12) })}
        </span>
      )}
      {executable !== '' && (
        <span class="soft cut" title={executable}>
          {executable}
        </span>
      )}
    </>
  )
}

interface Lines {
  title: string
  unit: string
  how: 'stack' | 'lines' | 'mirror'
  height: number
  floor?: number
  layers: Layer[]
}

function linesOf(data: ProcessDetail): Lines[] {
  const of = (name: string) => data.series[name] ?? []
  return [...usualLines(of), ...rareLines(of).filter(({ layers }) => layers.some(isTold))]
}

const isTold = ({ values }: Layer): boolean => values.some(value => value !== null)

/** Where the machine has it: what it waited for, and GPUs. */
function rareLines(of: (name: string) => (number | null)[]): Lines[] {
  const p = palette()
  const lines = (title: string, unit: string, layers: Layer[]): Lines => ({
    title,
    unit,
    how: 'lines',
    height: 50,
    layers,
  })
  return [
    lines(t('process.waiting'), 's/s', [
      { name: t('process.forCpu'), colour: p.system, values: of('cpuDelay') },
      { name: t('process.forDisk'), colour: p.iowait, values: of('diskDelay') },
    ]),
    lines(t('process.gpu'), '1', [{ name: t('process.gpu'), colour: p.user, values: of('gpuUtilization') }]),
    lines(t('process.gpuMemory'), 'bytes', [
      { name: t('process.gpuMemory'), colour: p.user, values: of('gpuMemoryBytes') },
    ]),
  ]
}

function usualLines(of: (name: string) => (number | null)[]): Lines[] {
  const p = palette()
  return [
    {
      title: t('process.cpu'),
      unit: 'cores',
      how: 'stack',
      height: 78,
      layers: [
        { name: t('metric.cpu_user'), colour: p.user, values: of('cpuUser') },
        { name: t('metric.cpu_system'), colour: p.system, values: of('cpuSystem') },
      ],
    },
    {
      title: t('panel.memory'),
      unit: 'bytes',
      how: 'lines',
      height: 50,
      layers: [{ name: t('process.resident'), colour: p.user, values: of('memoryBytes') }],
    },
    {
      title: t('process.io'),
      unit: 'bytes/s',
      how: 'mirror',
      height: 54,
      floor: 1e6,
      layers: [
        { name: t('metric.read'), colour: p.user, values: of('readBytes') },
        { name: t('metric.write'), colour: p.iowait, values: of('writeBytes'), down: true },
      ],
    },
  ]
}

function Charts({ frame, data }: { frame: Frame; data: ProcessDetail }) {
  const theme = useTheme()
  const lines = useMemo(() => linesOf(data), [data, theme])
  return (
    <>
      {lines.map(l => (
        <Chart
          key={l.title}
          frame={frame}
          title={l.title}
          unit={l.unit}
          from={data.from}
          bucketMs={data.bucketMs}
          layers={l.layers}
          how={l.how}
          full={null}
          height={l.height}
          floor={l.floor ?? 0}
          why={t('absent.process')}
        />
      ))}
    </>
  )
}

function sheetOf(data: ProcessDetail): Sheet {
  const names = Object.keys(data.series)
  const count = Math.max(0, ...names.map(n => data.series[n]?.length ?? 0))
  return {
    columns: ['time', ...names],
    rows: Array.from({ length: count }, (_, i) => [
      new Date(data.from + (i + 1) * data.bucketMs).toISOString(),
      ...names.map(n => data.series[n]?.[i] ?? null),
    ]),
  }
}
