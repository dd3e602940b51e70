/**
 * Frames and stacks that the database knows. A stack's body is sent once; after that a sample only names its id.
 *
 *   frame   function module file line kind   -> number here, 64-bit id in the database
 *   stack   frame numbers, category          -> entry here, 64-bit id in the database
 *
 * Bounded: above `most` stacks everything is forgotten and sent again as it comes, which the tables do not mind. Told
 * again after a month too, since their retention counts from when they were last seen.
 */
import { idOf } from './hash.ts'
import type { Category, Frame, FrameKind } from './records.ts'

export interface KnownFrame extends Frame {
  id: bigint
  functionId: bigint
  /** Number of (function, module): lines of one function share it. */
  functionNumber: number
  toldDay: number
}

export interface KnownStack {
  id: bigint
  /** Numbers of frames, leaf first. */
  frames: Uint32Array
  category: Category
  /** The distinct functions, the leaf's first: recursion counts once. Their ids, and their numbers here. */
  functions: readonly bigint[]
  functionNumbers: Uint32Array
  toldDay: number
}

const TELL_AGAIN_DAYS = 30
const DEEPEST = 2048
const MOST_OF_A_NAME = 16

export class StackBook {
  forgotten = 0
  readonly #most: number
  #frames: KnownFrame[] = []
  #byName = new Map<string, number[]>()
  #byKey = new Map<string, number>()
  #functions = new Map<string, { id: bigint; number: number }>()
  #stacks = new Map<number, KnownStack[]>()
  #size = 0
  /** Numbers of frames are good within one generation only. */
  generation = 0

  constructor(most: number) {
    this.#most = most
  }

  get size(): number {
    return this.#size
  }

  /** Between requests, so that a request's numbers stay good. */
  trim(): void {
    if (this.#size > this.#most || this.#frames.length > 4 * this.#most) this.forget()
  }

  forget(): void {
    this.forgotten += this.#size
    this.generation++
    this.#frames = []
    this.#byName = new Map()
    this.#byKey = new Map()
    this.#functions = new Map()
    this.#stacks = new Map()
    this.#size = 0
  }

  frame(number: number): KnownFrame {
    const frame = this.#frames[number]
    if (frame === undefined) throw new RangeError(`no frame ${number}`)
    return frame
  }

  frameNumber(name: string, module: string, file: string, line: number, kind: FrameKind): number {
    const named = this.#byName.get(name)
    // Most names have few frames: looking through them is cheaper than making a key.
    for (const number of named ?? []) {
      const f = this.#frames[number]
      if (f?.line === line && f.module === module && f.file === file && f.kind === kind) return number
    }
    if (named !== undefined && named.length >= MOST_OF_A_NAME) return this.#oneOfMany(name, module, file, line, kind)
    const number = this.#addFrame(name, module, file, line, kind)
    if (named === undefined) this.#byName.set(name, [number])
    else named.push(number)
    return number
  }

  /** A name with many lines or modules. */
  #oneOfMany(name: string, module: string, file: string, line: number, kind: FrameKind): number {
    const key = `${name}\0${module}\0${file}\0${line}\0${kind}`
    const known = this.#byKey.get(key)
    if (known !== undefined) return known
    const number = this.#addFrame(name, module, file, line, kind)
    this.#byKey.set(key, number)
    return number
  }

  #addFrame(name: string, module: string, file: string, line: number, kind: FrameKind): number {
    const functionKey = `${name}\0${module}`
    let fn = this.#functions.get(functionKey)
    if (fn === undefined) {
      fn = { id: idOf('function', name, module), number: this.#functions.size }
      this.#functions.set(functionKey, fn)
    }
    const id = idOf('frame', name, module, file, String(line), kind)
    const frame = { function: name, module, file, line, kind, id, functionId: fn.id, functionNumber: fn.number }
    return this.#frames.push({ ...frame, toldDay: -TELL_AGAIN_DAYS }) - 1
  }

  /** A stack deeper than 2048 frames loses its root end, and says so. */
  stack(given: readonly number[], category: Category): KnownStack {
    let frames = given
    if (given.length > DEEPEST) {
      frames = [...given.slice(0, DEEPEST), this.frameNumber('[truncated]', '', '', 0, 'truncated')]
    }
    const hash = hashOf(frames, category)
    const known = this.#stacks.get(hash)
    for (const stack of known ?? []) {
      if (stack.category === category && sameFrames(stack.frames, frames)) return stack
    }
    const stack = this.#make(frames, category)
    if (known === undefined) this.#stacks.set(hash, [stack])
    else known.push(stack)
    this.#size++
    return stack
  }

  /** True where the database has to be told (again); from then on it counts as told. */
  tell(known: { toldDay: number }, day: number): boolean {
    if (day - known.toldDay < TELL_AGAIN_DAYS) return false
    known.toldDay = day
    return true
  }

  #make(frames: readonly number[], category: Category): KnownStack {
    const id = idOf('stack', category, ...frames.map(f => this.frame(f).id))
    const functions = new Map<number, bigint>()
    for (const number of frames) {
      const { functionNumber, functionId } = this.frame(number)
      if (!functions.has(functionNumber)) functions.set(functionNumber, functionId)
    }
    const toldDay = -TELL_AGAIN_DAYS
    return {
      id,
      frames: Uint32Array.from(frames),
      category,
      functions: [...functions.values()],
      functionNumbers: Uint32Array.from(functions.keys()),
      toldDay,
    }
  }
}

function hashOf(frames: readonly number[], category: Category): number {
  let hash = category.charCodeAt(0) * 31 + category.length
  for (const frame of frames) hash = Math.imul(hash ^ frame, 0x01000193)
  return hash ^ (hash >>> 15)
}

function sameFrames(kept: Uint32Array, frames: readonly number[]): boolean {
  if (kept.length !== frames.length) return false
  for (let i = 0; i < kept.length; i++) if (kept[i] !== frames[i]) return false
  return true
}
