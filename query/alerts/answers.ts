/** What /alerts answers: from the evaluator's memory what fires, from the store what did. */
import type { Desk } from '../desk.ts'
import { badRequest, notFound } from '../errors.ts'
import type { Reach } from '../reach.ts'
import { resolveCluster } from '../scope.ts'
import { and, type Sql, sql } from '../sql.ts'
import { type Active, alertId } from './alert.ts'
import type {
  Alert,
  AlertHistory,
  AlertRules,
  Alerts,
  AlertsAsk,
  Deliveries,
  HistoryAsk,
  RuleTest,
  TestBody,
} from './api.ts'
import { backtest, type Episode } from './backtest.ts'
import { checkRule, type Problem } from './check.ts'
import { FIGURES } from './figures.ts'
import { messageOf, thresholdOf, unitOf } from './message.ts'
import { checkRuleNames } from './names.ts'
import { isInhibited, isSilenced } from './plan.ts'
import { ownAlerts, seesAlert } from './reach.ts'
import { type ReadyRule, type Rule, readyRule, SEVERITIES } from './rule.ts'
import type { AlertDesk } from './service.ts'

const DAY = 86_400_000

export async function readAlerts(desk: Desk, alerts: AlertDesk, ask: AlertsAsk): Promise<Alerts> {
  const cluster = await resolveCluster(desk.asker, desk.known, ask.cluster)
  const { evaluator, config } = alerts
  const known = evaluator.active().filter(a => a.alert.labels.cluster === cluster)
  const active = known.filter(a => seesAlert(desk.asker.reach, a.alert.labels))
  const rules = new Map(known.map(a => [a.rule.name, a.rule]))
  const firing = known.filter(a => a.series.phase === 'firing').map(a => a.alert)
  const all = active.map(a => {
    const inhibited = isInhibited({ alerts: firing, rules }, a.alert)
    return liveAlert(alerts, a, inhibited, desk.asker.nowMs)
  })
  const told = all.filter(a => a.state === 'firing' && !a.silenced && !a.inhibited)
  return {
    cluster,
    alerts: all.filter(alert => isAsked(alert, ask)).sort(worstFirst),
    firing: told.length,
    critical: told.filter(a => a.severity === 'critical').length,
    evaluated: evaluator.counters.evaluatedMs || null,
    evaluates: config.enabled,
  }
}

function isAsked(alert: Alert, { node, job, state }: AlertsAsk): boolean {
  const { labels } = alert
  const jobs = labels.job === undefined ? (labels.jobs?.split(' ') ?? []) : [labels.job]
  return (
    (state === undefined || alert.state === state) &&
    (node === undefined || labels.node === node) &&
    (job === undefined || jobs.includes(job))
  )
}

const RANK = { firing: 0, pending: 1, resolved: 2 }
function worstFirst(a: Alert, b: Alert): number {
  const quiet = (alert: Alert) => Number(alert.silenced || alert.inhibited || alert.ack !== null)
  return (
    RANK[a.state] - RANK[b.state] ||
    quiet(a) - quiet(b) ||
    SEVERITIES.indexOf(b.severity) - SEVERITIES.indexOf(a.severity) ||
    (b.fired ?? b.since) - (a.fired ?? a.since) ||
    (a.id < b.id ? -1 : 1)
  )
}

function liveAlert(
  { evaluator }: AlertDesk,
  { alert, rule, series }: Active,
  inhibited: boolean,
  nowMs: number,
): Alert {
  const ack = evaluator.ackOf(alert.id)
  return {
    id: alert.id,
    rule: rule.name,
    state: series.phase,
    severity: rule.severity,
    labels: alert.labels,
    message: alert.message,
    summary: alert.summary,
    value: series.value,
    worst: series.worst,
    threshold: thresholdOf(rule),
    unit: unitOf(rule),
    since: series.sinceMs,
    fired: series.firedMs || null,
    resolved: null,
    why: '',
    silenced: isSilenced([...evaluator.silences.values()], alert, nowMs),
    inhibited,
    ack: ack ? { author: ack.author, comment: ack.comment, at: ack.atMs } : null,
  }
}

interface HistoryRow {
  rule: string
  series: string
  since: number
  fired: number
  resolved: number
  severity: Alert['severity']
  value: number
  worst: number
  threshold: number
  why: string
  labels: string
  message: string
}

export async function readHistory(desk: Desk, alerts: AlertDesk, ask: HistoryAsk): Promise<AlertHistory> {
  const cluster = await resolveCluster(desk.asker, desk.known, ask.cluster)
  const to = ask.to ?? desk.asker.nowMs
  const from = ask.from ?? to - DAY
  if (to <= from) throw badRequest(`to (${to}) must be later than from (${from}); both are ms since the epoch`)
  const where = and([
    ownAlerts(desk.asker.reach),
    sql`cluster = ${cluster} AND fired_ms <= ${to} AND (resolved_ms = 0 OR resolved_ms >= ${from})`,
    ask.node === undefined ? undefined : sql`node = ${ask.node}`,
    ask.job === undefined
      ? undefined
      : sql`(job = ${ask.job} OR has(splitByChar(' ', JSONExtractString(labels, 'jobs')), ${ask.job}))`,
    ask.rule === undefined ? undefined : sql`rule = ${ask.rule}`,
  ])
  const limit = ask.limit ?? 500
  const rows = await desk.asker.rows<HistoryRow>(
    'alert history',
    sql`SELECT rule, series, toFloat64(since_ms) AS since, toFloat64(fired_ms) AS fired, toFloat64(resolved_ms) AS resolved,
          severity, value, worst, threshold, why, labels, message
        FROM alerts FINAL WHERE ${where} ORDER BY fired_ms DESC, rule, series LIMIT ${limit}`,
  )
  const total = rows.length < limit ? rows.length : await countPast(desk, where)
  return { cluster, from, to, alerts: rows.map(row => pastAlert(alerts, row)), total }
}

async function countPast({ asker }: Desk, where: Sql): Promise<number> {
  const [count] = await asker.rows<{ alerts: number }>(
    'alerts counted',
    sql`SELECT toFloat64(count()) AS alerts FROM alerts FINAL WHERE ${where}`,
  )
  return count?.alerts ?? 0
}

function pastAlert({ rules }: AlertDesk, row: HistoryRow): Alert {
  const rule = rules.entries.get(row.rule)?.rule
  const { rule: name, message, value, worst, threshold, since, severity, why } = row
  return {
    id: alertId(name, row.series),
    ...{ rule: name, message, value, worst, threshold, since, severity, why },
    state: row.resolved === 0 ? 'firing' : 'resolved',
    labels: parseLabels(row.labels),
    summary: rule?.summary ?? '',
    unit: rule ? unitOf(rule) : '1',
    fired: row.fired,
    resolved: row.resolved || null,
    silenced: false,
    inhibited: false,
    ack: null,
  }
}

/** Written by book.ts. */
const parseLabels = (text: string): Record<string, string> => JSON.parse(text) as Record<string, string>

export function readRuleList(reach: Reach, { rules, evaluator }: AlertDesk): AlertRules {
  const active = evaluator.active().filter(a => seesAlert(reach, a.alert.labels))
  const counted = (name: string, phase: string) =>
    active.filter(a => a.rule.name === name && a.series.phase === phase).length
  return {
    rules: [...rules.entries.values()].map(({ rule, origin, author, updatedMs }) => ({
      rule: plainRule(rule),
      origin,
      author,
      updated: updatedMs || null,
      unit: unitOf(rule),
      firing: counted(rule.name, 'firing'),
      pending: counted(rule.name, 'pending'),
      error: evaluator.error(rule.name) ?? null,
    })),
    receivers: rules.file.receivers.map(({ name, kind }) => ({ name, kind })),
    fileError: rules.fileError ?? null,
    figures: FIGURES.map(({ name, scope, unit, meaning }) => ({ name, scope, unit, meaning })),
  }
}

/** As it would be written: without what readyRule() added. */
function plainRule(rule: ReadyRule): Rule {
  const { windowMs: _, forMs: __, keepForMs: ___, ...plain } = rule
  return plain
}

export const tellProblems = (problems: readonly Problem[]): string =>
  problems.map(({ path, message }) => `${path.join('.')}${path.length > 0 ? ': ' : ''}${message}`).join('; ')

/** The rule of a body, or a refusal that says what is wrong with it. */
export function ruleOf(given: unknown, alerts: AlertDesk): Rule {
  const checked = checkRule(given)
  const problems = 'rule' in checked ? checkRuleNames(checked.rule, alerts.rules.names()) : checked.problems
  if (!('rule' in checked) || problems.length > 0) throw badRequest(tellProblems(problems))
  return checked.rule
}

export async function testRule(desk: Desk, alerts: AlertDesk, body: TestBody): Promise<RuleTest> {
  const cluster = await resolveCluster(desk.asker, desk.known, body.cluster)
  const rule = readyRule(ruleOf(body.rule, alerts))
  const { stepMs, steps, episodes } = await backtest(desk, cluster, rule, {
    from: body.from,
    to: Math.min(body.to, desk.asker.nowMs),
  })
  return {
    cluster,
    from: body.from,
    to: body.to,
    step: stepMs,
    steps,
    fired: episodes.length,
    firing: episodes.filter(e => e.resolvedMs === undefined).length,
    unit: unitOf(rule),
    alerts: episodes
      .slice(-SHOWN)
      .reverse()
      .map(episode => testedAlert(rule, episode)),
  }
}
const SHOWN = 500

function testedAlert(rule: ReadyRule, { key, series, firedMs, resolvedMs }: Episode): Alert {
  return {
    id: alertId(rule.name, key),
    rule: rule.name,
    state: resolvedMs === undefined ? 'firing' : 'resolved',
    severity: rule.severity,
    labels: { ...series.labels, ...rule.labels },
    message: messageOf(rule, { ...series, value: series.worst }),
    summary: rule.summary ?? '',
    value: series.value,
    worst: series.worst,
    threshold: thresholdOf(rule),
    unit: unitOf(rule),
    since: series.sinceMs,
    fired: firedMs,
    resolved: resolvedMs ?? null,
    why: '',
    silenced: false,
    inhibited: false,
    ack: null,
  }
}

export const readDeliveries = ({ outbox }: AlertDesk): Deliveries => ({
  deliveries: outbox.list().map(({ id, notice, status, tries, createdMs, nextMs, error }) => ({
    id,
    receiver: notice.receiver,
    group: notice.group,
    status,
    firing: notice.firing.length,
    resolved: notice.resolved.length,
    tries,
    created: createdMs,
    next: nextMs,
    error,
  })),
  delivered: outbox.counters.delivered,
})

export const requireDone = (done: unknown, what: string): { done: boolean } => {
  if (done === undefined || done === false) throw notFound(`${what} is not known`)
  return { done: true }
}
