/** Who is told, how and how often: schema and type under one name. Receivers are written in the file of rules only. */
import { type Static, Type } from 'typebox'
import { DURATION, SEVERITIES } from './rule.ts'

const closed = { additionalProperties: false } as const
const Wait = (description: string) => Type.Optional(Type.String({ pattern: DURATION, description }))
const Url = (description: string) => Type.String({ pattern: '^https?://', description })

const common = {
  name: Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$', description: 'unique' }),
  match: Type.Optional(
    Type.Record(Type.String(), Type.String(), {
      description: 'labels that an alert must have; * stands for any characters',
    }),
  ),
  minSeverity: Type.Optional(Type.Enum(SEVERITIES, { description: 'info' })),
  groupBy: Type.Optional(
    Type.Array(Type.String(), { description: 'alerts with the same of these labels are one message; cluster, rule' }),
  ),
  groupWait: Wait('how long the first alert of a group waits for others; 30s'),
  groupInterval: Wait('at least so long between two messages of a group that changes; 5m'),
  repeat: Wait('a group that still fires is told again; 4h'),
  resolved: Type.Optional(Type.Boolean({ description: 'ends are told too; true' })),
}

const Webhook = Type.Object(
  {
    ...common,
    kind: Type.Literal('webhook'),
    url: Url('gets a POST with JSON'),
    secret: Type.Optional(Type.String({ minLength: 8, description: 'signs the body: x-jobsight-signature' })),
    headers: Type.Optional(Type.Record(Type.String(), Type.String())),
  },
  closed,
)
const Alertmanager = Type.Object(
  {
    ...common,
    kind: Type.Literal('alertmanager'),
    url: Url('of a Prometheus Alertmanager: http://host:9093'),
    headers: Type.Optional(Type.Record(Type.String(), Type.String())),
  },
  closed,
)
const Mail = Type.Object(
  {
    ...common,
    kind: Type.Literal('mail'),
    smtp: Type.Object(
      {
        host: Type.String(),
        port: Type.Optional(Type.Integer({ minimum: 1, maximum: 65_535, description: '25; with secure 465' })),
        secure: Type.Optional(
          Type.Boolean({ description: 'TLS from the first byte; else STARTTLS where it is offered' }),
        ),
        user: Type.Optional(Type.String()),
        password: Type.Optional(Type.String()),
      },
      closed,
    ),
    from: Type.String({ description: 'Jobsight <jobsight@hpc.example.org>' }),
    to: Type.Optional(Type.Array(Type.String(), { minItems: 1, description: 'addresses' })),
    toOwner: Type.Optional(
      Type.Boolean({ description: 'only alerts of rules with owner: true, to the user whose job it is (see owners)' }),
    ),
  },
  closed,
)
export const CHATS = ['slack', 'dingtalk', 'feishu', 'wecom'] as const
const Chat = Type.Object(
  {
    ...common,
    kind: Type.Enum(CHATS),
    url: Url('of the incoming webhook (robot)'),
    secret: Type.Optional(Type.String({ description: 'DingTalk, Feishu: signs the request' })),
    template: Type.Optional(
      Type.String({
        maxLength: 4000,
        description: 'text of a message: {status}, {count}, {alerts}, {link} and the group labels',
      }),
    ),
  },
  closed,
)

export const Receiver = Type.Union([Webhook, Alertmanager, Mail, Chat])
export type Receiver = Static<typeof Receiver>
export type ReceiverOf<K extends Receiver['kind']> = Extract<Receiver, { kind: K }>
export const RECEIVERS = { webhook: Webhook, alertmanager: Alertmanager, mail: Mail, chat: Chat } as const

/** How users are reached: their own address, else name@domain. */
export const Owners = Type.Object(
  {
    domain: Type.Optional(Type.String({ description: 'ann is ann@DOMAIN' })),
    addresses: Type.Optional(Type.Record(Type.String(), Type.String(), { description: 'ann: ann.lee@example.org' })),
  },
  closed,
)
export type Owners = Static<typeof Owners>

export const addressOf = (owners: Owners, user: string): string | undefined =>
  owners.addresses?.[user] ??
  (owners.domain !== undefined && /^[\w.+-]{1,64}$/.test(user) ? `${user}@${owners.domain}` : undefined)
