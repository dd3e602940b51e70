/** Runs at most `width` tasks at a time, first come first served; a task whose reader left is never started. */
import { StoreError } from './errors.ts'

export interface Lane {
  run<T>(task: () => Promise<T>, signal?: AbortSignal): Promise<T>
  /** No new tasks; resolves when the last has ended. */
  close(): Promise<void>
  readonly waiting: number
}

interface Waiting {
  start: () => void
  refuse: (error: StoreError) => void
}

export function openLane(width: number): Lane {
  const queue: Waiting[] = []
  let running = 0
  let closed = false
  let drained: (() => void) | undefined

  const next = (): void => {
    if (running < width) queue.shift()?.start()
    if (running === 0 && queue.length === 0) drained?.()
  }
  const turn = (signal?: AbortSignal): Promise<void> =>
    new Promise((resolve, reject) => {
      const waiting: Waiting = {
        start: () => {
          signal?.removeEventListener('abort', leave)
          running++
          resolve()
        },
        refuse: reject,
      }
      const leave = (): void => {
        const at = queue.indexOf(waiting)
        if (at >= 0) queue.splice(at, 1)
        reject(new StoreError('aborted', 'the reader left before the query started'))
      }
      if (signal?.aborted) return leave()
      signal?.addEventListener('abort', leave, { once: true })
      queue.push(waiting)
      next()
    })

  return {
    get waiting() {
      return queue.length
    },
    async run(task, signal) {
      if (closed) throw new StoreError('closed', 'the store is closed')
      await turn(signal)
      try {
        return await task()
      } finally {
        running--
        next()
      }
    },
    close() {
      closed = true
      if (running === 0 && queue.length === 0) return Promise.resolve()
      return new Promise(resolve => {
        drained = resolve
      })
    },
  }
}
