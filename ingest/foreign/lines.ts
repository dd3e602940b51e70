/** InfluxDB's line protocol -> points: fields of agents that are known into their columns, all others as series. */
import type { Gather } from '../gather.ts'
import { type Origin, parseOrigin } from '../origin.ts'
import { agentMeanings } from './agents.ts'
import { Joins } from './joins.ts'
import { type Line, LineError, nanosecondsOf, parseHead, parseLines } from './lineprotocol.ts'
import { addKnown, type Known, knownAs, knownAsSeries } from './meaning.ts'
import { Remembered } from './remembered.ts'

/** A measurement with its tags, and what its fields were found to mean. */
interface Head {
  measurement: string
  tags: ReadonlyMap<string, string>
  node: string
  fields: Map<string, readonly Known[]>
}

const NODE_TAGS = ['host', 'hostname', 'node'] as const
const MOST_HEADS = 200_000
/** Of one head; a sender that makes up names does not fill the memory. */
const MOST_FIELDS = 1000

export interface LinesRequest {
  text: string
  /** ns, us, ms, s …; absent: ns. */
  precision: string
  cluster: string
  nowMs: number
}

export class Lines {
  readonly #heads = new Remembered<string, Head>(MOST_HEADS)
  readonly #joins = new Joins()

  /** Throws LineError where the request makes no sense; a line that makes none is refused alone. */
  decode(request: LinesRequest, gather: Gather): void {
    const unit = nanosecondsOf(request.precision === '' ? 'ns' : request.precision)
    if (unit === undefined) throw new LineError(`precision ${request.precision.slice(0, 20)}: send ns, us, ms or s`)
    const origins = new Map<string, Origin>()
    const add = (line: Line): void => {
      const timeMs = line.time === undefined ? request.nowMs : Number(line.time * unit) / 1e6
      this.#add(line, timeMs, request.cluster, origins, gather)
    }
    parseLines(request.text, add, (error, number) => gather.reject(`line ${number}: ${error.message}`))
  }

  #add(line: Line, timeMs: number, cluster: string, origins: Map<string, Origin>, gather: Gather): void {
    const head = this.#head(line.head)
    let origin = origins.get(head.node)
    if (origin === undefined) {
      origin = parseOrigin(new Map([['host.name', head.node]]), cluster)
      origins.set(head.node, origin)
    }
    for (const [field, value] of line.fields) {
      if (value === undefined) {
        gather.ignore()
        continue
      }
      for (const known of this.#field(head, field)) addKnown(gather, this.#joins, origin, known, timeMs, value)
    }
  }

  #head(text: string): Head {
    return this.#heads.get(text, () => {
      const { measurement, tags } = parseHead(text)
      const named = NODE_TAGS.map(tag => tags.get(tag)).find(value => value !== undefined && value !== '')
      return { measurement, tags, node: named ?? '', fields: new Map() }
    })
  }

  #field(head: Head, field: string): readonly Known[] {
    const known = head.fields.get(field)
    if (known !== undefined) return known
    const meanings = agentMeanings(head.measurement, field, head.tags)
    const found = meanings.length > 0 ? meanings.map(knownAs) : [seriesOf(head, field)]
    if (head.fields.size < MOST_FIELDS) head.fields.set(field, found)
    return found
  }
}

/** `measurement_field`, as Prometheus' own InfluxDB exporter names it; a field called value is the measurement itself. */
function seriesOf({ measurement, tags }: Head, field: string): Known {
  const attributes = new Map([...tags].filter(([tag]) => tag !== 'host' && tag !== 'hostname'))
  return knownAsSeries(field === 'value' ? measurement : `${measurement}_${field}`, '', false, attributes)
}
