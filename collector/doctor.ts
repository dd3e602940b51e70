/**
 * What a collector can read on this machine, as a table for a person at a terminal:
 *
 *   SOURCE              STATE     WHAT IT HAS, OR WHY NOT AND WHAT TO DO
 *   cpu                 works
 *   bandwidth           absent    not mounted: mount -t resctrl resctrl /sys/fs/resctrl
 *
 * What fails comes first, then what is absent, then what works: the first lines are those that want something.
 */
import type { CollectorStatus } from './index.ts'

interface Row {
  name: string
  state: string
  words: string
}

const ORDER = ['failing', 'absent', 'works']
const HEAD: Row = { name: 'SOURCE', state: 'STATE', words: 'WHAT IT HAS, OR WHY NOT AND WHAT TO DO' }
const SPACE = 2
/** Narrower, and words stand one below the other. */
const LEAST_WORDS = 24

type Told = Pick<CollectorStatus, 'node' | 'cluster' | 'processes' | 'sources' | 'sampling' | 'scheduler'>

function rowsOf({ sources, sampling, scheduler }: Told): Row[] {
  const rows = sources.map(({ name, state, why, errors }) => ({
    name,
    state,
    words: state === 'failing' ? `${why ?? ''} (${errors} times so far)` : (why ?? ''),
  }))
  const stacks = rows.find(({ name, state }) => name === 'stacks' && state === 'works')
  if (stacks) stacks.words = sampling.join('; ')
  return [...rows, schedulerRow(scheduler)].sort((a, b) => ORDER.indexOf(a.state) - ORDER.indexOf(b.state))
}

function schedulerRow(scheduler: CollectorStatus['scheduler']): Row {
  const name = 'scheduler'
  if ('absent' in scheduler) return { name, state: 'absent', words: scheduler.absent }
  const { kind, version, jobs, unreadable, heldBy } = scheduler
  if (heldBy !== undefined)
    return { name, state: 'absent', words: `${heldBy}; this one takes over when it falls silent` }
  return unreadable === undefined
    ? { name, state: 'works', words: `${kind} ${version}, ${jobs} jobs` }
    : { name, state: 'failing', words: unreadable }
}

/** Lines of at most `width`, broken between words; one word that is longer stays whole, so that it can be copied. */
function wrapped(words: string, width: number): string[] {
  const lines: string[] = []
  let line = ''
  for (const word of words.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line)
      line = word
    } else line = line === '' ? word : `${line} ${word}`
  }
  return [...lines, line]
}

/** `width`: columns of the terminal. */
export function layoutDoctor(status: Told, width: number): string[] {
  const rows = rowsOf(status)
  const widest = (of: (row: Row) => string) => Math.max(...[HEAD, ...rows].map(row => of(row).length)) + SPACE
  const [nameWidth, stateWidth] = [widest(row => row.name), widest(row => row.state)]
  const room = Math.max(LEAST_WORDS, width - nameWidth - stateWidth)
  const lineOf = ({ name, state, words }: Row) =>
    wrapped(words, room).map((line, i) =>
      `${(i === 0 ? name : '').padEnd(nameWidth)}${(i === 0 ? state : '').padEnd(stateWidth)}${line}`.trimEnd(),
    )
  const count = (state: string) => rows.filter(row => row.state === state).length
  const { node, cluster, processes } = status
  return [
    `node ${node}, cluster ${cluster ?? 'of the receiver'}, ${processes} processes`,
    '',
    ...[HEAD, ...rows].flatMap(lineOf),
    '',
    `${count('works')} work, ${count('absent')} are absent, ${count('failing')} fail`,
  ]
}
