/** The differential flame graph, and the functions that are furthest apart. */
import { useMemo } from 'preact/hooks'
import type { Comparison } from '../../query/api.ts'
import type { Answer } from '../client.ts'
import { divergingColour, moduleColour } from '../colour.ts'
import { formatRatio, formatSeconds } from '../format.ts'
import {
  changeOf,
  type Difference,
  dividers,
  grainOf,
  layoutDifference,
  PER,
  type Per,
  perOf,
} from '../layout/difference.ts'
import { functionName, moduleName, samplesOf } from '../layout/tree.ts'
import { useTheme } from '../prefs.ts'
import { go, type Place, placeWith } from '../state.ts'
import { t } from '../words.ts'
import { Chips } from './chips.tsx'
import { FlameGraph, type Look } from './flame.tsx'
import { useFlamePlace } from './flamepane.tsx'
import { Panel } from './panel.tsx'
import { Empty } from './states.tsx'

interface Props {
  found: Comparison
  answer: Answer<Comparison>
  place: Place
}

export function DifferencePanel({ found, answer, place }: Props) {
  const per = perOf(found, place.query.per)
  const difference = useMemo(() => layoutDifference(found, per), [found, per])
  const empty = found.a.seconds <= 0 ? 'A' : found.b.seconds <= 0 ? 'B' : undefined
  return (
    <>
      <Panel
        title={t('compare.flame')}
        name="difference"
        answers={[answer]}
        head={<PerChoice found={found} per={per} place={place} />}
        sheet={() => treeSheet(difference)}
      >
        {empty ? (
          <Empty title={t('compare.noStacks', { side: empty })} />
        ) : (
          <>
            <Chips place={place} boxes={difference.boxes} looks={false} />
            <p class="compare-legend">{t('compare.flameWhy')}</p>
            <Flame difference={difference} per={per} />
          </>
        )}
      </Panel>
      {empty === undefined && <Functions found={found} per={per} />}
    </>
  )
}

function PerChoice({ found, per, place }: { found: Comparison; per: Per; place: Place }) {
  const known = found.a.coreSeconds !== null && found.b.coreSeconds !== null
  return (
    <div class="choices" role="tablist" aria-label={t('compare.per')}>
      {PER.map(choice => (
        <button
          key={choice}
          type="button"
          role="tab"
          class="button"
          aria-selected={choice === per}
          disabled={choice === 'core' && !known}
          title={choice === 'core' && !known ? t('compare.perNoCore') : undefined}
          onClick={() => go(placeWith(place, { per: choice }))}
        >
          {t(`compare.per.${choice}`)}
        </button>
      ))}
    </div>
  )
}

const told = (per: Per, value: number): string => (per === 'cpu' ? formatSeconds(value) : formatRatio(value))

function apartOf(per: Per, a: number, b: number): string {
  const sign = a > b ? '+' : '−'
  return a === b ? '0' : `${sign}${told(per, Math.abs(a - b))}`
}

const HEIGHT = 460

function Flame({ difference, per }: { difference: Difference; per: Per }) {
  useTheme()
  const flame = useFlamePlace(difference.boxes)
  const look = useMemo(() => lookOf(difference, per), [difference, per])
  return (
    <FlameGraph
      boxes={difference.boxes}
      {...flame}
      colourBy="module"
      look={look}
      up={false}
      height={HEIGHT}
      label={t('compare.flame')}
    />
  )
}

function lookOf({ boxes, total, self, change }: Difference, per: Per): Look {
  const { tree } = boxes
  const both = (values: Difference['total'], box: number) => [values.a[box] ?? 0, values.b[box] ?? 0] as const
  const word = (box: number) => {
    const [a, b] = both(total, box)
    if ((change[box] ?? 0) === 0) return t('compare.noise')
    return a === 0 ? t('compare.onlyB') : b === 0 ? t('compare.onlyA') : t(a > b ? 'compare.more' : 'compare.less')
  }
  const line = (values: Difference['total'], box: number) => {
    const [a, b] = both(values, box)
    return `A ${told(per, a)} · B ${told(per, b)} · ${apartOf(per, a, b)}`
  }
  return {
    colour: box => divergingColour(change[box] ?? 0),
    note: box => ((change[box] ?? 0) === 0 ? '' : apartOf(per, ...both(total, box))),
    words: box => `${functionName(tree, box)}: ${line(total, box)}, ${word(box)}`,
    tip: box => (
      <>
        <b>{box === 0 ? t('flame.all') : functionName(tree, box)}</b> <span class="dim">{moduleName(tree, box)}</span>
        <br />
        {t('flame.total')} <b>{line(total, box)}</b> <span class="soft">{word(box)}</span>
        <br />
        {t('flame.self')} {line(self, box)}
        <span class="dim"> · {t('flame.samples', { count: Math.round(samplesOf(tree, box)).toLocaleString() })}</span>
      </>
    ),
  }
}

function treeSheet({ boxes, total }: Difference) {
  const { tree } = boxes
  return {
    columns: ['function', 'module', 'depth', 'A', 'B', 'samples'],
    rows: Array.from(tree.parent, (_, i) => [
      functionName(tree, i),
      moduleName(tree, i),
      boxes.depth[i] ?? 0,
      total.a[i] ?? 0,
      total.b[i] ?? 0,
      samplesOf(tree, i),
    ]),
  }
}

interface Row {
  function: string
  module: string
  kind: string
  a: number
  b: number
  change: number
  alone: string
}

function rowsOf(found: Comparison, per: Per): Row[] {
  const by = dividers(found, per)
  const grain = grainOf(found, by)
  return found.functions
    .map(f => {
      const value = { a: f.a.self / by.a, b: f.b.self / by.b }
      const change = changeOf(value, { a: f.a.samples, b: f.b.samples }, grain)
      const alone = f.a.samples === 0 ? t('compare.onlyB') : f.b.samples === 0 ? t('compare.onlyA') : ''
      return { ...f, ...value, change, alone: change === 0 ? t('compare.noise') : alone }
    })
    .sort((x, y) => Math.abs(y.a - y.b) - Math.abs(x.a - x.b))
}

function Functions({ found, per }: { found: Comparison; per: Per }) {
  useTheme()
  const rows = useMemo(() => rowsOf(found, per), [found, per])
  const most = Math.max(1e-12, ...rows.map(row => Math.abs(row.a - row.b)))
  return (
    <Panel
      title={t('compare.functions')}
      name="functions"
      sheet={() => ({
        columns: ['function', 'module', 'A self', 'B self', 'A − B', ''],
        rows: rows.map(row => [row.function, row.module, row.a, row.b, row.a - row.b, row.alone]),
      })}
    >
      <div class="scroll">
        <table class="table">
          <thead>
            <tr>
              <th scope="col">{t('functions.name')}</th>
              <th scope="col">{t('functions.module')}</th>
              <th scope="col" class="num">
                A {t('flame.self')}
              </th>
              <th scope="col" class="num">
                B {t('flame.self')}
              </th>
              <th scope="col" colSpan={3}>
                {t('compare.difference')}
              </th>
            </tr>
          </thead>
          <tbody>
            {rows.map(row => (
              <Line key={`${row.function}@${row.module}`} row={row} per={per} most={most} />
            ))}
          </tbody>
        </table>
        {found.functionsLeftOut > 0 && <p class="footer">{t('compare.leftOut', { count: found.functionsLeftOut })}</p>}
      </div>
    </Panel>
  )
}

function Line({ row, per, most }: { row: Row; per: Per; most: number }) {
  return (
    <tr class={row.change === 0 ? 'dim' : ''}>
      <td>
        <span class="cut" title={row.function}>
          {row.function}
        </span>
      </td>
      <td style={{ width: '20%' }}>
        <span class="cut soft" title={row.module}>
          <i class="dot" style={{ background: moduleColour(row.module, row.kind) }} /> {row.module}
        </span>
      </td>
      <td class="num">{told(per, row.a)}</td>
      <td class="num">{told(per, row.b)}</td>
      <td class="num">{apartOf(per, row.a, row.b)}</td>
      <td class="fit">
        <ApartBar change={row.change === 0 ? 0 : (row.a - row.b) / most} />
      </td>
      <td class="fit soft">{row.alone}</td>
    </tr>
  )
}

/** From the middle: left is more in B, right is more in A. */
export function ApartBar({ change }: { change: number }) {
  const width = `${Math.abs(change) * 50}%`
  const at = change >= 0 ? { left: '50%' } : { right: '50%' }
  return (
    <span class="apart">
      <i style={{ ...at, width, background: change >= 0 ? 'var(--more)' : 'var(--less)' }} />
    </span>
  )
}
