/** A against B: two jobs, nodes, ranks or windows, their numbers side by side and their stacks in one differential flame graph. */
import type { Comparison } from '../../query/api.ts'
import { ask, type Scope, useAnswer } from '../client.ts'
import { jobColour } from '../colour.ts'
import { formatCount, formatRatio, formatSeconds, formatTime, formatValue } from '../format.ts'
import { metricName } from '../metrics.ts'
import { formatPlace, type Place, placeAt, placeWith } from '../state.ts'
import { fixedQuery, fixedSpan } from '../time.ts'
import { t } from '../words.ts'
import { CategoryBar } from './categories.tsx'
import { type Other, parseOther, placeAgainst } from './comparechoice.tsx'
import { ApartBar, DifferencePanel } from './difference.tsx'
import { Panel } from './panel.tsx'
import { OWN_SPAN, type Page } from './scope.ts'
import { Shown } from './states.tsx'

/** What a place is of, as a side of a comparison. */
const sideOf = ({ job, node, query }: Place): Other => ({
  job: job || undefined,
  node: node || query.nodes || undefined,
  rank: query.rank === undefined ? undefined : Number(query.rank),
})

export function CompareView({ page }: { page: Page }) {
  const { place } = page
  const other = parseOther(place.query.against ?? '')
  const mine = sideOf(place)
  // A job has its own time, to its last sample, unless another is asked for.
  const window = page.brush ?? fixedSpan(place) ?? (mine.job === undefined ? page.calm : undefined)
  const scope: Scope = { cluster: page.cluster, ...mine, pid: place.pid, ...window }
  const answer = useAnswer(
    ask.compare(scope, {
      otherJob: other.job,
      otherNode: other.node,
      otherRank: other.rank,
      otherFrom: other.span?.from,
      otherTo: other.span?.to,
    }),
    `${place.job} ${place.node} ${place.query.against}`,
  )
  return (
    <div class="column">
      <Shown answer={answer}>
        {found => (
          <>
            <div class="sides">
              <Side letter="A" side={found.a} href={formatPlace(placeOf(page, found.a))} />
              <Side letter="B" side={found.b} href={formatPlace(placeOf(page, found.b))} />
            </div>
            <p class="acts">
              <a class="button" href={formatPlace(swapped(page, found))}>
                {t('compare.swap')}
              </a>{' '}
              <a class="button" href={formatPlace(placeWith(place, { against: undefined, per: undefined }, []))}>
                {t('compare.back')}
              </a>
            </p>
            <Categories found={found} />
            <DifferencePanel found={found} answer={answer} place={place} />
            <Metrics found={found} name={place.job || place.node} />
          </>
        )}
      </Shown>
    </div>
  )
}

type ComparedSide = Comparison['a']

/** The page of one side alone. */
function placeOf(page: Page, side: ComparedSide): Place {
  const [node = ''] = side.nodes
  const { from, to } = side.coverage
  const rank = side.rank === null ? undefined : String(side.rank)
  const window = side.job ? OWN_SPAN : fixedQuery({ from, to })
  return placeAt(page.place, { job: side.job?.id ?? '', node }, { ...window, rank })
}

function swapped(page: Page, { a, b }: Comparison): Place {
  const { from, to } = a.coverage
  const other = {
    job: a.job?.id,
    node: a.nodes[0],
    rank: a.rank ?? undefined,
    span: a.job ? undefined : { from, to },
  }
  return placeAgainst(placeOf(page, b), other, { per: page.place.query.per })
}

function Side({ letter, side, href }: { letter: 'A' | 'B'; side: ComparedSide; href: string }) {
  const { job, nodes, rank, coverage, coreSeconds } = side
  const length = coverage.to - coverage.from
  return (
    <div class={`side-card side-${letter.toLowerCase()}`}>
      <span class="side-letter">{letter}</span>
      <h1>
        <a href={href}>
          {job && (
            <>
              <i class="dot" style={{ background: jobColour(job.id) }} /> {job.id} <span class="soft">{job.name}</span>
            </>
          )}{' '}
          {nodes.join(', ')} {rank !== null && t('compare.ofRank', { rank })}
        </a>
      </h1>
      <span class="soft">
        {formatTime(coverage.from, length)} – {formatTime(coverage.to, length)} · {formatSeconds(length / 1000)}
        {job && ` · ${job.nodeCount} × ${job.cores}`}
      </span>
      <span>
        {t('compare.cpu', { seconds: formatSeconds(side.seconds) })}
        {coreSeconds !== null && (
          <span class="soft"> · {t('compare.ofCores', { share: formatRatio(side.seconds / coreSeconds) })}</span>
        )}
      </span>
      <span class={coverage.samples < 100 ? 'badge warn' : 'badge'}>
        {t('coverage.samples', { count: formatCount(coverage.samples) })}
      </span>
    </div>
  )
}

function Categories({ found }: { found: Comparison }) {
  const of = (side: 'a' | 'b') => found.categories.map(c => ({ category: c.category, seconds: c[side], samples: 0 }))
  if (found.categories.length === 0) return null
  return (
    <Panel
      title={t('compare.categories')}
      name="categories"
      sheet={() => ({
        columns: ['category', 'A (CPU s)', 'B (CPU s)'],
        rows: found.categories.map(c => [c.category, c.a, c.b]),
      })}
    >
      <div class="pad side-a">
        <span class="side-letter">A</span>
        <CategoryBar categories={of('a')} />
      </div>
      <div class="pad side-b">
        <span class="side-letter">B</span>
        <CategoryBar categories={of('b')} />
      </div>
    </Panel>
  )
}

function Metrics({ found, name }: { found: Comparison; name: string }) {
  const happened = found.metrics.filter(m => m.a || m.b)
  if (happened.length === 0) return null
  return (
    <Panel
      title={t('compare.metrics')}
      name={`${name}-metrics`}
      sheet={() => ({
        columns: ['metric', 'unit', 'A', 'B'],
        rows: found.metrics.map(m => [m.metric, m.unit, m.a, m.b]),
      })}
    >
      <table class="table">
        <thead>
          <tr>
            <th scope="col">{t('compare.metric')}</th>
            <th scope="col" class="num">
              A
            </th>
            <th scope="col" class="num">
              B
            </th>
            <th scope="col" colSpan={2}>
              {t('compare.difference')}
            </th>
          </tr>
        </thead>
        <tbody>
          {happened.map(m => (
            <tr key={m.metric}>
              <td>{metricName(m.metric)}</td>
              <td class="num">{formatValue(m.unit, m.a)}</td>
              <td class="num">{formatValue(m.unit, m.b)}</td>
              <Apart a={m.a} b={m.b} unit={m.unit} />
            </tr>
          ))}
        </tbody>
      </table>
    </Panel>
  )
}

function Apart({ a, b, unit }: { a: number | null; b: number | null; unit: string }) {
  if (a === null || b === null) return <td colSpan={2} />
  const sum = Math.abs(a) + Math.abs(b)
  return (
    <>
      <td class="num soft">{a === b ? '' : formatValue(unit, a - b)}</td>
      <td>
        <ApartBar change={sum === 0 ? 0 : (a - b) / sum} />
      </td>
    </>
  )
}
