/**
 * What is told to the database once (bodies of stacks, labels of series) may still be on its way when another request
 * already counts on it. That request is acknowledged only with it, else a crash in between would leave ids without meaning.
 */
export class Telling {
  readonly #underWay = new Set<Promise<void>>()

  /** `failed` forgets what was counted as told. */
  begin(told: Promise<void>, failed: () => void): void {
    this.#underWay.add(told)
    told.then(
      () => this.#underWay.delete(told),
      () => {
        this.#underWay.delete(told)
        failed()
      },
    )
  }

  /** All that is under way now. */
  get underWay(): readonly Promise<void>[] {
    return [...this.#underWay]
  }
}
