/** Metrics of other systems -> the door of metrics: InfluxDB's line protocol, Prometheus remote write. */
import { type DoorDeps, decodeSafely } from '../door.ts'
import { BodyError } from '../errors.ts'
import type { Receipt } from '../index.ts'
import type { MetricsDoor } from '../metricsdoor.ts'
import { LineError } from './lineprotocol.ts'
import { Lines } from './lines.ts'
import { textOf } from './profiles.ts'
import { decodeRemoteWrite, unsnap, type Version } from './remotewrite.ts'
import { Scrapes } from './scraped.ts'

export class ForeignMetrics {
  readonly #deps: DoorDeps
  readonly #metrics: MetricsDoor
  readonly #lines = new Lines()
  readonly #scrapes = new Scrapes()

  constructor(deps: DoorDeps, metrics: MetricsDoor) {
    this.#deps = deps
    this.#metrics = metrics
  }

  counters(): Record<string, number> {
    return { unnamedPoints: this.#scrapes.unnamed }
  }

  /** 400 where a line was refused, as InfluxDB does: the others are stored all the same. */
  async lines(body: Uint8Array, precision: string, cluster: string): Promise<Receipt> {
    const text = textOf(body)
    try {
      return await this.#metrics.add((gather, nowMs) => {
        this.#lines.decode({ text, precision, cluster: cluster || this.#deps.defaultCluster, nowMs }, gather)
      })
    } catch (error) {
      if (error instanceof LineError) throw new BodyError('malformed', error.message)
      throw error
    }
  }

  /** `samples`: what was taken, as remote write 2.0 wants it told. */
  async remoteWrite(body: Uint8Array, version: Version, cluster: string): Promise<Receipt & { samples: number }> {
    const bytes = unsnap(body, this.#deps.config.maxInflatedBytes)
    let samples = 0
    const receipt = await this.#metrics.add((gather, nowMs) => {
      const sink = this.#scrapes.sink(gather, cluster || this.#deps.defaultCluster, nowMs)
      const add: typeof sink.add = (...sample) => {
        samples++
        sink.add(...sample)
      }
      decodeSafely(
        bytes,
        this.#deps.intern,
        reader => decodeRemoteWrite(reader, version, this.#scrapes.labels, { ...sink, add }),
        'remote write',
      )
    })
    return { ...receipt, samples: Math.max(0, samples - receipt.rejected) }
  }
}
