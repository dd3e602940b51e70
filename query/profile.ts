/**
 * The samples of a target as one Profile, asked in one statement, so that what it holds is of one moment:
 *
 *   sums    stack_id -> ns, samples            the largest MAX_STACKS by name, the rest as one stack without frames: it keeps its time
 *   names   frame -> function, module, kind    only of frames that these stacks hold; position = number of the frame
 *   answer  one row a stack, its frames as numbers; in front one row with the names
 *
 * Frame ids are 64 bits; as numbers from 1 up the answer is a quarter as long and needs no lookup here.
 */
import { CATEGORIES, FRAME_KINDS } from '../ingest/records.ts'
import { type Asker, lists, numbers, strings } from './asker.ts'
import { samplesOf, type Target } from './scope.ts'
import { sql } from './sql.ts'
import { NOT_STORED, type Profile } from './stacks.ts'

/** Distinct stacks of one answer. A job on 1000 nodes for a day has some 10^5; what is beyond is small by construction. */
export const MAX_STACKS = 300_000

export async function readProfile(asker: Asker, target: Target, maxStacks = MAX_STACKS): Promise<Profile> {
  const where = samplesOf(target)
  const columns = await asker.columns(
    'stacks',
    sql`WITH
          (SELECT groupArray((frame_id, function_id, function, module, kind)) FROM frames WHERE frame_id IN (
            SELECT arrayJoin(frames) FROM stacks WHERE stack_id IN (SELECT stack_id FROM samples WHERE ${where}))) AS known,
          arrayMap(frame -> frame.1, known) AS ids,
          arrayEnumerate(ids) AS numbers
        SELECT toFloat64(ns) AS ns, toFloat64(samples) AS samples, category,
          if(empty(ids), arrayMap(frame -> 0, frames), arrayMap(frame -> transform(frame, ids, numbers, 0), frames)) AS stack, [] AS names
        FROM (
          SELECT if(rank <= ${maxStacks}, stack_id, 0) AS stack_id, sum(value) AS ns, sum(behind) AS samples
          FROM (SELECT stack_id, sum(value) AS value, sum(count) AS behind, row_number() OVER (ORDER BY value DESC, stack_id) AS rank
                FROM samples WHERE ${where} GROUP BY stack_id)
          GROUP BY stack_id
        ) AS sums
        LEFT ANY JOIN (SELECT stack_id, category, frames FROM stacks WHERE stack_id IN (SELECT stack_id FROM samples WHERE ${where})) AS bodies
          ON sums.stack_id = bodies.stack_id
        UNION ALL
        SELECT 0, 0, '', [], arrayMap(frame -> (toString(frame.2), frame.3, toString(frame.4), toString(frame.5)), known)`,
  )
  return parseProfile(columns)
}

/** Columns ns, samples, category, stack, names -> a Profile. Frames of one function in other lines become that function. */
export function parseProfile(columns: unknown[][]): Profile {
  const stacks = lists(columns[3])
  const names = lists(columns[4])
  const front = names.findIndex(row => row.length > 0)
  const { functionOf, ...functions } = parseNames(names[front] ?? [])
  // The row in front has no samples; it may come last.
  const counts = numbers(columns[1])
  const rows = counts.flatMap((count, row) => (count > 0 ? [row] : []))
  const ns = numbers(columns[0])
  const categories = strings(columns[2])
  const offsets = new Uint32Array(rows.length + 1)
  rows.forEach((row, s) => {
    offsets[s + 1] = (offsets[s] ?? 0) + (stacks[row]?.length ?? 0)
  })
  const frames = new Uint32Array(offsets[rows.length] ?? 0)
  rows.forEach((row, s) => {
    const stack = stacks[row] ?? []
    for (let i = 0; i < stack.length; i++) frames[(offsets[s] ?? 0) + i] = functionOf[Number(stack[i])] ?? 0
  })
  return {
    ...functions,
    offsets,
    frames,
    categories: Uint8Array.from(rows, row => Math.max(0, CATEGORY.get(categories[row] ?? '') ?? UNKNOWN)),
    ns: Float64Array.from(rows, row => ns[row] ?? 0),
    counts: Float64Array.from(rows, row => counts[row] ?? 0),
  }
}

const CATEGORY = new Map<string, number>(CATEGORIES.map((category, i) => [category, i]))
const UNKNOWN = CATEGORIES.indexOf('unknown')
const KIND = new Map<string, number>(FRAME_KINDS.map((kind, i) => [kind, i]))

/** Frames as (function_id, function, module, kind) -> functions, each once, and the function of frame 1, 2, … */
function parseNames(frames: unknown[]) {
  const names = [NOT_STORED]
  const modules = ['']
  const kinds = [FRAME_KINDS.indexOf('other')]
  const byId = new Map<string, number>()
  const functionOf = new Uint32Array(frames.length + 1)
  frames.forEach((frame, i) => {
    const [id = '', name = '', module = '', kind = ''] = strings(Array.isArray(frame) ? frame : [])
    let f = byId.get(id)
    if (f === undefined) {
      f = names.length
      byId.set(id, f)
      names.push(kind === 'truncated' ? '[truncated]' : name)
      modules.push(module)
      kinds.push(KIND.get(kind) ?? FRAME_KINDS.indexOf('other'))
    }
    functionOf[i + 1] = f
  })
  return { names, modules, kinds: Uint8Array.from(kinds), functionOf }
}
