/**
 * What an alert rule is: schema, defaults and type under one name. A rule says in words what it watches:
 *
 *   name: node-memory-full                  one thing of three:
 *   scope: node                               metric    a column of the catalogue: memory_used, filesystem.utilization
 *   metric: memory_used                       figure    what is computed of jobs, nodes, processes, the cluster (figures.ts)
 *   share: true                               function  the share of CPU time in functions of this name: MPI_Wait*
 *   window: 5m                              over this long, one value by `aggregate`
 *   above: 0.95                             compared; `clear` is where a firing one ends, so that it does not flap
 *   for: 2m                                 and it must stay so for that long
 *
 * Durations are texts (30s, 5m, 2h), parsed once in parseRule(); thresholds are in the unit of what is watched.
 */
import { type Static, Type } from 'typebox'

export const SCOPES = ['cluster', 'node', 'job', 'process', 'function'] as const
export type Scope = (typeof SCOPES)[number]
export const SEVERITIES = ['info', 'warning', 'critical'] as const
export type Severity = (typeof SEVERITIES)[number]

export const NAME = '^[a-z0-9][a-z0-9_-]{0,62}$'
export const DURATION = '^\\d+(ms|s|m|h|d)$'
const Duration = (description: string) =>
  Type.String({ pattern: DURATION, description: `${description}; like 30s, 5m, 2h` })
const Glob = (description: string) =>
  Type.String({ minLength: 1, maxLength: 255, description: `${description}; * stands for any characters` })
const closed = { additionalProperties: false } as const

/** Which subjects of its scope a rule looks at. All that is given must hold. */
const Where = Type.Object(
  {
    node: Type.Optional(Glob('nodes')),
    instance: Type.Optional(Glob('disks, interfaces, GPUs, mount points')),
    job: Type.Optional(Glob('jobs by id')),
    user: Type.Optional(Glob('jobs of these users')),
    account: Type.Optional(Glob('jobs of these accounts')),
    queue: Type.Optional(Glob('jobs of these queues')),
    process: Type.Optional(Glob('processes by name')),
    allocated: Type.Optional(
      Type.Boolean({ description: 'only nodes that a running job holds, or only those that none does' }),
    ),
    gpus: Type.Optional(Type.Boolean({ description: 'only where a running job holds GPUs' })),
    minNodes: Type.Optional(Type.Integer({ minimum: 1, description: 'only jobs on so many nodes' })),
    minCores: Type.Optional(Type.Number({ minimum: 0, description: 'only jobs that hold so many cores' })),
    minAge: Type.Optional(Duration('only jobs that have run so long')),
  },
  closed,
)

export const Rule = Type.Object(
  {
    name: Type.String({
      pattern: NAME,
      description: 'small letters, digits, - and _; unique',
    }),
    summary: Type.Optional(Type.String({ maxLength: 500, description: 'what it means when it fires, for people' })),
    enabled: Type.Optional(Type.Boolean({ default: true })),
    scope: Type.Enum(SCOPES),
    metric: Type.Optional(Type.String({ description: 'column of the catalogue; see /api/v1/catalogue' })),
    figure: Type.Optional(Type.String({ description: 'computed; see /api/v1/alerts/rules' })),
    function: Type.Optional(Glob('functions')),
    share: Type.Optional(Type.Boolean({ description: 'of what full means for the metric' })),
    window: Type.Optional(Duration('how much of the past one value covers; 5m when absent')),
    aggregate: Type.Optional(
      Type.Enum(['avg', 'max', 'min', 'last'], { description: 'how the ticks of the window become one value; avg' }),
    ),
    over: Type.Optional(
      Type.Enum(['mean', 'max', 'min', 'sum'], { description: 'how the nodes of a job or cluster become one; mean' }),
    ),
    test: Type.Optional(
      Type.Enum(['value', 'absent', 'change', 'peers'], {
        description:
          'value: the value · absent: it was there in the last day and is not · change: of the value, a second · peers: distance from the other nodes (processes) of the job in robust standard deviations',
      }),
    ),
    above: Type.Optional(Type.Number({ description: 'true where the value is greater' })),
    below: Type.Optional(Type.Number({ description: 'true where the value is less' })),
    clear: Type.Optional(
      Type.Number({ description: 'a firing alert ends on the other side of it; absent: the threshold' }),
    ),
    apart: Type.Optional(
      Type.Number({ minimum: 0, description: 'peers: and so far from their median, in the unit of the value; 0' }),
    ),
    for: Type.Optional(Duration('how long it must be true; 0s')),
    keepFor: Type.Optional(Duration('how long it must be false before it is resolved; 0s')),
    where: Type.Optional(Where),
    severity: Type.Optional(Type.Enum(SEVERITIES, { description: 'warning' })),
    labels: Type.Optional(Type.Record(Type.String(), Type.String({ maxLength: 255 }))),
    message: Type.Optional(
      Type.String({
        maxLength: 1000,
        description: 'with {node}, {job}, {user}, {value}, {threshold} and other labels',
      }),
    ),
    notify: Type.Optional(
      Type.Array(Type.String(), { description: 'receivers by name; absent: those whose match holds' }),
    ),
    owner: Type.Optional(Type.Boolean({ description: 'also to the user whose job it is' })),
    profile: Type.Optional(Type.Boolean({ description: 'takes a burst profile of the job or node when it fires' })),
    inhibitedBy: Type.Optional(
      Type.Array(Type.String(), { description: 'not told while one of these rules fires for the same node or job' }),
    ),
  },
  closed,
)
export type Rule = Static<typeof Rule>
export type Where = Static<typeof Where>

/** A rule as it is evaluated: defaults filled, durations in ms. */
export interface ReadyRule extends Rule {
  windowMs: number
  forMs: number
  keepForMs: number
  aggregate: NonNullable<Rule['aggregate']>
  over: NonNullable<Rule['over']>
  test: NonNullable<Rule['test']>
  severity: Severity
}

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** '5m' -> 300000. The text has passed the schema. */
export function parseDuration(text: string): number {
  const found = /^(\d+)(ms|s|m|h|d)$/.exec(text)
  return Number(found?.[1] ?? 0) * (UNITS[found?.[2] ?? 's'] ?? 0)
}

export const readyRule = (rule: Rule): ReadyRule => ({
  ...rule,
  windowMs: parseDuration(rule.window ?? '5m'),
  forMs: parseDuration(rule.for ?? '0s'),
  keepForMs: parseDuration(rule.keepFor ?? '0s'),
  aggregate: rule.aggregate ?? 'avg',
  over: rule.over ?? 'mean',
  test: rule.test ?? 'value',
  severity: rule.severity ?? 'warning',
})

/** What is watched, in a word. */
export const subjectOf = (rule: Rule): string => rule.metric ?? rule.figure ?? rule.function ?? ''

/** `n*` against n07: the parts between stars one after the other, so that no pattern takes longer than the text is long. */
export function matches(glob: string | undefined, text: string | undefined): boolean {
  if (glob === undefined) return true
  if (text === undefined) return false
  const parts = glob.split('*')
  const [first = '', ...rest] = parts
  const last = rest.pop()
  if (last === undefined) return glob === text
  if (!text.startsWith(first) || !text.endsWith(last) || text.length < first.length + last.length) return false
  let at = first.length
  for (const part of rest) {
    const found = text.indexOf(part, at)
    if (found < 0) return false
    at = found + part.length
  }
  return at <= text.length - last.length
}

/** The same for the store's LIKE. */
export const likeOf = (glob: string): string => glob.replace(/[\\%_]/g, '\\$&').replaceAll('*', '%')
