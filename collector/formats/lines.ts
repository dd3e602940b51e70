/** Cuts a stream of bytes into lines. A line is bounded: what is longer than LINE_LIMIT is cut, so that no file fills the memory. */
import { StringDecoder } from 'node:string_decoder'

const LINE_LIMIT = 64 << 10

export class LineSplitter {
  private readonly decoder = new StringDecoder('utf8')
  private rest = ''

  /** The lines that this chunk ended, without \n or \r\n. */
  push(chunk: Uint8Array): string[] {
    return this.split(this.decoder.write(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)))
  }

  end(): string[] {
    const lines = this.split(this.decoder.end())
    const last = this.rest
    this.rest = ''
    return last === '' ? lines : [...lines, last]
  }

  private split(text: string): string[] {
    const lines = (this.rest + text).split('\n')
    this.rest = (lines.pop() ?? '').slice(0, LINE_LIMIT)
    return lines.map(line => (line.endsWith('\r') ? line.slice(0, -1) : line))
  }
}

/** The lines of each chunk. */
export async function* readLines(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<string[]> {
  const splitter = new LineSplitter()
  for await (const chunk of chunks) yield splitter.push(chunk)
  yield splitter.end()
}
