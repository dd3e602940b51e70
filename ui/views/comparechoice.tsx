/** What a job, a node or a rank can be laid over: its earlier runs, its neighbours, the time before. */
import { useState } from 'preact/hooks'
import { ask, useAnswer } from '../client.ts'
import { formatTime } from '../format.ts'
import { formatPlace, go, type Place, placeWith } from '../state.ts'
import { fixedQuery, formatInstant, type Span } from '../time.ts'
import { t, term } from '../words.ts'
import { type Option, Options, Popover } from './popover.tsx'
import { type Page, scopeOf } from './scope.ts'

/** The other side as the address has it: job:12 node:n1 rank:3 2026-01-05T10:00:00Z..2026-01-05T11:00:00Z */
export interface Other {
  job?: string | undefined
  node?: string | undefined
  rank?: number | undefined
  span?: Span | undefined
}

export function parseOther(text: string): Other {
  const other: Other = {}
  for (const word of text.split(' ')) {
    const [, kind, value = ''] = /^(job|node|rank):(.+)$/.exec(word) ?? []
    if (kind === 'job' || kind === 'node') other[kind] = value
    else if (kind === 'rank' && /^\d+$/.test(value)) other.rank = Number(value)
    const [from = Number.NaN, to = Number.NaN] = word.split('..').map(part => Date.parse(part))
    if (from < to) other.span = { from, to }
  }
  return other
}

export function formatOther({ job, node, rank, span }: Other): string {
  const words = [job && `job:${job}`, node && `node:${node}`, rank !== undefined && `rank:${rank}`]
  if (span) words.push(`${formatInstant(span.from)}..${formatInstant(span.to)}`)
  return words.filter(word => word).join(' ')
}

/** Only what is looked at stays: zoom, search, brush belong to the page it was made on. */
const BARE = { sel: undefined, zoom: undefined, box: undefined, find: undefined, stacks: undefined, burst: undefined }

export const placeAgainst = (from: Place, other: Other, query: Record<string, string | undefined> = {}): Place =>
  placeWith(from, { ...BARE, ...query, against: formatOther(other) }, [])

const linkAgainst = (page: Page, other: Other): string => formatPlace(placeAgainst(page.place, other))

/** `runsOf`: whose job of which name is looked at. */
export function CompareButton({ page, runsOf }: { page: Page; runsOf?: { user: string; name: string } }) {
  return (
    <Popover label={t('compare.why')} class="button" face={t('compare.open')}>
      {close => (
        <div class="compare-choice">
          {page.place.node !== '' ? (
            <Nodes page={page} close={close} />
          ) : page.place.query.rank !== undefined ? (
            <RankOptions page={page} close={close} />
          ) : (
            runsOf && <Runs page={page} {...runsOf} close={close} />
          )}
        </div>
      )}
    </Popover>
  )
}

const RUNS = 40

function Runs({ page, user, name, close }: { page: Page; user: string; name: string; close: () => void }) {
  const answer = useAnswer(ask.jobs(page.cluster, { user, name, limit: RUNS }), name)
  const [id, setId] = useState('')
  const options: Option[] = (answer.data?.jobs ?? [])
    .filter(job => job.id !== page.place.job && job.start !== null && job.name === name)
    .map(job => ({
      name: job.id,
      hint: `${term('state', job.state)} · ${formatTime(job.start ?? 0)} · ${job.nodeCount} × ${job.cores}`,
      href: linkAgainst(page, { job: job.id }),
    }))
  const submit = (event: Event) => {
    event.preventDefault()
    if (id.trim() !== '') go(placeAgainst(page.place, { job: id.trim() }))
  }
  return (
    <>
      <p class="title">{t('compare.runs')}</p>
      {answer.data && options.length === 0 && <p class="title dim">{t('compare.noRuns', { user })}</p>}
      <Options options={options} close={close} asking={answer.data ? undefined : answer.question?.words} />
      <form onSubmit={submit}>
        <input
          class="field"
          value={id}
          aria-label={t('compare.anyJob')}
          placeholder={t('compare.anyJob')}
          onInput={event => setId(event.currentTarget.value)}
        />
        <button type="submit" class="button">
          {t('compare.go')}
        </button>
      </form>
    </>
  )
}

function Nodes({ page, close }: { page: Page; close: () => void }) {
  const { job, node } = page.place
  const nodes = useAnswer(job === '' ? ask.nodes(page.cluster) : undefined, page.cluster)
  const ofJob = useAnswer(job === '' ? undefined : ask.jobNodes(scopeOf(page, page.calm), job, 'cpu_busy', 100), job)
  const names = job === '' ? nodes.data?.nodes.map(n => n.node) : ofJob.data?.nodes.map(n => n.node)
  const options = (names ?? [])
    .filter(name => name !== node)
    .map(name => ({ name, href: linkAgainst(page, { node: name }) }))
  const { calm } = page
  const before = calm && { from: calm.from - (calm.to - calm.from), to: calm.from }
  return (
    <>
      {calm && before && (
        <a
          class="option"
          href={formatPlace(placeAgainst(page.place, { span: before }, fixedQuery(calm)))}
          onClick={close}
        >
          <span>{t('compare.before')}</span>
          <span class="dim">{formatTime(before.from, before.to - before.from)}</span>
        </a>
      )}
      <p class="title">{t('compare.nodes')}</p>
      <Options options={options} close={close} asking={names ? undefined : t('ask.nodes')} />
    </>
  )
}

function RankOptions({ page, close }: { page: Page; close: () => void }) {
  const { job, query } = page.place
  const answer = useAnswer(page.calm && ask.jobRanks(scopeOf(page, page.calm), job), job)
  const options = (answer.data?.ranks ?? [])
    .filter(rank => String(rank.rank) !== query.rank)
    .sort((a, b) => a.rank - b.rank)
    .map(rank => ({ name: String(rank.rank), hint: rank.node, href: linkAgainst(page, { rank: rank.rank }) }))
  return (
    <>
      <p class="title">{t('compare.ranks')}</p>
      <Options options={options} close={close} asking={answer.data ? undefined : t('ask.ranks')} />
    </>
  )
}
