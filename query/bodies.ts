/**
 * Stacks and functions by id, in memory. A stack's id is a hash of its frames, so what it is never changes: once read it needs no question
 * again, whichever job, node or window meets it next. Function numbers are this book's own, 0 for what is not in the store.
 */
import { CATEGORIES, FRAME_KINDS } from '../ingest/records.ts'
import { type Asker, lists, strings } from './asker.ts'
import { sql } from './sql.ts'
import { NOT_STORED } from './stacks.ts'

export interface Body {
  /** Index into CATEGORIES. */
  category: number
  /** Leaf first; numbers of functions. */
  functions: Uint32Array
}

export interface FunctionName {
  function: string
  module: string
  kind: string
}

export interface Bodies {
  readonly names: readonly string[]
  readonly modules: readonly string[]
  /** Index into FRAME_KINDS. */
  readonly kinds: readonly number[]
  find(stackId: string): Body | undefined
  /** Functions by their ids; one that is not in the store is called so. */
  functions(asker: Asker, functionIds: readonly string[]): Promise<Map<string, FunctionName>>
  /** Asks for those that are not known yet. */
  learn(asker: Asker, stackIds: readonly string[]): Promise<void>
}

const CATEGORY = new Map<string, number>(CATEGORIES.map((category, i) => [category, i]))
export const UNKNOWN = CATEGORIES.indexOf('unknown')
const KIND = new Map<string, number>(FRAME_KINDS.map((kind, i) => [kind, i]))
const OTHER = FRAME_KINDS.indexOf('other')

/** Ids in one question; as text in an address they stay below what a server takes. */
const AT_ONCE = 20_000

/** Forgets all when it holds more than `maxBytes`: it fills again with what is asked for then. */
export function openBodies(maxBytes: number): () => Bodies {
  let book = new Book()
  return () => {
    if (book.bytes > maxBytes) book = new Book()
    return book
  }
}

class Book implements Bodies {
  readonly names = [NOT_STORED]
  readonly modules = ['']
  readonly kinds = [OTHER]
  bytes = 0
  readonly #stacks = new Map<string, Body>()
  readonly #functions = new Map<string, number>()

  find(stackId: string): Body | undefined {
    return this.#stacks.get(stackId)
  }

  async learn(asker: Asker, stackIds: readonly string[]): Promise<void> {
    const unknown = stackIds.filter(id => !this.#stacks.has(id)).map(BigInt)
    for (let first = 0; first < unknown.length; first += AT_ONCE) {
      const ids = unknown.slice(first, first + AT_ONCE)
      // The ids are hashes that only the samples tell, and those were the reader's.
      const columns = await asker.unlimited().columns('stacks', bodiesOf(ids))
      this.#add(columns)
    }
  }

  async functions(asker: Asker, functionIds: readonly string[]): Promise<Map<string, FunctionName>> {
    const unknown = [...new Set(functionIds)].filter(id => !this.#functions.has(id)).map(BigInt)
    for (let first = 0; first < unknown.length; first += AT_ONCE) {
      const [ids, names, modules, kinds] = await asker
        .unlimited()
        .columns('functions', functionsOf(unknown.slice(first, first + AT_ONCE)))
      ids?.forEach((id, i) => {
        this.#function([id, names?.[i], modules?.[i], kinds?.[i]])
      })
    }
    return new Map(functionIds.map(id => [id, this.#nameOf(this.#functions.get(id) ?? 0)]))
  }

  #nameOf(f: number): FunctionName {
    return {
      function: this.names[f] ?? '',
      module: this.modules[f] ?? '',
      kind: FRAME_KINDS[this.kinds[f] ?? OTHER] ?? 'other',
    }
  }

  /** Columns stack_id, category, frames as numbers, and in one row in front the names of these numbers from 1 up. */
  #add([ids, categories, stacks, names]: unknown[][]): void {
    const known = lists(names)
    const functionOf = (known.find(row => row.length > 0) ?? []).map(frame => this.#function(frame))
    const all = lists(stacks)
    const category = strings(categories)
    strings(ids).forEach((id, row) => {
      if (id === '0' || this.#stacks.has(id)) return
      const functions = Uint32Array.from(all[row] ?? [], number => functionOf[Number(number) - 1] ?? 0)
      this.#stacks.set(id, { category: CATEGORY.get(category[row] ?? '') ?? UNKNOWN, functions })
      this.bytes += 200 + functions.byteLength
    })
  }

  #function(frame: unknown): number {
    const [id = '', name = '', module = '', kind = ''] = strings(Array.isArray(frame) ? frame : [])
    const known = this.#functions.get(id)
    if (known !== undefined) return known
    const made = this.names.length
    this.#functions.set(id, made)
    this.names.push(kind === 'truncated' ? '[truncated]' : name)
    this.modules.push(module)
    this.kinds.push(KIND.get(kind) ?? OTHER)
    this.bytes += 200 + 2 * (name.length + module.length)
    return made
  }
}

/** Frame ids are 64 bits; as numbers into the list of names the answer is a quarter as long. */
const bodiesOf = (ids: readonly bigint[]) => sql`
  WITH
    (SELECT groupArray((frame_id, function_id, function, module, kind)) FROM frames WHERE frame_id IN (
      SELECT arrayJoin(frames) FROM stacks WHERE stack_id IN ${ids})) AS known,
    arrayMap(frame -> frame.1, known) AS ids,
    arrayEnumerate(ids) AS numbers
  SELECT toString(stack_id) AS id, toString(category) AS category,
    if(empty(ids), arrayMap(frame -> 0, frames), arrayMap(frame -> transform(frame, ids, numbers, 0), frames)) AS stack, [] AS names
  FROM stacks WHERE stack_id IN ${ids}
  UNION ALL
  SELECT '0', '', [], arrayMap(frame -> (toString(frame.2), frame.3, toString(frame.4), toString(frame.5)), known)`

const functionsOf = (ids: readonly bigint[]) => sql`
  SELECT toString(function_id) AS id, any(f.function), toString(any(f.module)), toString(any(f.kind))
  FROM frames AS f WHERE function_id IN ${ids} GROUP BY function_id`
