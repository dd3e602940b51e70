/**
 * pprof: https://github.com/google/pprof/blob/main/proto/profile.proto, read by pprof-format. Ids are looked up, never used as
 * indices: they need not be dense. A location's lines are its inlined functions, innermost first, each a frame of its own.
 *
 * Of its sample types one is taken: CPU time in a unit of time; else a count of samples times the period where that is a
 * time; else the default one, under its own name, which no CPU view shows.
 */
import { Profile } from 'pprof-format'
import type { Frame, FrameKind } from '../../ingest/records.ts'
import { span } from './folded.ts'
import { ProfileError, type ProfilePart, type ProfileSource, pseudoPid, type ReadProfile, readWhole } from './format.ts'

const LIMIT_BYTES = 512 << 20
const NS: Record<string, number> = { nanoseconds: 1, microseconds: 1e3, milliseconds: 1e6, seconds: 1e9 }

export const readPprof: ReadProfile = async function* (chunks, source) {
  const profile = decode(await readWhole(chunks, LIMIT_BYTES))
  const text = (at: number | bigint | undefined) => profile.stringTable.strings[Number(at ?? 0)] ?? ''
  const value = chooseValue(profile, text)
  const frames = framesById(profile, text)
  const parts = profile.sample.map(sample => partOf(sample, value, frames, source, text))
  yield parts.filter(part => part.sample.periodNs > 0)
  const totalNs = value.event === 'cpu' ? parts.reduce((sum, part) => sum + part.sample.periodNs, 0) : 0
  const startMs = source.startMs ?? (Number(profile.timeNanos) > 0 ? Number(profile.timeNanos) / 1e6 : undefined)
  const seconds = Number(profile.durationNanos) > 0 ? Number(profile.durationNanos) / 1e9 : totalNs / 1e9
  return { format: 'pprof', ...span({ ...source, startMs }, seconds), lost: 0, otherEvents: 0, unknownLines: 0 }
}

function partOf(
  sample: Profile['sample'][number],
  value: ChosenValue,
  frames: Map<string, Frame[]>,
  source: ProfileSource,
  text: Text,
): ProfilePart {
  const labels = new Map(sample.label.map(l => [text(l.key), text(l.str) || String(l.num)]))
  return {
    event: value.event,
    timeMs: undefined,
    sample: {
      pid: Number(labels.get('pid') ?? labels.get('process_id')) || pseudoPid(source.name),
      startMs: 0,
      process: labels.get('comm') ?? labels.get('process') ?? source.name.replace(/\.(pb|gz|prof|pprof)\b/g, ''),
      cgroup: '',
      thread: labels.get('thread_name') ?? labels.get('thread') ?? '',
      frames: sample.locationId.flatMap(id => frames.get(String(id)) ?? []),
      periodNs: Number(sample.value[value.at] ?? 0) * value.scale,
      count: value.countAt === undefined ? 1 : Math.max(1, Number(sample.value[value.countAt] ?? 1)),
    },
  }
}

function decode(bytes: Uint8Array): Profile {
  try {
    const profile = Profile.decode(bytes)
    if (profile.sampleType.length > 0) return profile
  } catch (error) {
    throw new ProfileError(`no pprof file: ${error instanceof Error ? error.message : String(error)}`)
  }
  throw new ProfileError('no pprof file: it has no sample types')
}

interface ChosenValue {
  at: number
  /** To ns, or 1. */
  scale: number
  event: string
  /** Where the number of samples stands. */
  countAt: number | undefined
}

type Text = (at: number | bigint | undefined) => string

function chooseValue(profile: Profile, text: Text): ChosenValue {
  const types = profile.sampleType.map(t => ({ type: text(t.type), unit: text(t.unit) }))
  const countAt = indexOrNothing(types.findIndex(t => t.unit === 'count' && /^(samples?|count)$/.test(t.type)))
  const cpuAt = types.findIndex(t => t.type === 'cpu' && t.unit in NS)
  const timeAt = cpuAt >= 0 ? cpuAt : types.findIndex(t => t.unit in NS && /cpu|time|sample|on-?cpu/.test(t.type))
  if (timeAt >= 0) return { at: timeAt, scale: NS[types[timeAt]?.unit ?? ''] ?? 1, event: 'cpu', countAt }
  const periodNs = NS[text(profile.periodType?.unit)]
  if (countAt !== undefined && periodNs && Number(profile.period) > 0)
    return { at: countAt, scale: Number(profile.period) * periodNs, event: 'cpu', countAt }
  const named = types.findIndex(t => t.type === text(profile.defaultSampleType))
  const at = named >= 0 ? named : types.length - 1
  return { at, scale: 1, event: types[at]?.type || 'value', countAt: undefined }
}

const indexOrNothing = (at: number) => (at < 0 ? undefined : at)

/** Frames of each location, innermost first. */
function framesById(profile: Profile, text: Text): Map<string, Frame[]> {
  const functions = new Map(profile.function.map(f => [String(f.id), f]))
  const mappings = new Map(profile.mapping.map(m => [String(m.id), m]))
  return new Map(
    profile.location.map(location => {
      const mapping = mappings.get(String(location.mappingId))
      const path = text(mapping?.filename)
      const module = path.slice(path.lastIndexOf('/') + 1)
      const frames = location.line.map(line => {
        const fn = functions.get(String(line.functionId))
        const file = text(fn?.filename)
        const name = text(fn?.name) || text(fn?.systemName)
        return frameOf(name || '[unknown]', module, file, Number(line.line))
      })
      const offset = BigInt(location.address) - BigInt(mapping?.memoryStart ?? 0) + BigInt(mapping?.fileOffset ?? 0)
      const nameless = module ? `${module}+0x${offset.toString(16)}` : '[unknown]'
      return [String(location.id), frames.length > 0 ? frames : [frameOf(nameless, module, '', 0)]]
    }),
  )
}

const KIND_OF_FILE: readonly [RegExp, FrameKind][] = [
  [/\.pyx?$/, 'python'],
  [/\.(c|m)?[jt]sx?$|^node:/, 'javascript'],
  [/\.(java|kt|scala)$/, 'java'],
]

function frameOf(name: string, module: string, file: string, line: number): Frame {
  const kernel = module.startsWith('[kernel') || module.startsWith('[guest.kernel') || module === 'vmlinux'
  const kind = kernel ? 'kernel' : (KIND_OF_FILE.find(([pattern]) => pattern.test(file))?.[1] ?? 'native')
  const own = kind === 'native' || kind === 'kernel' ? module : module || file.slice(file.lastIndexOf('/') + 1)
  return { function: name, module: own, file, line, kind }
}
