/**
 * Which batches the store has, so that one that is sent again (its receipt got lost) is stored once. A sender numbers its
 * batches upwards; they may arrive in another order, so the newest numbers of each sender are kept, not only the highest.
 */

/** How a sender names a batch, in the header `idempotency-key: <sender>-<number>`. */
export interface Batch {
  sender: string
  number: number
}

/** Batches of one sender that may lie between a batch and its second arrival. */
const KEPT = 64
const MOST_SENDERS = 100_000

/** undefined where the header is absent or nothing that a sender of ours writes: such a batch is taken each time it comes. */
export function parseBatch(header: string | undefined): Batch | undefined {
  const found = /^([\w-]{8,64})-(\d{1,16})$/.exec(header ?? '')
  return found === null ? undefined : { sender: found[1] ?? '', number: Number(found[2]) }
}

export const batchKey = ({ sender, number }: Batch): string => `${sender}-${number}`

export class KnownBatches {
  /** Numbers of each sender, oldest first; the sender heard of last is the last. */
  readonly #numbers = new Map<string, number[]>()

  has({ sender, number }: Batch): boolean {
    return this.#numbers.get(sender)?.includes(number) ?? false
  }

  add({ sender, number }: Batch): void {
    const numbers = this.#numbers.get(sender) ?? []
    this.#numbers.delete(sender)
    this.#numbers.set(sender, numbers)
    if (!numbers.includes(number)) numbers.push(number)
    if (numbers.length > KEPT) numbers.shift()
    if (this.#numbers.size <= MOST_SENDERS) return
    const [oldest] = this.#numbers.keys()
    if (oldest !== undefined) this.#numbers.delete(oldest)
  }

  /** [sender, number, number …] of each, in the order in which they were heard of. */
  toJSON(): [string, ...number[]][] {
    return [...this.#numbers].map(([sender, numbers]) => [sender, ...numbers])
  }

  restore(all: readonly [string, ...number[]][]): void {
    for (const [sender, ...numbers] of all) for (const number of numbers) this.add({ sender, number })
  }
}
