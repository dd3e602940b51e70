/** The ranks of a parallel job against each other, those that worked least first. A row keeps the page's stacks to its rank. */
import type { JobRanks } from '../../query/api.ts'
import { ask, useAnswer } from '../client.ts'
import { formatRatio, formatSeconds } from '../format.ts'
import { formatPlace, placeWith } from '../state.ts'
import { t } from '../words.ts'
import { Panel, type Sheet } from './panel.tsx'
import { linkTo, type Page, scopeOf } from './scope.ts'

type Rank = JobRanks['ranks'][number]

const SHOWN = 40

/** What it did that was not waiting for others: a straggler lets the others wait. */
const worked = (rank: Rank): number => rank.seconds * (1 - rank.waitShare)

export function Ranks({ page, id }: { page: Page; id: string }) {
  const answer = useAnswer(page.calm && ask.jobRanks(scopeOf(page, page.calm), id), id)
  const ranks = [...(answer.data?.ranks ?? [])].sort((a, b) => worked(a) - worked(b))
  if (ranks.length < 2) return null
  const most = Math.max(...ranks.map(rank => rank.seconds))
  return (
    <Panel
      title={t('ranks.title')}
      name={`${id}-ranks`}
      answers={[answer]}
      note={<span class="dim">{t('ranks.order')}</span>}
      sheet={() => sheetOf(ranks)}
    >
      <div class="scroll">
        <table class="table">
          <thead>
            <tr>
              <th scope="col">{t('burst.rank')}</th>
              <th scope="col">{t('kind.node')}</th>
              <th scope="col" class="num" colSpan={2}>
                {t('ranks.seconds')}
              </th>
              <th scope="col" class="num">
                {t('ranks.waits')}
              </th>
              <th scope="col">{t('ranks.top')}</th>
            </tr>
          </thead>
          <tbody>
            {ranks.slice(0, SHOWN).map(rank => (
              <Line key={rank.rank} page={page} id={id} rank={rank} most={most} />
            ))}
          </tbody>
        </table>
        {ranks.length > SHOWN && <p class="footer">{t('ranks.more', { count: ranks.length - SHOWN })}</p>}
      </div>
    </Panel>
  )
}

function Line({ page, id, rank, most }: { page: Page; id: string; rank: Rank; most: number }) {
  const chosen = page.place.query.rank === String(rank.rank)
  const href = formatPlace(placeWith(page.place, { rank: chosen ? undefined : String(rank.rank) }, []))
  return (
    <tr>
      <td class="num">
        <a class="button" href={href} aria-current={chosen ? 'true' : undefined} title={t('ranks.only')}>
          {rank.rank}
        </a>
      </td>
      <td>
        <a href={linkTo(page, { job: id, node: rank.node })}>{rank.node}</a>
      </td>
      <td style={{ width: '110px', maxWidth: 'none' }}>
        <div class="meter tall">
          <i style={{ width: `${(100 * rank.seconds) / most}%` }} />
        </div>
      </td>
      <td class="num">{formatSeconds(rank.seconds)}</td>
      <td class="num">{formatRatio(rank.waitShare)}</td>
      <td>
        <span class="cut">
          {rank.topFunction} <span class="dim">{formatRatio(rank.topShare)}</span>
        </span>
      </td>
    </tr>
  )
}

const sheetOf = (ranks: readonly Rank[]): Sheet => ({
  columns: ['rank', 'node', 'processes', 'CPU seconds', 'samples', 'share that waited', 'top function', 'its share'],
  rows: ranks.map(r => [r.rank, r.node, r.processes, r.seconds, r.samples, r.waitShare, r.topFunction, r.topShare]),
})
