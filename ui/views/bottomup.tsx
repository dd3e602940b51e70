/** Hot functions first, under each who calls it: a tree of rows that opens by key or click. */
import { useMemo, useRef, useState } from 'preact/hooks'
import { ask, type Scope, stacksOf, useAnswer } from '../client.ts'
import { moduleColour } from '../colour.ts'
import { formatRatio, formatSeconds } from '../format.ts'
import { layoutFlame, matchStrings, type Tree } from '../layout/flame.ts'
import { invert } from '../layout/transform.ts'
import { childrenOf, functionName, kindName, moduleName, parseTree, samplesOf, totalOf } from '../layout/tree.ts'
import { useTheme } from '../prefs.ts'
import { go, place, placeWith, useStore } from '../state.ts'
import { t } from '../words.ts'
import { Shown } from './states.tsx'

interface Props {
  scope: Scope
  tick: number
  tree: Tree
  transformed: boolean
}

/** From the server, whose tree was not pruned from the top; of a transformed tree its inversion. */
export function BottomUp({ scope, tick, tree, transformed }: Props) {
  const answer = useAnswer(transformed ? undefined : ask.flame(scope, 'bottomup'), stacksOf(scope), tick)
  const own = useMemo(() => (transformed ? invert(tree) : undefined), [tree, transformed])
  if (own) return <TreeRows tree={own} />
  return <Shown answer={answer}>{flame => <Parsed flame={flame} />}</Shown>
}

function Parsed({ flame }: { flame: Parameters<typeof parseTree>[0] }) {
  const tree = useMemo(() => parseTree(flame), [flame])
  return <TreeRows tree={tree} />
}

interface Line {
  box: number
  depth: number
  hasChildren: boolean
}

const SHOWN_MAX = 400

/** The rows that are open, in order; a single caller chain opens as a whole. */
function openLines(children: readonly Int32Array[], open: ReadonlySet<number>, path: Uint32Array): Line[] {
  const lines: Line[] = []
  const visit = (box: number, depth: number) => {
    for (const child of children[box] ?? []) {
      if (lines.length >= SHOWN_MAX) return
      lines.push({ box: child, depth, hasChildren: (children[child]?.length ?? 0) > 0 })
      if (open.has(path[child] ?? 0)) visit(child, depth + 1)
    }
  }
  visit(0, 0)
  return lines
}

function TreeRows({ tree }: { tree: Tree }) {
  useTheme()
  const boxes = useMemo(() => layoutFlame(tree), [tree])
  const children = useMemo(() => childrenOf(tree), [tree])
  const [open, setOpen] = useState<ReadonlySet<number>>(new Set())
  const list = useRef<HTMLDivElement>(null)
  const lines = openLines(children, open, boxes.path)
  const find = useStore(place).query.find ?? ''
  const matched = useMemo(() => matchStrings(tree.strings, find), [tree, find])
  const toggle = (box: number, on: boolean) => {
    const next = new Set(open)
    for (let b = box; ; b = children[b]?.[0] ?? 0) {
      if (on) next.add(boxes.path[b] ?? 0)
      else next.delete(boxes.path[b] ?? 0)
      if (children[b]?.length !== 1) break
    }
    setOpen(next)
  }
  const isOpen = (box: number) => open.has(boxes.path[box] ?? 0)
  return (
    <div class="scroll" ref={list} role="tree" aria-label={t('way.bottomup')}>
      <Head />
      {lines.map((line, i) => (
        <TreeRow
          key={boxes.path[line.box]}
          tree={tree}
          line={line}
          open={isOpen(line.box)}
          dimmed={matched !== undefined && (matched[tree.fn[line.box] ?? 0] ?? 0) === 0}
          toggle={on => toggle(line.box, on)}
          onKey={event => rowKeys(event, line, isOpen(line.box), toggle, list.current, i)}
        />
      ))}
      {lines.length >= SHOWN_MAX && (
        <p class="footer">{t('panel.cut', { shown: SHOWN_MAX, all: tree.parent.length })}</p>
      )}
    </div>
  )
}

const Head = () => (
  <div class="tree-row head" aria-hidden="true">
    <span class="num">{t('flame.share')}</span>
    <span class="num">CPU</span>
    <span class="num">{t('flame.samplesHead')}</span>
    <span />
    <span>{t('functions.name')}</span>
  </div>
)

interface RowProps {
  tree: Tree
  line: Line
  open: boolean
  dimmed: boolean
  toggle: (on: boolean) => void
  onKey: (event: KeyboardEvent) => void
}

function TreeRow({ tree, line, open, dimmed, toggle, onKey }: RowProps) {
  const { box, depth } = line
  const share = totalOf(tree, box) / totalOf(tree, 0)
  return (
    <div
      class="tree-row"
      role="treeitem"
      tabIndex={0}
      aria-level={depth + 1}
      aria-expanded={line.hasChildren ? open : undefined}
      style={{ opacity: dimmed ? 0.45 : 1 }}
      onClick={() => toggle(!open)}
      onDblClick={() => go(placeWith(place.get(), { stacks: 'sandwich', fn: functionName(tree, box) }))}
      onKeyDown={onKey}
    >
      <span class="num">{formatRatio(share)}</span>
      <span class="num soft">{formatSeconds(totalOf(tree, box))}</span>
      <span class="num dim">{Math.round(samplesOf(tree, box)).toLocaleString()}</span>
      <span class="meter">
        <i style={{ width: `${share * 100}%` }} />
      </span>
      <span class="cut" style={{ paddingLeft: `${depth * 14}px` }}>
        <span class="twist">{line.hasChildren ? (open ? '▾' : '▸') : ''}</span>
        <i class="dot" style={{ background: moduleColour(moduleName(tree, box), kindName(tree, box)) }} />{' '}
        {depth > 0 && <span class="dim">← </span>}
        {functionName(tree, box)} <span class="dim">{moduleName(tree, box)}</span>
      </span>
    </div>
  )
}

function rowKeys(
  event: KeyboardEvent,
  line: Line,
  open: boolean,
  toggle: (box: number, on: boolean) => void,
  list: HTMLElement | null,
  index: number,
): void {
  const rows = list?.querySelectorAll<HTMLElement>('.tree-row:not(.head)')
  if (event.key === 'ArrowDown') rows?.[index + 1]?.focus()
  else if (event.key === 'ArrowUp') rows?.[index - 1]?.focus()
  else if (event.key === 'ArrowRight' && line.hasChildren) toggle(line.box, true)
  else if (event.key === 'ArrowLeft' && open) toggle(line.box, false)
  else if (event.key === 'Enter' || event.key === ' ') toggle(line.box, !open)
  else return
  event.preventDefault()
  event.stopPropagation()
}
