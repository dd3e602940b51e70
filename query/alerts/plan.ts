/**
 * planNotices(): what fires, what receivers were told, who wants to hear what -> what to tell now. Pure.
 *
 *   fires        a a a a a a a a a a . . .
 *                    b b b b b b b b b b .
 *   told         . A . . B . . . R . . a . b      one group of one receiver
 *                 └┬┘   └┬┘     └┬┘   └┬┘
 *              groupWait groupInterval  repeat     ends
 *
 * A group is told when it is new and has waited for others, when something in it began or ended and the last message is old
 * enough, and again after `repeat`. What was told is remembered with it (Told), durably, so a restart tells nothing twice.
 * Silenced, inhibited and acknowledged alerts are no news; their end is told if their begin was.
 */
import type { Labels } from './evaluate.ts'
import { groupBy } from './groups.ts'
import { addressOf, type Owners, type Receiver } from './receiver.ts'
import { matches, parseDuration, type ReadyRule, SEVERITIES } from './rule.ts'

/** One alert that fires, as receivers see it. */
export interface Alert {
  /** rule and series: the same while it fires. */
  id: string
  rule: string
  severity: (typeof SEVERITIES)[number]
  /** Identity and what is known, and the rule's own labels. */
  labels: Labels
  message: string
  summary: string
  link: string
  value: number
  firedMs: number
}

export interface Silence {
  id: string
  /** Labels that an alert must have; * stands for any characters. `rule` is one of them. */
  match: Readonly<Record<string, string>>
  fromMs: number
  untilMs: number
  author: string
  comment: string
}

export interface Told {
  receiver: string
  group: string
  /** When the group was seen first. */
  seenMs: number
  /** When it was told last; 0: never. */
  toldMs: number
  /** What the receiver believes to fire. */
  alerts: readonly Alert[]
}

export interface Notice {
  receiver: string
  group: string
  groupLabels: Labels
  /** Of mail to owners. */
  to?: string
  firing: readonly Alert[]
  resolved: readonly (Alert & { resolvedMs: number })[]
}

export interface Situation {
  alerts: readonly Alert[]
  rules: ReadonlyMap<string, ReadyRule>
  receivers: readonly Receiver[]
  owners: Owners
  silences: readonly Silence[]
  /** Ids of alerts that somebody said to look after. */
  acknowledged: ReadonlySet<string>
  /** receiver and group -> what was told. */
  told: ReadonlyMap<string, Told>
  /** Groups with a message still on its way: not repeated before it is there. */
  underWay: ReadonlySet<string>
}

export interface Plan {
  notices: Notice[]
  /** What changed of told; undefined: forget it. */
  told: Map<string, Told | undefined>
}

export const toldKey = (receiver: string, group: string): string => `${receiver} ${group}`

export function planNotices(situation: Situation, nowMs: number): Plan {
  const plan: Plan = { notices: [], told: new Map() }
  const news = situation.alerts.filter(
    alert => !isSilenced(situation.silences, alert, nowMs) && !isInhibited(situation, alert),
  )
  const firing = new Set(situation.alerts.map(alert => alert.id))
  const told = groupBy(situation.told.values(), t => t.receiver)
  for (const receiver of situation.receivers) {
    const wanted = news.filter(alert => wants(receiver, situation, alert))
    const groups = groupBy(wanted, alert => groupOf(receiver, alert))
    const before = new Map((told.get(receiver.name) ?? []).map(t => [t.group, t]))
    for (const group of new Set([...groups.keys(), ...before.keys()])) {
      planGroup({ plan, situation, receiver, group, nowMs, firing }, groups.get(group) ?? [], before.get(group))
    }
  }
  for (const [name, groups] of told) {
    // Nobody is there to be told any more.
    if (!situation.receivers.some(r => r.name === name))
      for (const t of groups) plan.told.set(toldKey(name, t.group), undefined)
  }
  return plan
}

interface Group {
  plan: Plan
  situation: Situation
  receiver: Receiver
  group: string
  nowMs: number
  /** All that fires, told or not. */
  firing: ReadonlySet<string>
}

function planGroup(of: Group, alerts: readonly Alert[], was: Told | undefined): void {
  const { plan, receiver, group, nowMs, firing } = of
  const key = toldKey(receiver.name, group)
  const known = new Map((was?.alerts ?? []).map(alert => [alert.id, alert]))
  const fresh = alerts.filter(alert => !known.has(alert.id))
  const ended = [...known.values()].filter(alert => !firing.has(alert.id))
  if (alerts.length === 0 && ended.length === 0) {
    // Silenced meanwhile: remembered, so that the end of the silence is no news and the end of the alert is.
    if (known.size === 0 && was) plan.told.set(key, undefined)
    return
  }
  const base: Told = was ?? { receiver: receiver.name, group, seenMs: nowMs, toldMs: 0, alerts: [] }
  if (!isDue(of, base, alerts, fresh.length + ended.length > 0)) {
    if (!was) plan.told.set(key, base)
    return
  }
  // What is silenced now and was told before stays known.
  const held = [...known.values()].filter(alert => firing.has(alert.id) && !alerts.some(a => a.id === alert.id))
  const resolved = receiver.resolved === false ? [] : ended.map(alert => ({ ...alert, resolvedMs: nowMs }))
  if (alerts.length + resolved.length > 0) plan.notices.push(noticeOf(of, alerts, resolved))
  const next = [...alerts, ...held]
  plan.told.set(key, next.length === 0 ? undefined : { ...base, toldMs: nowMs, alerts: next })
}

/** Alertmanager groups by itself and forgets what is not told again: all in one group, at once, every minute. */
const STEADY = { wait: '0s', interval: '0s', repeat: '1m' }
const USUAL = { wait: '30s', interval: '5m', repeat: '4h' }

function isDue(
  { situation, receiver, group, nowMs }: Group,
  told: Told,
  alerts: readonly Alert[],
  changed: boolean,
): boolean {
  const usual = receiver.kind === 'alertmanager' ? STEADY : USUAL
  const passed = (sinceMs: number, wait: string) => nowMs - sinceMs >= parseDuration(wait)
  if (told.toldMs === 0) return passed(told.seenMs, receiver.groupWait ?? usual.wait)
  if (changed) return passed(told.toldMs, receiver.groupInterval ?? usual.interval)
  if (situation.underWay.has(toldKey(receiver.name, group))) return false
  const open = receiver.kind === 'alertmanager' || alerts.some(alert => !situation.acknowledged.has(alert.id))
  return open && alerts.length > 0 && passed(told.toldMs, receiver.repeat ?? usual.repeat)
}

function noticeOf(
  { receiver, group, situation }: Group,
  firing: readonly Alert[],
  resolved: Notice['resolved'],
): Notice {
  const [any] = [...firing, ...resolved]
  const names = groupNames(receiver)
  const groupLabels = Object.fromEntries(
    names.flatMap(name => (any?.labels[name] === undefined ? [] : [[name, any.labels[name]]])),
  )
  const user = any?.labels.user
  const to =
    receiver.kind === 'mail' && receiver.toOwner && user !== undefined ? addressOf(situation.owners, user) : undefined
  return { receiver: receiver.name, group, groupLabels, ...(to === undefined ? {} : { to }), firing, resolved }
}

const groupNames = (receiver: Receiver): readonly string[] => {
  const names = receiver.groupBy ?? (receiver.kind === 'alertmanager' ? ['cluster'] : ['cluster', 'rule'])
  return receiver.kind === 'mail' && receiver.toOwner ? [...new Set([...names, 'user'])] : names
}

const groupOf = (receiver: Receiver, alert: Alert): string =>
  groupNames(receiver)
    .map(name => `${name}=${alert.labels[name] ?? ''}`)
    .join(' ')

function wants(receiver: Receiver, { rules, owners }: Situation, alert: Alert): boolean {
  const rule = rules.get(alert.rule)
  if (receiver.kind === 'mail' && receiver.toOwner) {
    if (!rule?.owner || alert.labels.user === undefined || addressOf(owners, alert.labels.user) === undefined)
      return false
  } else if (rule?.notify && !rule.notify.includes(receiver.name)) return false
  const least = SEVERITIES.indexOf(receiver.minSeverity ?? 'info')
  return SEVERITIES.indexOf(alert.severity) >= least && hasLabels(alert, receiver.match ?? {})
}

const hasLabels = (alert: Pick<Alert, 'labels'>, match: Readonly<Record<string, string>>): boolean =>
  Object.entries(match).every(([name, glob]) => matches(glob, alert.labels[name]))

export const isSilenced = (silences: readonly Silence[], alert: Pick<Alert, 'labels'>, nowMs: number): boolean =>
  silences.some(s => s.fromMs <= nowMs && nowMs < s.untilMs && hasLabels(alert, s.match))

/** Another rule, named by this one's inhibitedBy, fires for the same node or job. */
export function isInhibited({ alerts, rules }: Pick<Situation, 'alerts' | 'rules'>, alert: Alert): boolean {
  const by = rules.get(alert.rule)?.inhibitedBy
  if (by === undefined || by.length === 0) return false
  return alerts.some(other => other !== alert && by.includes(other.rule) && concerns(other.labels, alert.labels))
}

/** They share the job where both name some, else the node, else one of them is the whole cluster's. */
function concerns(a: Labels, b: Labels): boolean {
  if (a.cluster !== b.cluster) return false
  const [of, and] = [jobsOf(a), jobsOf(b)]
  if (of.length > 0 && and.length > 0 && (a.job ?? b.job) !== undefined) return of.some(job => and.includes(job))
  if (a.node !== undefined && b.node !== undefined) return a.node === b.node
  return (a.job ?? a.node) === undefined || (b.job ?? b.node) === undefined
}

/** The job of an alert, or the jobs on its node. */
const jobsOf = ({ job, jobs }: Labels): string[] => (job === undefined ? (jobs?.split(' ') ?? []) : [job])
