/** Where the CPU time went, four ways: flame graph, bottom-up tree, function table, sandwich of one function. */
import { useMemo, useState } from 'preact/hooks'
import type { Coverage } from '../../query/api.ts'
import { ask, type Scope, stacksFile, stacksOf, useAnswer } from '../client.ts'
import { formatCount, formatRatio } from '../format.ts'
import { type Boxes, layoutFlame, type Tree } from '../layout/flame.ts'
import { formatFolded, formatSpeedscope } from '../layout/folded.ts'
import { functionSums, parseTransform, type Transform, transformTree } from '../layout/transform.ts'
import { parseTree, totalOf } from '../layout/tree.ts'
import { go, type Place, place, placeWith, useStore } from '../state.ts'
import { t } from '../words.ts'
import { BottomUp } from './bottomup.tsx'
import { Chips } from './chips.tsx'
import { CloserButton, CloserStrip, canLookCloser, useBurst, useMore } from './closer.tsx'
import { FlamePane } from './flamepane.tsx'
import { Functions } from './functions.tsx'
import { type File, Panel, type Sheet } from './panel.tsx'
import { Sandwich } from './sandwich.tsx'
import { Empty, Shown } from './states.tsx'

export const WAYS = ['flame', 'bottomup', 'functions', 'sandwich'] as const
export type Way = (typeof WAYS)[number]

export interface StacksProps {
  scope: Scope
  title: string
  /** File names begin with it. */
  name: string
  height: number
  /** Beside charts: no side panel. */
  narrow?: boolean
}

const wayOf = (p: Place): Way => WAYS.find(w => w === p.query.stacks) ?? 'flame'

export function Stacks(props: StacksProps) {
  const here = useStore(place)
  const way = wayOf(here)
  const [tick, setTick] = useState(0)
  const burst = useBurst(props.scope.cluster, here.query.burst, tick)
  const scope = scopeShown(props.scope, here.query.burst)
  const isAsked = scope.from !== undefined || scope.burst !== undefined
  const answer = useAnswer(isAsked ? ask.flame(scope, 'topdown') : undefined, stacksOf(scope), tick)
  const more = useMore(burst, answer.data?.coverage.samples ?? 0, setTick)
  const tree = useMemo(() => answer.data && parseTree(answer.data), [answer.data])
  const changes = here.transforms.join('\n')
  const shown = useMemo(() => tree && transformTree(tree, transformsOf(here)), [tree, changes])
  const boxes = useMemo(() => shown && layoutFlame(shown), [shown])
  return (
    <Panel
      title={props.title}
      name={props.name}
      titleUnseen={props.narrow ?? false}
      answers={[answer]}
      head={
        <>
          <Ways way={way} />
          {canLookCloser(props.scope) && <CloserButton scope={props.scope} />}
        </>
      }
      note={answer.data && <CoverageBadge coverage={answer.data.coverage} short={props.narrow ?? false} />}
      sheet={shown && (() => functionSheet(shown))}
      files={shown ? stackFiles(shown, props.name, scope, here.transforms.length > 0) : []}
    >
      {burst && <CloserStrip burst={burst} />}
      <Chips place={here} boxes={boxes} looks={way === 'flame'} />
      <Shown answer={answer}>
        {() => <Body {...props} scope={scope} tick={tick} more={more} way={way} boxes={boxes} place={here} />}
      </Shown>
    </Panel>
  )
}

/** A closer look has its own window. */
const scopeShown = (scope: Scope, burst: string | undefined): Scope =>
  burst === undefined ? scope : { ...scope, from: undefined, to: undefined, burst }

const transformsOf = (p: Place): Transform[] => p.transforms.flatMap(text => parseTransform(text) ?? [])

interface BodyProps extends StacksProps {
  /** Moves while a closer look brings more. */
  tick: number
  /** Of a closer look more may come. */
  more: boolean
  way: Way
  boxes: Boxes | undefined
  place: Place
}

function Body(props: BodyProps) {
  const { boxes, way, scope, tick } = props
  const transformed = props.place.transforms.length > 0
  if (!boxes || totalOf(boxes.tree, 0) <= 0)
    return props.more ? <Empty title={t('burst.wait')} /> : <NoStacks transformed={transformed} />
  const { tree } = boxes
  if (way === 'bottomup') return <BottomUp scope={scope} tick={tick} tree={tree} transformed={transformed} />
  if (way === 'functions') return <Functions scope={scope} tick={tick} tree={tree} transformed={transformed} />
  if (way === 'sandwich') return <Sandwich {...props} tree={tree} />
  return <FlamePane boxes={boxes} height={props.height} narrow={props.narrow ?? false} name={props.title} />
}

const NoStacks = ({ transformed }: { transformed: boolean }) =>
  transformed ? (
    <Empty title={t('stacks.transformedAway')}>
      <button type="button" class="button" onClick={() => go(placeWith(place.get(), {}, []))}>
        {t('stacks.takeBack')}
      </button>
    </Empty>
  ) : (
    <Empty title={t('stacks.none')}>
      <p>{t('stacks.noneWhy')}</p>
      <pre class="mono">jobsight doctor</pre>
    </Empty>
  )

function Ways({ way }: { way: Way }) {
  return (
    <div class="choices" role="tablist" aria-label={t('stacks.ways')}>
      {WAYS.map(w => (
        <button
          key={w}
          type="button"
          role="tab"
          class="button"
          aria-selected={w === way}
          onClick={() => go(placeWith(place.get(), { stacks: w === 'flame' ? undefined : w }))}
        >
          {t(`way.${w}`)}
        </button>
      ))}
    </div>
  )
}

/** How much of the truth this is. */
export function CoverageBadge({ coverage, short }: { coverage: Coverage; short: boolean }) {
  const { samples, lost, throttled, truncatedShare, unnamedShare, samplerCpu, unwinding } = coverage
  if (samples === 0 && lost === 0) return null
  const lostShare = lost / Math.max(1, lost + samples)
  const bad = lostShare > 0.02 || truncatedShare > 0.1 || unnamedShare > 0.1 || samples < 100
  const why = t('coverage.why', {
    samples: samples.toLocaleString(),
    lost: lost.toLocaleString(),
    lostShare: formatRatio(lostShare),
    throttled: throttled.toLocaleString(),
    rooted: formatRatio(1 - truncatedShare),
    truncated: formatRatio(truncatedShare),
    named: formatRatio(1 - unnamedShare),
  })
  const how = unwinding === '' ? '' : t(`coverage.${unwinding}`, { cpu: formatRatio(samplerCpu ?? 0) })
  return (
    <span class={`badge${bad ? ' warn' : ''}`} title={why + how}>
      {t('coverage.samples', { count: formatCount(samples) })}
      {(bad || !short) && lostShare > 0.001 && ` · ${t('coverage.lost', { share: formatRatio(lostShare) })}`}
      {(bad || !short) &&
        truncatedShare > 0.01 &&
        ` · ${t('coverage.truncated', { share: formatRatio(truncatedShare) })}`}
      {(bad || !short) && unnamedShare > 0.01 && ` · ${t('coverage.unnamed', { share: formatRatio(unnamedShare) })}`}
    </span>
  )
}

function functionSheet(tree: Tree): Sheet {
  return {
    columns: ['function', 'module', 'self (CPU s)', 'total (CPU s)', 'samples'],
    rows: functionSums(tree).map(s => [
      tree.strings[s.fn] ?? '',
      tree.strings[s.module] ?? '',
      s.self,
      s.total,
      s.samples,
    ]),
  }
}

/** Every stack of the scope, from the server; of a transformed tree what is shown, made here. */
function stackFiles(tree: Tree, name: string, scope: Scope, transformed: boolean): File[] {
  const [folded, speedscope] = [t('export.folded'), t('export.speedscope')]
  if (!transformed)
    return [
      { label: folded, name: `${name}.folded`, href: stacksFile(scope, 'folded') },
      { label: speedscope, name: `${name}.speedscope.json`, href: stacksFile(scope, 'speedscope') },
      { label: 'pprof', name: `${name}.pb.gz`, href: stacksFile(scope, 'pprof') },
    ]
  return [
    { label: folded, name: `${name}.folded`, type: 'text/plain', make: () => formatFolded(tree) },
    {
      label: speedscope,
      name: `${name}.speedscope.json`,
      type: 'application/json',
      make: () => formatSpeedscope(tree, name),
    },
  ]
}
