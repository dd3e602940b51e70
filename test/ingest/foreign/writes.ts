/** Bodies of Prometheus remote write from plain objects, by the field numbers of prompb. */
import { PbfWriter } from 'pbf'
import { compress } from 'snappyjs'

export interface Series {
  labels: Record<string, string>
  samples: [timeMs: number, value: number][]
  histograms?: number
}

const writeSamples = (samples: Series['samples'], to: PbfWriter): void => {
  for (const sample of samples) {
    to.writeMessage(
      2,
      ([timeMs, value]: [number, number], w: PbfWriter) => {
        w.writeDoubleField(1, value)
        w.writeVarintField(2, timeMs)
      },
      sample,
    )
  }
}

export function remoteWrite1(series: readonly Series[]): Uint8Array {
  const writer = new PbfWriter()
  for (const one of series) {
    writer.writeMessage(
      1,
      ({ labels, samples, histograms = 0 }: Series, to: PbfWriter) => {
        for (const pair of Object.entries(labels)) {
          to.writeMessage(
            1,
            ([name, value]: [string, string], w: PbfWriter) => {
              w.writeStringField(1, name)
              w.writeStringField(2, value)
            },
            pair,
          )
        }
        writeSamples(samples, to)
        for (let i = 0; i < histograms; i++)
          to.writeMessage(4, (_: null, w: PbfWriter) => w.writeVarintField(1, 5), null)
      },
      one,
    )
  }
  return compress(writer.finish().slice())
}

export function remoteWrite2(series: readonly Series[]): Uint8Array {
  const symbols = ['']
  const symbol = (text: string): number => {
    const known = symbols.indexOf(text)
    return known >= 0 ? known : symbols.push(text) - 1
  }
  for (const { labels } of series) for (const pair of Object.entries(labels)) pair.forEach(symbol)
  const writer = new PbfWriter()
  for (const text of symbols) writer.writeStringField(4, text)
  for (const one of series) {
    writer.writeMessage(
      5,
      ({ labels, samples }: Series, to: PbfWriter) => {
        to.writePackedVarint(1, Object.entries(labels).flat().map(symbol))
        writeSamples(samples, to)
      },
      one,
    )
  }
  return compress(writer.finish().slice())
}
