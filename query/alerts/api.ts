/** The schema of what /alerts is asked and answers; part of query/api.ts. Times are ms since the epoch. */
import { type Static, Type } from 'typebox'
import { Rule, SEVERITIES } from './rule.ts'

const Nullable = <T extends Parameters<typeof Type.Union>[0][number]>(type: T) => Type.Union([type, Type.Null()])
const Labels = Type.Record(Type.String(), Type.String())
const Severity = Type.Enum(SEVERITIES)

/** One alert: pending, firing, or of the past. */
export const Alert = Type.Object({
  id: Type.String(),
  rule: Type.String(),
  state: Type.Union([Type.Literal('pending'), Type.Literal('firing'), Type.Literal('resolved')]),
  severity: Severity,
  labels: Labels,
  message: Type.String(),
  summary: Type.String({ description: 'what it means when this rule fires' }),
  value: Type.Number({ description: 'newest value; of a resolved one the last' }),
  worst: Type.Number({ description: 'furthest beyond the threshold' }),
  threshold: Type.Number(),
  unit: Type.String(),
  since: Type.Number({ description: 'true since' }),
  fired: Nullable(Type.Number()),
  resolved: Nullable(Type.Number()),
  why: Type.String({
    description: 'of its end: value (it came back), gone (nothing measured), ended (the job), rule (deleted or off)',
  }),
  silenced: Type.Boolean(),
  inhibited: Type.Boolean(),
  ack: Nullable(Type.Object({ author: Type.String(), comment: Type.String(), at: Type.Number() })),
})
export type Alert = Static<typeof Alert>

/** GET /alerts?cluster&node&job&state: what is pending or fires, worst first. */
export const Alerts = Type.Object({
  cluster: Type.String(),
  alerts: Type.Array(Alert),
  firing: Type.Number({ description: 'of the cluster, without silenced and inhibited ones' }),
  critical: Type.Number(),
  evaluated: Nullable(Type.Number({ description: 'newest moment that was evaluated; null: not yet' })),
  evaluates: Type.Boolean({ description: 'this server evaluates rules at all' }),
})
export type Alerts = Static<typeof Alerts>

/** GET /alerts/history?cluster&node&job&rule&from&to&limit: alerts that fired in the window, newest first. */
export const AlertHistory = Type.Object({
  cluster: Type.String(),
  from: Type.Number(),
  to: Type.Number(),
  alerts: Type.Array(Alert),
  total: Type.Number(),
})
export type AlertHistory = Static<typeof AlertHistory>

/** GET /alerts/rules: every rule as it is in force. */
export const AlertRules = Type.Object({
  rules: Type.Array(
    Type.Object({
      rule: Rule,
      origin: Type.Union([Type.Literal('library'), Type.Literal('file'), Type.Literal('page')]),
      author: Type.String(),
      updated: Nullable(Type.Number()),
      unit: Type.String({ description: 'of its thresholds' }),
      firing: Type.Number(),
      pending: Type.Number(),
      error: Nullable(Type.String({ description: 'why it could not be evaluated in the last round' })),
    }),
  ),
  receivers: Type.Array(Type.Object({ name: Type.String(), kind: Type.String() })),
  fileError: Nullable(Type.String({ description: 'what is wrong with the file of rules' })),
  figures: Type.Array(
    Type.Object({ name: Type.String(), scope: Type.String(), unit: Type.String(), meaning: Type.String() }),
  ),
})
export type AlertRules = Static<typeof AlertRules>

/** POST /alerts/test: a rule over the past. */
export const RuleTest = Type.Object({
  cluster: Type.String(),
  from: Type.Number(),
  to: Type.Number(),
  step: Type.Number({ description: 'ms between two looks' }),
  steps: Type.Number(),
  fired: Type.Number({ description: 'how often it would have fired' }),
  firing: Type.Number({ description: 'of those, would fire now' }),
  unit: Type.String(),
  alerts: Type.Array(Alert, { description: 'the newest 500' }),
})
export type RuleTest = Static<typeof RuleTest>

export const Silence = Type.Object({
  id: Type.String(),
  match: Labels,
  from: Type.Number(),
  until: Type.Number(),
  author: Type.String(),
  comment: Type.String(),
})
export type Silence = Static<typeof Silence>
export const Silences = Type.Object({ silences: Type.Array(Silence) })
export type Silences = Static<typeof Silences>

/** GET /alerts/deliveries: messages on their way and those that were given up. */
export const Deliveries = Type.Object({
  deliveries: Type.Array(
    Type.Object({
      id: Type.String(),
      receiver: Type.String(),
      group: Type.String(),
      status: Type.Union([Type.Literal('waiting'), Type.Literal('dead')]),
      firing: Type.Number(),
      resolved: Type.Number(),
      tries: Type.Number(),
      created: Type.Number(),
      next: Type.Number(),
      error: Type.String(),
    }),
  ),
  delivered: Type.Number({ description: 'since this server started' }),
})
export type Deliveries = Static<typeof Deliveries>

export const Done = Type.Object({ done: Type.Boolean() })
export type Done = Static<typeof Done>

const author = Type.Optional(Type.String({ maxLength: 255, description: 'who, where nobody signs in' }))
const closed = { additionalProperties: false } as const
const cluster = Type.Optional(Type.String({ description: 'absent: the only one, else the one heard from last' }))
const Ms = (description: string) => Type.Number({ minimum: 0, maximum: 4e12, description })

export const AlertsAsk = Type.Object(
  {
    cluster,
    node: Type.Optional(Type.String({ description: 'alerts of this node, and of jobs on it' })),
    job: Type.Optional(Type.String()),
    state: Type.Optional(Type.Union([Type.Literal('pending'), Type.Literal('firing')])),
  },
  closed,
)
export type AlertsAsk = Static<typeof AlertsAsk>
export const HistoryAsk = Type.Object(
  {
    cluster,
    node: Type.Optional(Type.String()),
    job: Type.Optional(Type.String()),
    rule: Type.Optional(Type.String()),
    from: Type.Optional(Ms('absent: a day before to')),
    to: Type.Optional(Ms('absent: now')),
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 5000, default: 500 })),
  },
  closed,
)
export type HistoryAsk = Static<typeof HistoryAsk>
export const RuleName = Type.Object({ name: Type.String({ maxLength: 64 }) })
/** What is wrong with a rule is told by checkRule(), in words for who wrote it. */
export const RuleBody = Type.Object({ rule: Type.Unknown(), author }, closed)
export const TestBody = Type.Object({ rule: Type.Unknown(), cluster, from: Ms('begin'), to: Ms('end') }, closed)
export type TestBody = Static<typeof TestBody>
const Words = Type.Optional(Type.String({ maxLength: 1000, default: '' }))
export const SilenceBody = Type.Object(
  {
    match: Type.Record(Type.String(), Type.String({ minLength: 1, maxLength: 255 }), {
      minProperties: 1,
      description: 'labels (rule, node, job, user …) that an alert must have; * stands for any characters',
    }),
    from: Type.Optional(Ms('absent: now')),
    until: Ms('when it ends'),
    comment: Words,
    author,
  },
  closed,
)
export type SilenceBody = Static<typeof SilenceBody>
export const AckBody = Type.Object(
  { comment: Words, author, taken: Type.Optional(Type.Boolean({ default: true, description: 'false takes it back' })) },
  closed,
)
export type AckBody = Static<typeof AckBody>
export const ById = Type.Object({ id: Type.String({ maxLength: 64 }) })
