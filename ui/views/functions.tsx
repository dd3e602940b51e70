/** The function table: self, total, share, CPU seconds, samples. A row leads to the function's sandwich. */
import { useMemo } from 'preact/hooks'
import type { Functions as Answered } from '../../query/api.ts'
import { ask, type Scope, stacksOf, useAnswer } from '../client.ts'
import { moduleColour } from '../colour.ts'
import { formatRatio, formatSeconds } from '../format.ts'
import type { Tree } from '../layout/flame.ts'
import { functionSums } from '../layout/transform.ts'
import { totalOf } from '../layout/tree.ts'
import { useTheme } from '../prefs.ts'
import { formatPlace, go, place, placeWith, useStore } from '../state.ts'
import { t } from '../words.ts'
import { Empty, Shown } from './states.tsx'

interface Props {
  scope: Scope
  tick: number
  tree: Tree
  transformed: boolean
}
type FunctionRow = Answered['functions'][number]

const LIMIT = 150

export function Functions({ scope, tick, tree, transformed }: Props) {
  const here = useStore(place)
  const sort = here.query.fsort === 'total' ? 'total' : 'self'
  const find = here.query.find ?? ''
  const answer = useAnswer(transformed ? undefined : ask.functions(scope, sort, find, LIMIT), stacksOf(scope), tick)
  const own = useMemo(() => (transformed ? rowsOf(tree, find, sort) : undefined), [tree, transformed, find, sort])
  if (own) return <FunctionTable rows={own} sort={sort} other={undefined} />
  return <Shown answer={answer}>{found => <FunctionTable rows={found.functions} sort={sort} other={found} />}</Shown>
}

function rowsOf(tree: Tree, find: string, sort: 'self' | 'total'): FunctionRow[] {
  const seconds = totalOf(tree, 0)
  const needle = find.toLowerCase()
  return functionSums(tree)
    .map(s => ({
      function: tree.strings[s.fn] ?? '',
      module: tree.strings[s.module] ?? '',
      kind: tree.kinds[s.kind] ?? '',
      self: s.self,
      total: s.total,
      selfShare: s.self / seconds,
      totalShare: s.total / seconds,
      samples: s.samples,
    }))
    .filter(r => `${r.function} ${r.module}`.toLowerCase().includes(needle))
    .sort((a, b) => b[sort] - a[sort])
    .slice(0, LIMIT)
}

function FunctionTable({ rows, sort, other }: { rows: FunctionRow[]; sort: string; other: Answered | undefined }) {
  useTheme()
  if (rows.length === 0) return <Empty title={t('functions.none')} />
  return (
    <div class="scroll">
      <table class="table">
        <FunctionHead sort={sort} />
        <tbody>
          {rows.map(r => (
            <FunctionLine key={`${r.function}@${r.module}`} row={r} />
          ))}
        </tbody>
      </table>
      {other && other.other.count > 0 && (
        <p class="footer">
          {t('functions.other', {
            count: other.other.count,
            share: formatRatio(other.other.self / Math.max(1e-9, other.seconds)),
          })}
        </p>
      )}
    </div>
  )
}

function FunctionHead({ sort }: { sort: string }) {
  const head = (by: 'self' | 'total', name: string) => (
    <th scope="col" class="num" colSpan={2} aria-sort={sort === by ? 'descending' : undefined}>
      <button type="button" onClick={() => go(placeWith(place.get(), { fsort: by === 'self' ? undefined : by }))}>
        {name} {sort === by && '↓'}
      </button>
    </th>
  )
  return (
    <thead>
      <tr>
        <th scope="col">{t('functions.name')}</th>
        <th scope="col">{t('functions.module')}</th>
        {head('self', t('flame.self'))}
        {head('total', t('flame.total'))}
        <th scope="col" class="num">
          {t('flame.samplesHead')}
        </th>
      </tr>
    </thead>
  )
}

function FunctionLine({ row }: { row: FunctionRow }) {
  const href = formatPlace(placeWith(place.get(), { stacks: 'sandwich', fn: row.function }))
  return (
    <tr>
      <td>
        <a class="cut" href={href} title={row.function}>
          {row.function}
        </a>
      </td>
      <td style={{ width: '22%' }}>
        <span class="cut soft" title={row.module}>
          <i class="dot" style={{ background: moduleColour(row.module, row.kind) }} /> {row.module}
        </span>
      </td>
      <td class="num">
        {formatRatio(row.selfShare)}
        <div class="meter">
          <i style={{ width: `${row.selfShare * 100}%` }} />
        </div>
      </td>
      <td class="num soft">{formatSeconds(row.self)}</td>
      <td class="num">
        {formatRatio(row.totalShare)}
        <div class="meter">
          <i style={{ width: `${row.totalShare * 100}%` }} />
        </div>
      </td>
      <td class="num soft">{formatSeconds(row.total)}</td>
      <td class="num dim">{Math.round(row.samples).toLocaleString()}</td>
    </tr>
  )
}
