/**
 * speedscope's own format: https://www.speedscope.app/file-format-schema.json. Stacks are root first. A sampled profile has a
 * weight a sample; an evented one has opening and closing frames, and the time between two events belongs to the stack then.
 */
import { Type } from 'typebox'
import { Value } from 'typebox/value'
import type { Frame } from '../../ingest/records.ts'
import { span } from './folded.ts'
import { ProfileError, type ProfilePart, type ProfileSource, pseudoPid, type ReadProfile, readWhole } from './format.ts'

const LIMIT_BYTES = 256 << 20
const NS: Record<string, number> = { nanoseconds: 1, microseconds: 1e3, milliseconds: 1e6, seconds: 1e9 }

const Sampled = Type.Object({
  type: Type.Literal('sampled'),
  name: Type.String(),
  unit: Type.String(),
  samples: Type.Array(Type.Array(Type.Integer({ minimum: 0 }))),
  weights: Type.Array(Type.Number()),
})
const Evented = Type.Object({
  type: Type.Literal('evented'),
  name: Type.String(),
  unit: Type.String(),
  events: Type.Array(Type.Object({ type: Type.String(), frame: Type.Integer({ minimum: 0 }), at: Type.Number() })),
})
const File = Type.Object({
  shared: Type.Object({
    frames: Type.Array(
      Type.Object({
        name: Type.String(),
        file: Type.Optional(Type.Union([Type.String(), Type.Null()])),
        line: Type.Optional(Type.Union([Type.Number(), Type.Null()])),
      }),
    ),
  }),
  profiles: Type.Array(Type.Union([Sampled, Evented])),
})
type File = Type.Static<typeof File>
type Profile = File['profiles'][number]

export const readSpeedscope: ReadProfile = async function* (chunks, source) {
  const file = parse(await readWhole(chunks, LIMIT_BYTES))
  const frames = file.shared.frames.map(parseFrame)
  let longest = 0
  for (const profile of file.profiles) {
    const weighed = profile.type === 'sampled' ? weigh(profile) : walk(profile)
    const parts = weighed
      .map(({ stack, value }) => partOf(profile, source, stack.flatMap(at => frames[at] ?? []).reverse(), value))
      .filter(part => part.sample.periodNs > 0)
    yield parts
    const onCpu = parts.filter(part => part.event === 'cpu')
    longest = Math.max(
      longest,
      onCpu.reduce((sum, part) => sum + part.sample.periodNs, 0),
    )
  }
  return { format: 'speedscope', ...span(source, longest / 1e9), lost: 0, otherEvents: 0, unknownLines: 0 }
}

function parse(bytes: Uint8Array): File {
  let json: unknown
  try {
    json = JSON.parse(new TextDecoder().decode(bytes))
  } catch (error) {
    throw new ProfileError(`no speedscope file: ${error instanceof Error ? error.message : String(error)}`)
  }
  if (Value.Check(File, json)) return json
  const [wrong] = Value.Errors(File, json)
  throw new ProfileError(`no speedscope file: ${wrong?.instancePath || 'it'} ${wrong?.message ?? 'is something else'}`)
}

function parseFrame(frame: File['shared']['frames'][number]): Frame {
  const file = frame.file ?? ''
  const kind = /\.py$/.test(file) ? 'python' : /\.[cm]?[jt]s$/.test(file) ? 'javascript' : 'native'
  return { function: frame.name, module: file.slice(file.lastIndexOf('/') + 1), file, line: frame.line ?? 0, kind }
}

type Weighed = { stack: number[]; value: number }[]

const weigh = (profile: Type.Static<typeof Sampled>): Weighed =>
  profile.samples.map((stack, at) => ({ stack, value: profile.weights[at] ?? 0 }))

function walk(profile: Type.Static<typeof Evented>): Weighed {
  const parts: Weighed = []
  const stack: number[] = []
  let before = profile.events[0]?.at ?? 0
  for (const { type, frame, at } of profile.events) {
    if (stack.length > 0 && at > before) parts.push({ stack: [...stack], value: at - before })
    before = at
    if (type === 'O') stack.push(frame)
    else if (stack.includes(frame)) stack.splice(stack.lastIndexOf(frame))
  }
  return parts
}

function partOf(profile: Profile, source: ProfileSource, frames: Frame[], value: number): ProfilePart {
  const scale = NS[profile.unit] ?? (profile.unit === 'none' ? 1e9 / source.hz : undefined)
  return {
    event: scale === undefined ? profile.unit : 'cpu',
    timeMs: undefined,
    sample: {
      pid: pseudoPid(source.name),
      startMs: 0,
      process: source.name.replace(/(\.speedscope)?\.json$/, ''),
      cgroup: '',
      thread: profile.name,
      frames,
      periodNs: value * (scale ?? 1),
      count: 1,
    },
  }
}
