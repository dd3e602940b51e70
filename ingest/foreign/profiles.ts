/**
 * Profiles of other systems -> the door of profiles.
 *
 *   pprof      a file, with what it is of in the address
 *   /ingest    Pyroscope's HTTP push: ?name=app{label=value}&from&until&format; pprof raw or in a form, or folded text
 *   push.v1    Pyroscope's Connect push: labels and gzipped pprofs
 */
import { type DoorDeps, decodeSafely } from '../door.ts'
import { BodyError } from '../errors.ts'
import { StackFrames } from '../frames.ts'
import type { Receipt } from '../index.ts'
import { type Origin, parseOrigin } from '../origin.ts'
import { inflate } from '../otlp/body.ts'
import type { Reader } from '../otlp/reader.ts'
import type { ProfileHead } from '../profilesample.ts'
import type { ProfilesDoor } from '../profilesdoor.ts'
import { parseFolded } from './folded.ts'
import { decodePprof, type Pprof } from './pprof.ts'

/** Who and when, as far as the request tells it. */
export interface Taken {
  labels: ReadonlyMap<string, string>
  /** ms; undefined: as the profile says. */
  fromMs?: number | undefined
  untilMs?: number | undefined
}

export interface Pushed extends Taken {
  format: 'pprof' | 'folded' | 'lines'
  body: Uint8Array
  /** Of folded stacks: what their counts are of. */
  unit: { hz: number; type: string; isTime: boolean }
}

/** Labels that say the same as an attribute of an OTLP resource; others are not kept. */
const ATTRIBUTES: Readonly<Record<string, readonly string[]>> = {
  'host.name': ['node', 'hostname', 'host', 'nodename', 'instance'],
  'service.name': ['service_name', 'app', 'process'],
  'process.executable.name': ['process', 'comm', 'service_name', 'app'],
  'process.pid': ['pid', 'process_id'],
  'jobsight.job.id': ['job_id', 'slurm_job_id', 'pbs_jobid'],
}

export class ForeignProfiles {
  readonly #deps: DoorDeps
  readonly #profiles: ProfilesDoor

  constructor(deps: DoorDeps, profiles: ProfilesDoor) {
    this.#deps = deps
    this.#profiles = profiles
  }

  async push(pushed: Pushed, cluster: string): Promise<Receipt> {
    if (pushed.format === 'pprof') return this.pprofs([{ ...pushed, bytes: pushed.body }], cluster)
    const { dictionary, samples, wrong } = parseFolded(textOf(pushed.body), pushed.format === 'folded')
    const { hz, type, isTime } = pushed.unit
    const nanoseconds = {
      type: 'samples',
      unit: 'count',
      periodType: 'cpu',
      periodUnit: 'nanoseconds',
      period: 1e9 / hz,
    }
    const own = { type, unit: '', periodType: '', periodUnit: '', period: 0 }
    return this.#profiles.add((gather, book, nowMs) => {
      const head: ProfileHead = { ...(isTime ? nanoseconds : own), timeMs: nowMs, durationMs: 0 }
      if (wrong > 0) gather.reject(`${wrong} lines are no stack with a count`)
      gather.add(
        this.#origin(pushed, cluster),
        timed(head, pushed),
        dictionary,
        new StackFrames(dictionary, book),
        samples,
      )
    })
  }

  async pprofs(given: readonly (Taken & { bytes: Uint8Array })[], cluster: string): Promise<Receipt> {
    const decoded: (Taken & { pprof: Pprof })[] = []
    for (const one of given) decoded.push({ ...one, pprof: await this.#decode(one.bytes) })
    return this.#profiles.add((gather, book) => {
      for (const one of decoded) {
        const { head, dictionary, samples } = one.pprof
        const frames = new StackFrames(dictionary, book)
        gather.add(this.#origin(one, cluster), timed(head, one), dictionary, frames, samples)
      }
    })
  }

  async #decode(bytes: Uint8Array): Promise<Pprof> {
    const zipped = bytes[0] === 0x1f && bytes[1] === 0x8b
    const plain = await inflate(bytes, zipped ? 'gzip' : '', this.#deps.config.maxInflatedBytes)
    return decodeSafely(plain, this.#deps.intern, decodePprof, 'pprof')
  }

  /** Pyroscope's push.v1, as protobuf. */
  pushV1(body: Uint8Array, cluster: string): Promise<Receipt> {
    return this.pprofs(decodeSafely(body, this.#deps.intern, decodePush, 'push.v1'), cluster)
  }

  #origin({ labels }: Taken, cluster: string): Origin {
    const attributes = new Map<string, string>()
    for (const [attribute, names] of Object.entries(ATTRIBUTES)) {
      const value = names.map(name => labels.get(name)).find(found => found !== undefined && found !== '')
      if (value !== undefined) attributes.set(attribute, attribute === 'host.name' ? value.replace(/:\d+$/, '') : value)
    }
    return parseOrigin(attributes, cluster || this.#deps.defaultCluster)
  }
}

/** The request's own times win: a client knows when it sampled, a file may not. */
function timed(head: ProfileHead, { fromMs, untilMs }: Taken): ProfileHead {
  if (fromMs === undefined || untilMs === undefined || untilMs < fromMs) return head
  return { ...head, timeMs: fromMs, durationMs: untilMs - fromMs }
}

export function textOf(body: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(body)
  } catch {
    throw new BodyError('malformed', 'not UTF-8')
  }
}

/** `app.cpu{hostname=n1,pid=7}` -> labels, the name as `service_name`. */
export function parseAppName(name: string): Map<string, string> {
  const brace = name.indexOf('{')
  const labels = new Map<string, string>()
  if (brace >= 0) {
    for (const pair of name
      .slice(brace + 1)
      .replace(/\}\s*$/, '')
      .split(',')) {
      const equals = pair.indexOf('=')
      if (equals > 0)
        labels.set(
          pair.slice(0, equals).trim(),
          pair
            .slice(equals + 1)
            .trim()
            .replace(/^"|"$/g, ''),
        )
    }
  }
  const app = (brace < 0 ? name : name.slice(0, brace)).trim()
  if (app !== '' && !labels.has('service_name')) labels.set('service_name', app)
  return labels
}

/** Seconds, ms, µs or ns since the epoch, told apart by their size as Pyroscope does; undefined for none of them. */
export function parseTimeMs(text: string): number | undefined {
  if (!/^\d{9,19}(\.\d+)?$/.test(text)) return undefined
  const value = Number(text)
  if (value < 1e11) return value * 1000
  if (value < 1e14) return value
  return value < 1e17 ? value / 1e3 : value / 1e6
}

/** Labels and profiles of push.v1.PushRequest: series 1 (labels 1: name 1, value 2; samples 2: raw_profile 1). */
export function decodePush(reader: Reader): (Taken & { bytes: Uint8Array })[] {
  const profiles: (Taken & { bytes: Uint8Array })[] = []
  for (let field = reader.nextField(); field !== 0; field = reader.nextField()) {
    if (field !== 1) continue
    const end = reader.enter('series')
    const labels = new Map<string, string>()
    for (let inner = reader.nextField(end); inner !== 0; inner = reader.nextField(end)) {
      if (inner === 1) readPair(reader, labels)
      else if (inner === 2) profiles.push({ labels, bytes: readRaw(reader) })
    }
    reader.leave(end)
  }
  reader.finish()
  return profiles
}

function readPair(reader: Reader, into: Map<string, string>): void {
  const end = reader.enter('label')
  let name = ''
  let value = ''
  for (let field = reader.nextField(end); field !== 0; field = reader.nextField(end)) {
    if (field === 1) name = reader.text()
    else if (field === 2) value = reader.text()
  }
  reader.leave(end)
  into.set(name, value)
}

function readRaw(reader: Reader): Uint8Array {
  const end = reader.enter('sample')
  let bytes: Uint8Array = new Uint8Array()
  for (let field = reader.nextField(end); field !== 0; field = reader.nextField(end)) {
    if (field === 1) bytes = reader.bytes()
  }
  reader.leave(end)
  return bytes
}
