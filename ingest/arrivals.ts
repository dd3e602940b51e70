/** A batch that arrives again, while its first arrival is under way or after it, is acknowledged and not stored again. */
import { batchKey, KnownBatches } from './batches.ts'
import type { Take } from './http.ts'
import type { Receipt } from './index.ts'

export class Arrivals {
  duplicates = 0
  readonly #take: Take
  readonly #known: KnownBatches
  readonly #underWay = new Map<string, Promise<Receipt>>()

  /** `known`: of a journal, which adds what it has itself. */
  constructor(take: Take, known: KnownBatches = new KnownBatches()) {
    this.#take = take
    this.#known = known
  }

  take: Take = (door, body, type, encoding, batch) => {
    if (batch === undefined) return this.#take(door, body, type, encoding)
    if (this.#known.has(batch)) return this.#again(STORED)
    const key = batchKey(batch)
    const first = this.#underWay.get(key)
    if (first !== undefined) return this.#again(first)
    const taken = this.#first(door, body, type, encoding, batch).finally(() => this.#underWay.delete(key))
    this.#underWay.set(key, taken)
    return taken
  }

  #again(receipt: Promise<Receipt>): Promise<Receipt> {
    this.duplicates++
    return receipt
  }

  async #first(...[door, body, type, encoding, batch]: Required<Parameters<Take>>): Promise<Receipt> {
    const receipt = await this.#take(door, body, type, encoding, batch)
    if (receipt.status === 200) this.#known.add(batch)
    return receipt
  }
}

const STORED = Promise.resolve<Receipt>({ status: 200, rejected: 0 })
