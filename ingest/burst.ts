/**
 * What a burst is, and what server and collectors say to each other of one: the contract of the control line (WebSocket
 * /v1/control, one JSON object a frame).
 *
 *   collector                       server
 *      ── {hello: node, sampler} ──▶
 *      ◀── {start: BurstOrder} ──
 *      ── {burst: id, state: running, samples …} ──▶    each second while it changes
 *      ◀── {stop: id} ──                                before its time
 *      ── {burst: id, state: done | stopped | refused} ──▶
 *
 * The samples themselves go the way of all stacks, marked with the id of the burst.
 */
import { type Static, Type } from 'typebox'

/** What nobody may pass, neither reader nor server: a collector holds to it by itself. */
export const BURST_LIMITS = { minSeconds: 10, maxSeconds: 300, minHz: 20, maxHz: 2000 } as const

const Id = Type.String({ minLength: 1, maxLength: 64, pattern: '^[0-9A-Za-z-]+$' })
const Count = Type.Number({ minimum: 0 })
const Pid = Type.Integer({ minimum: 1, maximum: 4_294_967_295 })
const Ms = Type.Number({ minimum: 0, maximum: 4e12 })
const Text = Type.String({ maxLength: 1024 })

/** What is looked at on one node. `job`: all of its processes there, or those of one rank. */
export const BurstTarget = Type.Union([
  Type.Object({ kind: Type.Literal('process'), pid: Pid, startMs: Type.Optional(Ms) }),
  Type.Object({
    kind: Type.Literal('job'),
    ids: Type.Array(Type.String({ minLength: 1, maxLength: 255 }), {
      minItems: 1,
      maxItems: 4,
      description: 'what a node may call the job: the id that users type, the one of control groups',
    }),
    rank: Type.Optional(Type.Integer({ minimum: 0 })),
  }),
  Type.Object({ kind: Type.Literal('cgroup'), path: Type.String({ minLength: 1, maxLength: 4096 }) }),
  Type.Object({ kind: Type.Literal('node') }),
])
export type BurstTarget = Static<typeof BurstTarget>

/** Server to collector. */
export const BurstOrder = Type.Object({
  id: Id,
  target: BurstTarget,
  hz: Type.Integer({ minimum: BURST_LIMITS.minHz, maximum: BURST_LIMITS.maxHz }),
  seconds: Type.Number({ minimum: BURST_LIMITS.minSeconds, maximum: BURST_LIMITS.maxSeconds }),
})
export type BurstOrder = Static<typeof BurstOrder>

export const ToCollector = Type.Union([Type.Object({ start: BurstOrder }), Type.Object({ stop: Id })])
export type ToCollector = Static<typeof ToCollector>

/** Collector to server, first. */
export const ControlHello = Type.Object({
  cluster: Type.Optional(Type.String({ minLength: 1, maxLength: 255 })),
  node: Type.String({ minLength: 1, maxLength: 255, description: 'short host name' }),
  /** Why it takes no bursts; absent: it does. */
  absent: Type.Optional(Text),
})
export type ControlHello = Static<typeof ControlHello>

/** running -> done | stopped; refused from the start. `lost`: the node went away, or the server was restarted meanwhile. */
export const BURST_STATES = ['asked', 'running', 'done', 'stopped', 'refused', 'lost'] as const
export type BurstState = (typeof BURST_STATES)[number]

/** Collector to server: how one goes. */
export const BurstNews = Type.Object({
  burst: Id,
  state: Type.Enum(['running', 'done', 'stopped', 'refused']),
  reason: Type.Optional(Text),
  /** Since its start. */
  samples: Count,
  lost: Count,
})
export type BurstNews = Static<typeof BurstNews>

export const FromCollector = Type.Union([Type.Object({ hello: ControlHello }), BurstNews])
export type FromCollector = Static<typeof FromCollector>

/** One node's part in a burst. */
export const BurstPart = Type.Object({
  node: Type.String(),
  state: Type.Enum(BURST_STATES),
  reason: Type.Optional(Text),
  samples: Count,
  lost: Count,
})
export type BurstPart = Static<typeof BurstPart>

/** A burst as it is kept and told. */
export const Burst = Type.Object({
  id: Id,
  cluster: Type.String(),
  job: Type.Optional(Type.String({ description: 'whose processes; of a process: whose it is' })),
  rank: Type.Optional(Type.Integer({ minimum: 0 })),
  pid: Type.Optional(Pid),
  start: Type.Optional(Type.Number({ description: 'of the process, ms' })),
  hz: Type.Number({ description: 'samples a second and CPU' }),
  seconds: Type.Number(),
  by: Type.String({ description: "who asked; '' where nobody has to say" }),
  state: Type.Enum(BURST_STATES, { description: 'of all its nodes together' }),
  reason: Type.Optional(Text),
  from: Type.Number({ description: 'ms; window that holds all its samples' }),
  to: Type.Number(),
  samples: Count,
  lost: Count,
  parts: Type.Array(BurstPart, { description: 'one a node' }),
  updatedMs: Ms,
})
export type Burst = Static<typeof Burst>
