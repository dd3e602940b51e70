/** All jobs in one table; the filter is a line of tokens that can be typed, clicked together and sent to a colleague. */
import { useEffect, useState } from 'preact/hooks'
import type { JobRow, Jobs } from '../../query/api.ts'
import { ask, useAnswer } from '../client.ts'
import { jobColour } from '../colour.ts'
import { askedOf, parseFilter, testRow, withToken } from '../filter.ts'
import { formatRatio, formatSpan, formatTime, formatWhole } from '../format.ts'
import { go, placeWith } from '../state.ts'
import { t, term } from '../words.ts'
import { Panel, type Sheet } from './panel.tsx'
import { linkTo, OWN_SPAN, type Page } from './scope.ts'
import { Empty, Shown } from './states.tsx'

const PAGE = 50
const EXAMPLES = [
  'state:running',
  'state:queued',
  'state:failed,timeout,out_of_memory',
  'nodes:>8',
  'cpu:<30',
  'elapsed:>1h',
  'since:7d',
]

export function JobsView({ page }: { page: Page }) {
  const text = page.place.query.q ?? ''
  const tokens = parseFilter(text)
  const asked = askedOf(tokens, page.now)
  const key = JSON.stringify(asked)
  const [cursors, setCursors] = useState<string[]>([])
  useEffect(() => setCursors([]), [key])
  const cursor = cursors[cursors.length - 1]
  const answer = useAnswer(ask.jobs(page.cluster, { ...asked, limit: PAGE, cursor }), page.cluster, page.tick)
  const rows = (answer.data?.jobs ?? []).filter(row => testRow(tokens, row))
  return (
    <Panel
      title={t('bar.jobs')}
      name={`${page.cluster}-jobs`}
      answers={[answer]}
      note={answer.data && <span class="dim">{t('jobs.total', { count: answer.data.total })}</span>}
      sheet={() => jobsSheet(rows)}
    >
      <Filter page={page} text={text} />
      <Shown answer={answer}>
        {found => (
          <>
            <Unreadable found={found} />
            <Waiting found={found} />
            {rows.length === 0 ? (
              <NoJobs filtered={tokens.length > 0} more={found.next !== null} />
            ) : (
              <Table page={page} rows={rows} />
            )}
            <Pages found={found} shown={rows.length} cursors={cursors} setCursors={setCursors} />
          </>
        )}
      </Shown>
    </Panel>
  )
}

/** The list is as old as the last answer of the scheduler: never "no jobs". */
function Unreadable({ found }: { found: Jobs }) {
  const told = found.schedulers.filter(s => s.unreadable !== null)
  if (told.length === 0) return null
  return (
    <p class="notice" role="status">
      {t('jobs.unreadable', { why: told.map(s => s.unreadable).join('; ') })}
    </p>
  )
}

/** More than one collector is told to ask the scheduler: the one that does not may take over, and its words say who does. */
function Waiting({ found }: { found: Jobs }) {
  const told = found.schedulers.filter(s => s.waits !== null)
  if (told.length === 0) return null
  return <p class="tokens soft">{told.map(s => t('jobs.waits', { node: s.node, why: s.waits ?? '' })).join(' ')}</p>
}

function Filter({ page, text }: { page: Page; text: string }) {
  const set = (q: string, how: 'push' | 'replace') => go(placeWith(page.place, { q: q === '' ? undefined : q }), how)
  return (
    <div class="tokens">
      <input
        class="field"
        type="search"
        id="find"
        value={text}
        placeholder={t('jobs.filter')}
        aria-label={t('jobs.filter')}
        onInput={event => set(event.currentTarget.value, 'replace')}
      />
      {EXAMPLES.map(example => {
        const [token] = parseFilter(example)
        const on = text.includes(example)
        return (
          <button
            key={example}
            type="button"
            class="button plain"
            aria-pressed={on}
            onClick={() => token && set(on ? text.replace(example, '').trim() : withToken(text, token), 'push')}
          >
            {example}
          </button>
        )
      })}
    </div>
  )
}

const NoJobs = ({ filtered, more }: { filtered: boolean; more: boolean }) =>
  filtered ? (
    <Empty title={t('jobs.noneMatch')}>{more && <p>{t('jobs.noneHere')}</p>}</Empty>
  ) : (
    <Empty title={t('jobs.none')}>
      <p>{t('jobs.noneWhy')}</p>
      <pre class="mono">jobsight doctor</pre>
    </Empty>
  )

interface PagesProps {
  found: Jobs
  shown: number
  cursors: string[]
  setCursors: (cursors: string[]) => void
}

function Pages({ found, shown, cursors, setCursors }: PagesProps) {
  if (found.next === null && cursors.length === 0) return null
  const next = found.next
  return (
    <p class="footer">
      <button
        type="button"
        class="button"
        disabled={cursors.length === 0}
        onClick={() => setCursors(cursors.slice(0, -1))}
      >
        {t('jobs.newer')}
      </button>
      <button
        type="button"
        class="button"
        disabled={next === null}
        onClick={() => next !== null && setCursors([...cursors, next])}
      >
        {t('jobs.older')}
      </button>
      {t('jobs.page', { page: cursors.length + 1, shown, all: found.total })}
    </p>
  )
}

function Table({ page, rows }: { page: Page; rows: readonly JobRow[] }) {
  return (
    <div style={{ overflowX: 'auto' }}>
      <table class="table">
        <thead>
          <tr>
            <th scope="col">{t('jobs.state')}</th>
            <th scope="col">{t('crumb.job')}</th>
            <th scope="col">{t('jobs.user')}</th>
            <th scope="col">{t('jobs.queue')}</th>
            <th scope="col" class="num">
              {t('jobs.nodes')}
            </th>
            <th scope="col" class="num">
              {t('jobs.cores')}
            </th>
            <th scope="col" class="num">
              {t('jobs.started')}
            </th>
            <th scope="col" class="num">
              {t('jobs.elapsed')}
            </th>
            <th scope="col">{t('jobs.cpu')}</th>
            <th scope="col">{t('panel.memory')}</th>
            <th scope="col">{t('jobs.function')}</th>
          </tr>
        </thead>
        <tbody>
          {rows.map(row => (
            <JobLine key={row.id} page={page} row={row} />
          ))}
        </tbody>
      </table>
    </div>
  )
}

function JobLine({ page, row }: { page: Page; row: JobRow }) {
  const filter = (key: string, value: string) =>
    linkTo(page, { jobs: true }, { q: withToken(page.place.query.q ?? '', { key, value }) })
  return (
    <tr>
      <td class="fit">
        <StateWord state={row.state} />
      </td>
      <td style={{ width: '24%' }}>
        <a class="cut" href={linkTo(page, { job: row.id }, OWN_SPAN)} title={row.name}>
          <i class="dot" style={{ background: jobColour(row.id) }} /> <span class="main">{row.id}</span> {row.name}
        </a>
      </td>
      <td class="fit">
        <a href={filter('user', row.user)}>{row.user}</a> <span class="dim">{row.account}</span>
      </td>
      <td class="fit">
        <a href={filter('queue', row.queue)}>{row.queue}</a>
      </td>
      <SizeCells page={page} row={row} />
      <td class="fit">
        <Efficiency share={row.cpuEfficiency} low={0.3} />
      </td>
      <td class="fit">
        <Efficiency share={row.memoryEfficiency} />
      </td>
      <td>
        <span class="cut soft" title={row.topFunction ?? ''}>
          {row.topFunction}
        </span>
      </td>
    </tr>
  )
}

function SizeCells({ page, row }: { page: Page; row: JobRow }) {
  const since = row.start ?? row.submit
  return (
    <>
      <td class="num">{formatWhole(row.nodeCount)}</td>
      <td class="num">
        {formatWhole(row.cores)}
        {row.gpus > 0 && <span class="dim"> + {row.gpus} GPU</span>}
      </td>
      <td class="num soft">{row.start === null ? t('jobs.waiting') : formatTime(row.start)}</td>
      <td class="num">{since === null ? '' : formatSpan(Math.max(0, (row.end ?? page.now) - since))}</td>
    </>
  )
}

export const StateWord = ({ state }: { state: string }) => (
  <span class={`state-word ${state}`}>
    <i /> {term('state', state)}
  </span>
)

/** A bar with its number; the number warns where little of what was allocated was used. */
export function Efficiency({ share, low = 0 }: { share: number | null; low?: number }) {
  if (share === null) return <span class="dim">–</span>
  return (
    <span style={{ display: 'inline-flex', gap: '6px', alignItems: 'center' }}>
      <span class="meter tall" style={{ width: '64px' }}>
        <i style={{ width: `${Math.min(1, share) * 100}%` }} />
      </span>
      <span class="num" style={{ minWidth: '36px', color: share < low ? 'var(--warn)' : 'inherit' }}>
        {formatRatio(share)}
      </span>
    </span>
  )
}

const jobsSheet = (rows: readonly JobRow[]): Sheet => ({
  columns: [
    'id',
    'name',
    'user',
    'account',
    'queue',
    'state',
    'submit',
    'start',
    'end',
    'nodes',
    'cores',
    'gpus',
    'cpu efficiency',
    'memory efficiency',
    'top function',
  ],
  rows: rows.map(r => [
    r.id,
    r.name,
    r.user,
    r.account,
    r.queue,
    r.state,
    iso(r.submit),
    iso(r.start),
    iso(r.end),
    r.nodeCount,
    r.cores,
    r.gpus,
    r.cpuEfficiency,
    r.memoryEfficiency,
    r.topFunction,
  ]),
})
const iso = (ms: number | null) => (ms === null ? null : new Date(ms).toISOString())
