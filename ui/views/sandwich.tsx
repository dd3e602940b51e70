/** One function between its callers (above) and its callees (below). */
import { useMemo } from 'preact/hooks'
import { ask, type Scope, stacksOf, useAnswer } from '../client.ts'
import { formatRatio, formatSeconds } from '../format.ts'
import { boxWithPath, layoutFlame, type Tree } from '../layout/flame.ts'
import { callers, functionSums, transformTree } from '../layout/transform.ts'
import { parseTree, totalOf } from '../layout/tree.ts'
import { go, type Place, place, placeWith } from '../state.ts'
import { t } from '../words.ts'
import { FlameGraph } from './flame.tsx'
import { Shown } from './states.tsx'

interface Props {
  scope: Scope
  tick: number
  tree: Tree
  place: Place
  height: number
}

export function Sandwich({ scope, tick, tree, place: here, height }: Props) {
  const hottest = useMemo(() => {
    const [first] = functionSums(tree)
    return tree.strings[first?.fn ?? 0] ?? ''
  }, [tree])
  const fn = here.query.fn ?? hottest
  const transformed = here.transforms.length > 0
  const key = `${stacksOf(scope)}|${fn}`
  const up = useAnswer(transformed ? undefined : ask.flame(scope, 'bottomup', fn), key, tick)
  const down = useAnswer(transformed ? undefined : ask.flame(scope, 'topdown', fn), key, tick)
  const own = useMemo(
    () => (transformed ? { up: callers(tree, fn), down: transformTree(tree, [{ kind: 'focus', fn }]) } : undefined),
    [tree, transformed, fn],
  )
  const whole = totalOf(tree, 0)
  if (own) return <Two up={own.up} down={own.down} fn={fn} whole={whole} height={height} tree={tree} />
  return (
    <Shown answer={up}>
      {above => (
        <Shown answer={down}>
          {below => (
            <Parsed
              above={above}
              below={below}
              fn={fn}
              whole={below.wholeSeconds ?? whole}
              height={height}
              tree={tree}
            />
          )}
        </Shown>
      )}
    </Shown>
  )
}

type Answered = Parameters<typeof parseTree>[0]

function Parsed(props: { above: Answered; below: Answered; fn: string; whole: number; height: number; tree: Tree }) {
  const up = useMemo(() => parseTree(props.above), [props.above])
  const down = useMemo(() => parseTree(props.below), [props.below])
  return <Two {...props} up={up} down={down} />
}

interface TwoProps {
  up: Tree
  down: Tree
  tree: Tree
  fn: string
  whole: number
  height: number
}

function Two({ up, down, fn, whole, height, tree }: TwoProps) {
  const seconds = totalOf(down, 0)
  return (
    <div>
      <p class="pad">
        <Choose tree={tree} fn={fn} /> <b>{formatRatio(seconds / whole)}</b> · {formatSeconds(seconds)}
        <span class="dim"> {t('sandwich.ofAll')}</span>
      </p>
      <p class="pad dim" style={{ paddingBlock: '2px' }}>
        ↑ {t('sandwich.callers')}
      </p>
      {up.parent.length > 2 ? (
        <Half tree={up} up height={height * 0.45} />
      ) : (
        <p class="pad soft">{t('sandwich.noCallers')}</p>
      )}
      <p class="pad dim" style={{ paddingBlock: '2px' }}>
        ↓ {t('sandwich.callees')}
      </p>
      <Half tree={down} up={false} height={height * 0.55} />
    </div>
  )
}

/** A click makes the clicked function the middle one. */
function Half({ tree, up, height }: { tree: Tree; up: boolean; height: number }) {
  const boxes = useMemo(() => layoutFlame(tree), [tree])
  const zoom = boxes.rows[1]?.length === 1 ? (boxes.rows[1][0] ?? 0) : 0
  return (
    <FlameGraph
      boxes={boxes}
      zoom={zoom}
      selected={boxWithPath(boxes, 0)}
      matched={undefined}
      colourBy="module"
      up={up}
      from={up ? 2 : 1}
      height={height}
      label={t(up ? 'sandwich.callers' : 'sandwich.callees')}
      onZoom={box => box > 0 && go(placeWith(place.get(), { fn: tree.strings[tree.fn[box] ?? 0] ?? '' }))}
      onSelect={() => undefined}
    />
  )
}

function Choose({ tree, fn }: { tree: Tree; fn: string }) {
  const names = useMemo(() => [...new Set(functionSums(tree).map(s => tree.strings[s.fn] ?? ''))].slice(0, 200), [tree])
  return (
    <select
      class="field"
      style={{ maxWidth: '420px' }}
      value={fn}
      aria-label={t('sandwich.choose')}
      onChange={event => go(placeWith(place.get(), { fn: event.currentTarget.value }))}
    >
      {!names.includes(fn) && <option value={fn}>{fn}</option>}
      {names.map(n => (
        <option key={n} value={n}>
          {n}
        </option>
      ))}
    </select>
  )
}
