/** Top processes of the window: who takes the CPU, the memory, the I/O. */
import type { Processes, ProcessRow } from '../../query/api.ts'
import { ask, type Scope, useAnswer } from '../client.ts'
import { jobColour } from '../colour.ts'
import { formatBytes, formatCores, formatCount, formatValue } from '../format.ts'
import { go, placeWith } from '../state.ts'
import { type Key, t } from '../words.ts'
import { Panel, type Sheet } from './panel.tsx'
import { linkTo, OWN_SPAN, type Page } from './scope.ts'
import { Empty, Shown } from './states.tsx'

interface Props {
  page: Page
  scope: Scope
  showNode: boolean
  limit: number
}

const SORTS = ['cpu', 'memory', 'read', 'write'] as const
type Sort = (typeof SORTS)[number]

export function ProcessTable({ page, scope, showNode, limit }: Props) {
  const sort = SORTS.find(s => s === page.place.query.psort) ?? 'cpu'
  const answer = useAnswer(
    scope.from === undefined ? undefined : ask.processes(scope, sort, limit),
    `${scope.node} ${scope.job}`,
  )
  const found = answer.data
  return (
    <Panel
      title={t('processes.title')}
      name={`processes-${scope.node ?? scope.job ?? scope.cluster}`}
      answers={[answer]}
      note={found && <span class="dim">{t('processes.total', { count: found.total })}</span>}
      sheet={found && (() => processSheet(found))}
    >
      <Shown answer={answer}>
        {data =>
          data.processes.length === 0 ? (
            <Empty title={t('processes.none')}>
              <p>{t('processes.noneWhy')}</p>
            </Empty>
          ) : (
            <Rows page={page} found={data} sort={sort} showNode={showNode} />
          )
        }
      </Shown>
    </Panel>
  )
}

function Rows({ page, found, sort, showNode }: { page: Page; found: Processes; sort: Sort; showNode: boolean }) {
  const most = Math.max(1e-9, ...found.processes.map(p => (p.cpuUser ?? 0) + (p.cpuSystem ?? 0)))
  const head = (by: Sort, key: Key) => (
    <th scope="col" class="num" aria-sort={sort === by ? 'descending' : undefined}>
      <button type="button" onClick={() => go(placeWith(page.place, { psort: by === 'cpu' ? undefined : by }))}>
        {t(key)} {sort === by && '↓'}
      </button>
    </th>
  )
  return (
    <div class="scroll">
      <table class="table">
        <thead>
          <tr>
            <th scope="col">{t('processes.process')}</th>
            {showNode && <th scope="col">{t('crumb.node')}</th>}
            <th scope="col">{t('processes.who')}</th>
            {head('cpu', 'processes.cores')}
            <th />
            {head('memory', 'panel.memory')}
            <IoHead page={page} sort={sort} />
          </tr>
        </thead>
        <tbody>
          {found.processes.map(p => (
            <ProcessLine key={`${p.node} ${p.pid} ${p.start}`} page={page} row={p} most={most} showNode={showNode} />
          ))}
        </tbody>
      </table>
      {found.other.count > 0 && (
        <p class="footer">{t('processes.other', { count: found.other.count, cores: formatCount(found.other.cpu) })}</p>
      )}
    </div>
  )
}

/** Read and written share a column; a click sorts by one, then by the other. */
function IoHead({ page, sort }: { page: Page; sort: Sort }) {
  const on = sort === 'read' || sort === 'write'
  const next = sort === 'read' ? 'write' : 'read'
  return (
    <th scope="col" class="num" aria-sort={on ? 'descending' : undefined}>
      <button type="button" onClick={() => go(placeWith(page.place, { psort: next }))}>
        {on ? t(sort === 'read' ? 'metric.read' : 'metric.write') : t('process.io')} {on && '↓'}
      </button>
    </th>
  )
}

interface LineProps {
  page: Page
  row: ProcessRow
  most: number
  showNode: boolean
}

function ProcessLine({ page, row, most, showNode }: LineProps) {
  const { job } = page.place
  const href = linkTo(page, { job, node: row.node, pid: row.pid }, { start: String(row.start) })
  return (
    <tr>
      <td>
        <a class="cut" href={href} title={row.command}>
          <span class="main">{row.name}</span>{' '}
          <span class="dim">{row.ended === null ? row.pid : endedOf(row.ended)}</span>{' '}
          <span class="dim">{argumentsOf(row)}</span>
        </a>
      </td>
      {showNode && (
        <td class="fit">
          <a href={linkTo(page, { job, node: row.node })}>{row.node}</a>
        </td>
      )}
      <td class="fit">
        <Who page={page} row={row} showUser={showNode} />
      </td>
      <CpuCells row={row} most={most} />
      <td class="num">{formatBytes(row.memoryBytes)}</td>
      <IoCell row={row} />
    </tr>
  )
}

function CpuCells({ row, most }: { row: ProcessRow; most: number }) {
  const [user, system] = [row.cpuUser ?? 0, row.cpuSystem ?? 0]
  const percent = (cores: number) => `${(cores / most) * 100}%`
  const split = `${t('metric.cpu_user')} ${formatCount(row.cpuUser)} · ${t('metric.cpu_system')} ${formatCount(row.cpuSystem)}`
  return (
    <>
      <td class="num">{row.cpuUser === null && row.cpuSystem === null ? '–' : formatCores(user + system)}</td>
      <td style={{ width: '74px', maxWidth: 'none' }}>
        <div class="meter tall" title={split}>
          <i style={{ width: percent(user) }} />
          <i style={{ left: percent(user), width: percent(system) }} />
        </div>
      </td>
    </>
  )
}

function IoCell({ row }: { row: ProcessRow }) {
  const rate = (v: number | null) => formatValue('bytes/s', v)
  const nothing = row.readBytes === null && row.writeBytes === null
  const split = `${t('metric.read')} ${rate(row.readBytes)} · ${t('metric.write')} ${rate(row.writeBytes)}`
  return (
    <td class="num soft" title={split}>
      {nothing ? '–' : rate((row.readBytes ?? 0) + (row.writeBytes ?? 0))}
    </td>
  )
}

/** What stands in place of a pid where many that came and went are one row. */
export const endedOf = (ended: number): string =>
  ended > 0 ? t('processes.ended', { count: ended }) : t('processes.endedSome')

/** The command without its program, which stands before it. */
const argumentsOf = (row: ProcessRow) => row.command.split(' ').slice(1).join(' ')

function Who({ page, row, showUser }: { page: Page; row: ProcessRow; showUser: boolean }) {
  if (row.job === '') return <span class="soft">{row.user}</span>
  return (
    <span class="job-link" title={`${row.user} · ${t('processes.evidence', { how: row.evidence })}`}>
      <i class="dot" style={{ background: jobColour(row.job) }} />
      <a href={linkTo(page, { job: row.job }, OWN_SPAN)}>{row.job}</a>
      {row.rank !== null && <span class="dim">{t('processes.rank', { rank: row.rank })}</span>}
      {showUser && <span class="dim">{row.user}</span>}
    </span>
  )
}

const SHEET: readonly (readonly [column: string, of: (process: ProcessRow) => Sheet['rows'][number][number]])[] = [
  ['node', p => p.node],
  ['pid', p => p.pid],
  ['name', p => p.name],
  ['command', p => p.command],
  ['user', p => p.user],
  ['job', p => p.job],
  ['rank', p => p.rank],
  ['CPU user (cores)', p => p.cpuUser],
  ['CPU system (cores)', p => p.cpuSystem],
  ['memory (bytes)', p => p.memoryBytes],
  ['read (bytes/s)', p => p.readBytes],
  ['written (bytes/s)', p => p.writeBytes],
  ['threads', p => p.threads],
  ['ended', p => p.ended],
  ['waited for a CPU (s/s)', p => p.cpuDelay],
  ['waited for a disk (s/s)', p => p.diskDelay],
  ['GPUs', p => p.gpuUtilization],
  ['GPU memory (bytes)', p => p.gpuMemoryBytes],
  ['NUMA node', p => p.numaNode],
  ['executable', p => p.executable],
  ['container', p => p.container],
]

const processSheet = ({ processes }: Processes): Sheet => ({
  columns: SHEET.map(([column]) => column),
  rows: processes.map(process => SHEET.map(([, of]) => of(process))),
})
