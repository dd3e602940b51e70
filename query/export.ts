/**
 * GET /stacks: every stack of a scope, whole and unpruned, in the formats that other tools read.
 *
 *   folded      main;solve;exp 20000          microseconds; flamegraph.pl, inferno, speedscope
 *   speedscope  https://www.speedscope.app/file-format-schema.json
 *   pprof       gzipped protobuf; https://github.com/google/pprof/blob/main/proto/profile.proto
 */
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import { Profile as Pprof, StringTable } from 'pprof-format'
import type { StacksAsk } from './asks.ts'
import type { Desk } from './desk.ts'
import { resolveScope, type Target } from './scope.ts'
import { IDLE, type Profile } from './stacks.ts'

export interface Export {
  contentType: string
  fileName: string
  body: Buffer
}

/** Stacks that differ in lines only are one here: [functions leaf first, ns, samples]. */
interface Merged {
  functions: Uint32Array
  ns: number
  samples: number
}

const gzipped = promisify(gzip)

export async function readStacks(desk: Desk, ask: StacksAsk): Promise<Export> {
  const target = await resolveScope(desk.asker, desk.known, ask)
  const profile = await desk.profile(target)
  const stacks = merge(profile, ask.idle ?? false)
  const name = nameOf(target)
  if (ask.format === 'pprof') {
    const body = await gzipped(toPprof(profile, stacks, target))
    return { contentType: 'application/octet-stream', fileName: `${name}.pb.gz`, body }
  }
  if (ask.format === 'speedscope') {
    const body = Buffer.from(toSpeedscope(profile, stacks, name))
    return { contentType: 'application/json', fileName: `${name}.speedscope.json`, body }
  }
  return {
    contentType: 'text/plain; charset=utf-8',
    fileName: `${name}.folded`,
    body: Buffer.from(toFolded(profile, stacks)),
  }
}

/** job-4711, node1-pid-17: what the file is of; nothing that a file name may not hold. */
function nameOf({ cluster, job, namedNodes, pid }: Target): string {
  const nodes = namedNodes && (namedNodes.length > 3 ? `${namedNodes.length}-nodes` : namedNodes.join('-'))
  const parts = [job && `job-${job.record.id}`, nodes, pid === undefined ? undefined : `pid-${pid}`]
  const name = parts.filter(part => part !== undefined).join('-') || cluster || 'jobsight'
  return name.replace(/[^A-Za-z0-9._+-]/g, '_').slice(0, 100)
}

function merge(profile: Profile, idle: boolean): Merged[] {
  const merged = new Map<string, Merged>()
  for (let s = 0; s < profile.ns.length; s++) {
    if (!idle && profile.categories[s] === IDLE) continue
    const functions = profile.frames.subarray(profile.offsets[s], profile.offsets[s + 1])
    const key = functions.join()
    const known = merged.get(key)
    const ns = profile.ns[s] ?? 0
    const samples = profile.counts[s] ?? 0
    if (known) {
      known.ns += ns
      known.samples += samples
    } else merged.set(key, { functions: functions.length > 0 ? functions : Uint32Array.of(0), ns, samples })
  }
  return [...merged.values()]
}

/** A `;` would be another frame, a line break another stack. */
const inFolded = (name: string): string => name.replace(/[;\r\n]/g, '_')

export function toFolded(profile: Profile, stacks: readonly Merged[]): string {
  const names = profile.names.map(inFolded)
  return stacks
    .map(
      ({ functions, ns }) =>
        `${Array.from(functions, f => names[f])
          .reverse()
          .join(';')} ${Math.round(ns / 1000)}\n`,
    )
    .join('')
}

export function toSpeedscope(profile: Profile, stacks: readonly Merged[], name: string): string {
  return JSON.stringify({
    $schema: 'https://www.speedscope.app/file-format-schema.json',
    exporter: 'jobsight',
    name,
    shared: { frames: profile.names.map((function_, f) => ({ name: function_, file: profile.modules[f] })) },
    profiles: [
      {
        type: 'sampled',
        name,
        unit: 'nanoseconds',
        startValue: 0,
        endValue: stacks.reduce((sum, { ns }) => sum + ns, 0),
        samples: stacks.map(({ functions }) => Array.from(functions).reverse()),
        weights: stacks.map(({ ns }) => ns),
      },
    ],
  })
}

/** A location and a function each function, numbered from 1; a mapping each module. */
export function toPprof(profile: Profile, stacks: readonly Merged[], window: { from: number; to: number }): Uint8Array {
  const stringTable = new StringTable()
  const text = (value: string) => stringTable.dedup(value)
  const modules = [...new Set(profile.modules)]
  const unit = { type: text('cpu'), unit: text('nanoseconds') }
  const pprof = new Pprof({
    stringTable,
    sampleType: [{ type: text('samples'), unit: text('count') }, unit],
    defaultSampleType: unit.type,
    timeNanos: BigInt(window.from) * 1_000_000n,
    durationNanos: BigInt(window.to - window.from) * 1_000_000n,
    mapping: modules.map((module, i) => ({ id: i + 1, filename: text(module), hasFunctions: true })),
    function: profile.names.map((name, f) => ({ id: f + 1, name: text(name), systemName: text(name) })),
    location: profile.modules.map((module, f) => ({
      id: f + 1,
      mappingId: modules.indexOf(module) + 1,
      line: [{ functionId: f + 1 }],
    })),
    sample: stacks.map(({ functions, ns, samples }) => ({
      locationId: Array.from(functions, f => f + 1),
      value: [samples, ns],
    })),
  })
  return pprof.encode()
}
