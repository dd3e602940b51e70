/**
 * Series that a Prometheus sends -> points: names of exporters that are known into their columns, all others as series.
 *
 * The node is a label that names one, else the host part of `instance`. Where that is an address, node_uname_info of the same
 * host tells its name; a scrape may be cut into requests, so what comes before that name waits for it, a moment long:
 *
 *   12:00:15.0  node_load1{instance="127.0.0.1:9100"}                        left out, counted
 *   12:00:15.1  node_uname_info{instance="127.0.0.1:9100", nodename="n017"}  127.0.0.1 is n017 from here on
 */
import { isIP } from 'node:net'
import type { Gather } from '../gather.ts'
import { type Origin, parseOrigin } from '../origin.ts'
import { exporterMeanings } from './exporters.ts'
import { Joins } from './joins.ts'
import { addKnown, type Known, knownAs, knownAsSeries } from './meaning.ts'
import { Remembered } from './remembered.ts'
import { KnownLabels, type SeriesSink } from './remotewrite.ts'

export interface Scraped {
  /** A node's name, or an address that may still get one. */
  host: string
  known: readonly Known[]
  /** What this host is called, where the series tells. */
  nodename: string | undefined
}

const NODE_LABELS = ['node', 'nodename', 'host', 'hostname', 'Hostname'] as const
const MOST_SERIES = 1_000_000
const MOST_HOSTS = 100_000
/** Requests of one scrape follow each other within seconds. */
const WAIT_MS = 15_000

/** Prometheus' own convention; types are not sent with the samples in 1.0. */
const COUNTER = /_(total|count|sum|bucket)$/

export class Scrapes {
  readonly labels = new KnownLabels<Scraped>(MOST_SERIES)
  readonly #joins = new Joins()
  readonly #hosts = new Remembered<string, { name: string; heardMs: number }>(MOST_HOSTS)
  unnamed = 0

  /** Takes the series of one request. */
  sink(gather: Gather, cluster: string, nowMs: number): SeriesSink<Scraped> {
    const origins = new Map<string, Origin>()
    return {
      meaningOf: labels => scrapedOf(labels),
      refuse: (reason, points) => gather.reject(reason, points),
      add: (series, timeMs, value) => {
        // Gaps of summaries and the end of a series are told as NaN.
        if (!Number.isFinite(value)) {
          gather.ignore()
          return
        }
        const origin = this.#origin(series, cluster, nowMs, origins)
        if (origin === undefined) this.unnamed++
        else for (const known of series.known) addKnown(gather, this.#joins, origin, known, timeMs, value)
      },
    }
  }

  /** undefined while the host waits for its name. */
  #origin(
    { host, nodename }: Scraped,
    cluster: string,
    nowMs: number,
    origins: Map<string, Origin>,
  ): Origin | undefined {
    const known = origins.get(host)
    if (known !== undefined && nodename === undefined) return known
    let name = host
    if (isAddress(host)) {
      const heard = this.#hosts.get(`${cluster}\0${host}`, () => ({ name: '', heardMs: nowMs }))
      if (nodename !== undefined) heard.name = nodename
      if (heard.name === '' && nowMs - heard.heardMs < WAIT_MS) return undefined
      name = heard.name === '' ? host : heard.name
    }
    const origin = parseOrigin(new Map([['host.name', name]]), cluster)
    // Its scrapes may come in several requests: totals of a node wait for all of a tick.
    origin.splitsTicks = true
    origins.set(host, origin)
    return origin
  }
}

const isAddress = (host: string): boolean => isIP(host) !== 0 || host === 'localhost'

function scrapedOf(labels: ReadonlyMap<string, string>): Scraped {
  const name = labels.get('__name__') ?? ''
  const named = NODE_LABELS.map(label => labels.get(label)).find(value => value !== undefined)
  const instance = hostOf(labels.get('instance') ?? '')
  const uname = name === 'node_uname_info' ? labels.get('nodename') : undefined
  const host = uname !== undefined && isAddress(instance) ? instance : (named ?? instance)
  const meanings = exporterMeanings(name, labels)
  return {
    host,
    nodename: uname,
    known: meanings.length > 0 ? meanings.map(knownAs) : [asSeries(name, labels)],
  }
}

function asSeries(name: string, labels: ReadonlyMap<string, string>): Known {
  return knownAsSeries(name, '', COUNTER.test(name), new Map([...labels].filter(([label]) => label !== '__name__')))
}

/** n017:9100 -> n017, [::1]:9100 -> ::1 */
const hostOf = (instance: string): string =>
  instance.replace(/^https?:\/\//, '').replace(/^\[([^\]]*)\](:\d+)?$|^([^:]+):\d+$/, (_, six, __, host) => six ?? host)
