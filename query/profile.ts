/** The samples of a target as one Profile: their sums by stack from the store, what the stacks are from memory. */
import { type Asker, numbers, strings } from './asker.ts'
import { type Bodies, type Body, UNKNOWN } from './bodies.ts'
import { samplesOf, type Target } from './scope.ts'
import { sql } from './sql.ts'
import type { Profile } from './stacks.ts'

/** Distinct stacks of one answer. A job on 1000 nodes for a day has some 10^5; what is beyond is small by construction. */
const MAX_STACKS = 300_000

const NONE: Body = { category: UNKNOWN, functions: new Uint32Array(0) }

export async function readProfile(
  asker: Asker,
  bodies: Bodies,
  target: Target,
  maxStacks = MAX_STACKS,
): Promise<Profile> {
  // The largest by name, the rest as stack 0, which is nobody's: it keeps their time.
  const [ids, ns, counts] = await asker.columns(
    'samples',
    sql`SELECT toString(if(place <= ${maxStacks}, stack_id, 0)) AS id, toFloat64(sum(value)) AS ns, toFloat64(sum(behind)) AS samples
        FROM (SELECT stack_id, sum(value) AS value, sum(sample_count) AS behind, row_number() OVER (ORDER BY value DESC, stack_id) AS place
              FROM samples WHERE ${samplesOf(target)} GROUP BY stack_id)
        GROUP BY id`,
  )
  const stacks = strings(ids)
  await bodies.learn(asker, stacks)
  return assemble(bodies, stacks, numbers(ns), numbers(counts))
}

/** Functions are numbered anew, in order of first sight, so that the profile is no larger than what is in it. */
function assemble(bodies: Bodies, ids: readonly string[], ns: readonly number[], counts: readonly number[]): Profile {
  const found = ids.map(id => bodies.find(id) ?? NONE)
  const offsets = new Uint32Array(found.length + 1)
  found.forEach((body, s) => {
    offsets[s + 1] = (offsets[s] ?? 0) + body.functions.length
  })
  const frames = new Uint32Array(offsets[found.length] ?? 0)
  const numberOf = new Uint32Array(bodies.names.length)
  const used = [0]
  found.forEach((body, s) => {
    const first = offsets[s] ?? 0
    for (let i = 0; i < body.functions.length; i++) {
      const f = body.functions[i] ?? 0
      if (f !== 0 && numberOf[f] === 0) {
        numberOf[f] = used.length
        used.push(f)
      }
      frames[first + i] = numberOf[f] ?? 0
    }
  })
  return {
    names: used.map(f => bodies.names[f] ?? ''),
    modules: used.map(f => bodies.modules[f] ?? ''),
    kinds: Uint8Array.from(used, f => bodies.kinds[f] ?? 0),
    offsets,
    frames,
    categories: Uint8Array.from(found, body => body.category),
    ns: Float64Array.from(ns),
    counts: Float64Array.from(counts),
  }
}
