/// <reference path="./snappyjs.d.ts" />
/**
 * Prometheus remote write, 1.0 and 2.0: a protobuf in snappy's block format.
 *
 *   1.0  request 1 timeseries, 3 metadata · series 1 labels (1 name, 2 value), 2 samples, 4 histograms
 *   2.0  request 4 symbols, 5 timeseries  · series 1 labels as pairs of symbols, 2 samples, 3 histograms
 *        sample  1 value, 2 milliseconds
 *
 * https://prometheus.io/docs/specs/prw/remote_write_spec/ and …/remote_write_spec_2_0/
 */
import { uncompress } from 'snappyjs'
import { BodyError } from '../errors.ts'
import { copyBytes, hashBytes, sameBytes } from '../otlp/intern.ts'
import type { Reader } from '../otlp/reader.ts'

export type Version = '1.0' | '2.0'

/** Called once a series: its labels, then its samples. What `labels` gives is good for this call only. */
export interface SeriesSink<T> {
  meaningOf(labels: ReadonlyMap<string, string>): T
  add(meaning: T, timeMs: number, value: number): void
  refuse(reason: string, points: number): void
}

/** Throws BodyError: 413 above `most` bytes, 400 for what is not snappy. */
export function unsnap(body: Uint8Array, most: number): Uint8Array {
  try {
    return uncompress(body, most)
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    if (/too big/.test(why)) {
      throw new BodyError('too_large', `the body is larger than ${most} bytes: send fewer samples a request`)
    }
    throw new BodyError('malformed', `not snappy's block format: ${why}`)
  }
}

/** What the bytes of labels were found to mean. Bounded: when full it begins anew. */
export class KnownLabels<T> {
  readonly #most: number
  readonly #byHash = new Map<number, { bytes: Uint8Array; meaning: T }>()

  constructor(most: number) {
    this.#most = most
  }

  find(bytes: Uint8Array, start: number, end: number): T | undefined {
    const known = this.#byHash.get(hashBytes(bytes, start, end))
    return known !== undefined && sameBytes(known.bytes, bytes, start, end) ? known.meaning : undefined
  }

  keep(bytes: Uint8Array, start: number, end: number, meaning: T): void {
    if (this.#byHash.size >= this.#most) this.#byHash.clear()
    this.#byHash.set(hashBytes(bytes, start, end), { bytes: copyBytes(bytes, start, end), meaning })
  }
}

export function decodeRemoteWrite<T>(
  reader: Reader,
  version: Version,
  known: KnownLabels<T>,
  sink: SeriesSink<T>,
): void {
  const symbols: string[] = []
  const series: number[] = []
  const wanted = version === '1.0' ? 1 : 5
  for (let field = reader.nextField(); field !== 0; field = reader.nextField()) {
    if (field === wanted) series.push(reader.mark('timeseries'))
    else if (field === 4 && version === '2.0') symbols.push(reader.text())
  }
  reader.finish()
  const labels = version === '1.0' ? pairsOf : symbolsOf(symbols)
  for (const mark of series) {
    reader.back(mark)
    decodeSeries(reader, version, labels, known, sink)
  }
}

type ReadLabels = (reader: Reader, marks: readonly Mark[]) => Map<string, string>
interface Mark {
  start: number
  end: number
}

function decodeSeries<T>(
  reader: Reader,
  version: Version,
  readLabels: ReadLabels,
  known: KnownLabels<T>,
  sink: SeriesSink<T>,
): void {
  const end = reader.enter('timeseries')
  const labels: Mark[] = []
  const samples: number[] = []
  const histograms = version === '1.0' ? 4 : 3
  for (let field = reader.nextField(end); field !== 0; field = reader.nextField(end)) {
    if (field === 1) {
      const start = reader.pos
      reader.mark('labels')
      labels.push({ start, end: reader.pos })
    } else if (field === 2) samples.push(reader.mark('samples'))
    else if (field === histograms) {
      reader.mark('histograms')
      sink.refuse('native histograms are not stored: scrape classic ones', 1)
    }
  }
  const meaning = findMeaning(reader, version, labels, readLabels, known, sink)
  for (const mark of samples) {
    reader.back(mark)
    readSample(reader, (timeMs, value) => sink.add(meaning, timeMs, value))
  }
  reader.back(end)
  reader.leave(end)
}

/** Symbols are numbered anew in each request, so only the labels of 1.0 mean the same by the same bytes. */
function findMeaning<T>(
  reader: Reader,
  version: Version,
  labels: readonly Mark[],
  readLabels: ReadLabels,
  known: KnownLabels<T>,
  sink: SeriesSink<T>,
): T {
  const start = labels[0]?.start ?? 0
  const end = labels.at(-1)?.end ?? 0
  const together =
    version === '1.0' && labels.every((label, i) => i === 0 || label.start - (labels[i - 1]?.end ?? 0) <= 1)
  const found = together ? known.find(reader.buf, start, end) : undefined
  if (found !== undefined) return found
  const meaning = sink.meaningOf(readLabels(reader, labels))
  if (together) known.keep(reader.buf, start, end, meaning)
  return meaning
}

function readSample(reader: Reader, add: (timeMs: number, value: number) => void): void {
  const end = reader.enter('sample')
  let value = 0
  let timeMs = 0
  for (let field = reader.nextField(end); field !== 0; field = reader.nextField(end)) {
    if (field === 1) value = reader.double()
    else if (field === 2) timeMs = reader.int64()
  }
  reader.leave(end)
  add(timeMs, value)
}

/** An empty label is an absent one. */
function pairsOf(reader: Reader, marks: readonly Mark[]): Map<string, string> {
  const labels = new Map<string, string>()
  for (const { start } of marks) {
    reader.back(start)
    const end = reader.enter('label')
    let name = ''
    let value = ''
    for (let field = reader.nextField(end); field !== 0; field = reader.nextField(end)) {
      if (field === 1) name = reader.text()
      else if (field === 2) value = reader.text()
    }
    reader.leave(end)
    if (value !== '') labels.set(name, value)
  }
  return labels
}

const symbolsOf =
  (symbols: readonly string[]): ReadLabels =>
  (reader, marks) => {
    const references: number[] = []
    for (const { start } of marks) {
      reader.back(start)
      reader.varints(references)
    }
    const labels = new Map<string, string>()
    for (let i = 0; i + 1 < references.length; i += 2) {
      const [name, value] = [symbols[references[i] ?? 0], symbols[references[i + 1] ?? 0]]
      if (name === undefined || value === undefined) throw reader.error('a label points to a symbol that is not there')
      if (value !== '') labels.set(name, value)
    }
    return labels
  }

/** `application/x-protobuf;proto=io.prometheus.write.v2.Request`; absent: 1.0. */
export function versionOf(contentType: string): Version | undefined {
  const [type = '', ...parameters] = contentType.split(';').map(part => part.trim().toLowerCase())
  if (type !== '' && type !== 'application/x-protobuf') return undefined
  const proto = parameters.find(parameter => parameter.startsWith('proto='))?.slice(6)
  if (proto === undefined || proto === 'prometheus.writerequest') return '1.0'
  return proto === 'io.prometheus.write.v2.request' ? '2.0' : undefined
}
