/** A promise that is settled from outside. */
export interface Latch {
  readonly done: Promise<void>
  resolve(): void
  reject(error: unknown): void
}

export function openLatch(): Latch {
  let resolve: () => void = () => {}
  let reject: (error: unknown) => void = () => {}
  const done = new Promise<void>((ok, no) => {
    resolve = ok
    reject = no
  })
  return { done, resolve, reject }
}
