/** Reads what was appended to a file since the last time: accounting files grow by a line a job, to gigabytes. */
import { open } from 'node:fs/promises'

const BLOCK = 1 << 20

/** Of a file that is there already, not more than its end is read: a day of the largest sites. */
const FIRST_BYTES = 256 << 20

export class Tail {
  readonly path: string
  #offset = 0
  #inode: number | undefined

  constructor(path: string) {
    this.path = path
  }

  /** Whole lines only; the rest waits for its end. A file that was replaced or cut is read from its start. */
  async *lines(): AsyncGenerator<string> {
    const file = await open(this.path, 'r')
    try {
      const { ino, size } = await file.stat()
      if (this.#inode === undefined) this.#offset = Math.max(0, size - FIRST_BYTES)
      else if (ino !== this.#inode || size < this.#offset) this.#offset = 0
      this.#inode = ino
      let rest = Buffer.alloc(0)
      for (;;) {
        const { bytesRead, buffer } = await file.read(Buffer.alloc(BLOCK), 0, BLOCK, this.#offset + rest.length)
        if (bytesRead === 0) return
        const block = Buffer.concat([rest, buffer.subarray(0, bytesRead)])
        const end = block.lastIndexOf(10) + 1
        rest = block.subarray(end)
        if (end === 0) continue
        this.#offset += end
        yield* block.toString('utf8', 0, end - 1).split('\n')
      }
    } finally {
      await file.close()
    }
  }
}
