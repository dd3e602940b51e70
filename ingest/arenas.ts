/**
 * Arrays for the values of requests that are under way. A Float64Array is slow to make, and one made for each request is garbage
 * that has to be copied while the journal is waited for; these are used again.
 */
const FIRST = 512
/** Larger ones are made for whoever needs them. */
const LARGEST = 16_384
const MOST = 1024

export class Arenas {
  readonly #spare: Float64Array[] = []

  take(): Float64Array {
    return this.#spare.pop() ?? new Float64Array(FIRST)
  }

  /** Nobody looks at it any more. */
  giveBack(arena: Float64Array): void {
    if (arena.length <= LARGEST && this.#spare.length < MOST) this.#spare.push(arena)
  }
}
