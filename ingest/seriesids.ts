/** Ids of series already told to the database; told again each day, since `seen` is what their retention counts from. */
import type { SeriesValue } from './gather.ts'
import { idOf } from './hash.ts'

interface Known {
  id: bigint
  day: number
}

export class SeriesIds {
  readonly #most: number
  #young = new Map<string, Known>()
  #old = new Map<string, Known>()

  constructor(most: number) {
    this.#most = Math.max(1, Math.floor(most / 2))
  }

  /** `fresh`: its row in table series has to be written too. */
  find(s: SeriesValue, nowMs: number): { id: bigint; fresh: boolean } {
    const key = `${s.origin.key}\0\0${s.name}\0${s.unit}\0${s.kind}\0\0${s.origin.labelsKey}\0\0${s.key}`
    const day = Math.floor(nowMs / 86_400_000)
    const known = this.#young.get(key) ?? this.#old.get(key)
    if (known !== undefined) {
      const fresh = known.day !== day
      known.day = day
      this.#keep(key, known)
      return { id: known.id, fresh }
    }
    const { cluster, node } = s.origin
    const id = idOf(cluster, node, s.name, s.unit, s.kind, s.origin.labelsKey, s.key)
    this.#keep(key, { id, day })
    return { id, fresh: true }
  }

  /** The database did not take it after all. */
  forget(): void {
    this.#young.clear()
    this.#old.clear()
  }

  #keep(key: string, known: Known): void {
    this.#young.set(key, known)
    if (this.#young.size < this.#most) return
    this.#old = this.#young
    this.#young = new Map()
  }
}
