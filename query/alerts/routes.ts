/** Routes of alerts: lists, rules, silences, acknowledgements, messages on their way. */
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { TSchema } from 'typebox'
import { ErrorAnswer } from '../api.ts'
import type { Asker } from '../asker.ts'
import { Nothing } from '../asks.ts'
import type { Room } from '../desk.ts'
import { badRequest, hint } from '../errors.ts'
import type { Reach } from '../reach.ts'
import {
  readAlerts,
  readDeliveries,
  readHistory,
  readRuleList,
  requireDone,
  ruleOf,
  tellProblems,
  testRule,
} from './answers.ts'
import * as api from './api.ts'
import { checkMatch } from './names.ts'
import type { Silence } from './plan.ts'
import { seesAlert } from './reach.ts'
import type { RuleBook } from './rulebook.ts'
import type { AlertDesk } from './service.ts'

const answers = (answer: TSchema) => ({ 200: answer, '4xx': ErrorAnswer, '5xx': ErrorAnswer })
/** Who asks; where nobody signs in, who they say they are. */
const authorOf = ({ who }: Pick<FastifyRequest, 'who'>, given: string | undefined): string =>
  who === undefined || who.via === 'open' ? (given ?? '') : who.user
/** Own ones; who sees everything is asked for the role by the route. */
const mayEnd = ({ only }: Reach, silence: Pick<Silence, 'match'>): boolean =>
  only === undefined || (only.user !== '' && silence.match.user === only.user)
const MAX_SILENCE_MS = 366 * 86_400_000

export function addAlertRoutes(app: FastifyInstance, room: Room, alerts: AlertDesk): void {
  addLists(app, room, alerts)
  addRules(app, room, alerts)
  addTest(app, room, alerts)
  addSilences(app, room, alerts)
  addAcks(app, room, alerts)
  addDeliveries(app, room, alerts)
}

function addLists(app: FastifyInstance, { desk }: Room, alerts: AlertDesk): void {
  const route = app.withTypeProvider<TypeBoxTypeProvider>()
  route.get(
    '/alerts',
    {
      config: { access: 'rows' },
      schema: {
        summary: 'Alerts that fire or are pending, worst first',
        querystring: api.AlertsAsk,
        response: answers(api.Alerts),
      },
    },
    r => readAlerts(desk(r), alerts, r.query),
  )
  route.get(
    '/alerts/history',
    {
      config: { access: 'rows' },
      schema: {
        summary: 'Alerts that fired in a window',
        querystring: api.HistoryAsk,
        response: answers(api.AlertHistory),
      },
    },
    r => readHistory(desk(r), alerts, r.query),
  )
}

function addRules(app: FastifyInstance, { desk }: Room, alerts: AlertDesk): void {
  const route = app.withTypeProvider<TypeBoxTypeProvider>()
  const { rules } = alerts
  route.get(
    '/alerts/rules',
    {
      config: { access: 'reader' },
      schema: {
        summary: 'Rules in force, and what rules can watch',
        querystring: Nothing,
        response: answers(api.AlertRules),
      },
    },
    async r => readRuleList(desk(r).asker.reach, alerts),
  )
  route.put(
    '/alerts/rules/:name',
    {
      config: { access: 'administer' },
      schema: {
        summary: 'A rule, new or in place of the one of this name',
        params: api.RuleName,
        body: api.RuleBody,
        response: answers(api.Done),
      },
    },
    async r => {
      const rule = ruleOf(r.body.rule, alerts)
      if (rule.name !== r.params.name)
        throw badRequest(`the rule is called ${rule.name}: put it to /alerts/rules/${rule.name}`)
      await rules.save(rule, authorOf(r, r.body.author), desk(r).asker.nowMs)
      return { done: true }
    },
  )
  route.delete(
    '/alerts/rules/:name',
    {
      config: { access: 'administer' },
      schema: {
        summary: 'Takes back what the page wrote: a rule of the library or file is as it was',
        params: api.RuleName,
        response: answers(api.Done),
      },
    },
    async r => dropRule(rules, r.params.name),
  )
}

async function dropRule(rules: RuleBook, name: string): Promise<api.Done> {
  const known = rules.entries.get(name)
  if (known && known.origin !== 'page')
    throw badRequest(`${known.rule.name} comes from the ${known.origin}: switch it off with enabled: false instead`)
  if (!known) throw badRequest(`there is no rule ${name}.${hint(name, [...rules.entries.keys()], 'rule')}`)
  const [by] = rules.namedBy(name)
  if (by !== undefined) throw badRequest(`rule ${by} is inhibited by it: take it out of inhibitedBy there first`)
  return requireDone(await rules.drop(name), `rule ${name}`)
}

function addTest(app: FastifyInstance, { desk }: Room, alerts: AlertDesk): void {
  const route = app.withTypeProvider<TypeBoxTypeProvider>()
  route.post(
    '/alerts/test',
    {
      config: { access: 'everything' },
      schema: {
        summary: 'A rule over the past: when it would have fired',
        body: api.TestBody,
        response: answers(api.RuleTest),
      },
    },
    r => testRule(desk(r), alerts, r.body),
  )
}

const toldSilence = ({ id, match, fromMs, untilMs, author, comment }: Silence): api.Silence => ({
  id,
  match,
  from: fromMs,
  until: untilMs,
  author,
  comment,
})

/** What a body asks for, or a refusal. */
function silenceOf(
  r: FastifyRequest<{ Body: api.SilenceBody }>,
  { nowMs, reach: { only } }: Asker,
  { rules, newId }: AlertDesk,
): Silence {
  const { until, comment, from = nowMs, match: given, author } = r.body
  const problems = checkMatch(given, rules.names())
  if (problems.length > 0) throw badRequest(tellProblems(problems))
  if (until <= from) throw badRequest('until must be later than from, and in the future; both are ms since the epoch')
  if (until - from > MAX_SILENCE_MS) throw badRequest('a silence lasts a year at most: switch the rule off instead')
  // Who sees only own jobs silences only own ones.
  const match = only === undefined ? given : { ...given, user: only.user }
  const when = { fromMs: from, untilMs: until }
  return { id: newId(), match, ...when, author: authorOf(r, author), comment: comment ?? '' }
}

function addSilences(app: FastifyInstance, { desk }: Room, alerts: AlertDesk): void {
  const { evaluator } = alerts
  const route = app.withTypeProvider<TypeBoxTypeProvider>()
  route.get(
    '/alerts/silences',
    {
      config: { access: 'rows' },
      schema: { summary: 'Silences, newest first', querystring: Nothing, response: answers(api.Silences) },
    },
    async r => ({
      silences: [...evaluator.silences.values()]
        .filter(silence => mayEnd(desk(r).asker.reach, silence))
        .map(toldSilence)
        .sort((a, b) => b.from - a.from),
    }),
  )
  route.post(
    '/alerts/silences',
    {
      config: { access: 'act' },
      schema: {
        summary: 'Tells nobody of what matches, for a while',
        body: api.SilenceBody,
        response: answers(api.Silence),
      },
    },
    async r => {
      const silence = silenceOf(r, desk(r).asker, alerts)
      await evaluator.silence(silence)
      return toldSilence(silence)
    },
  )
  route.delete(
    '/alerts/silences/:id',
    {
      config: { access: 'act' },
      schema: { summary: 'Ends a silence now', params: api.ById, response: answers(api.Done) },
    },
    async r => {
      const { reach } = desk(r).asker
      const known = [...evaluator.silences.values()].find(s => s.id === r.params.id && mayEnd(reach, s))
      const nowMs = desk(r).asker.nowMs
      if (known)
        await evaluator.silence({
          ...known,
          fromMs: Math.min(known.fromMs, nowMs),
          untilMs: Math.min(known.untilMs, nowMs),
        })
      return requireDone(known, `silence ${r.params.id}`)
    },
  )
}

function addAcks(app: FastifyInstance, { desk }: Room, { evaluator }: AlertDesk): void {
  app.withTypeProvider<TypeBoxTypeProvider>().post(
    '/alerts/:id/ack',
    {
      config: { access: 'act' },
      schema: {
        summary: 'Somebody looks after it: it is not repeated',
        params: api.ById,
        body: api.AckBody,
        response: answers(api.Done),
      },
    },
    async r => {
      const { reach } = desk(r).asker
      const known = evaluator.active().find(a => a.alert.id === r.params.id && seesAlert(reach, a.alert.labels))
      const ack = { author: authorOf(r, r.body.author), comment: r.body.comment ?? '', atMs: desk(r).asker.nowMs }
      if (known) await evaluator.acknowledge(r.params.id, r.body.taken === false ? null : ack)
      return requireDone(known, `an alert ${r.params.id} that fires`)
    },
  )
}

function addDeliveries(app: FastifyInstance, { desk }: Room, alerts: AlertDesk): void {
  const route = app.withTypeProvider<TypeBoxTypeProvider>()
  route.get(
    '/alerts/deliveries',
    {
      config: { access: 'everything' },
      schema: {
        summary: 'Messages on their way, and dead letters',
        querystring: Nothing,
        response: answers(api.Deliveries),
      },
    },
    async () => readDeliveries(alerts),
  )
  route.post(
    '/alerts/deliveries/:id/again',
    {
      config: { access: 'administer' },
      schema: { summary: 'Sends a dead letter again', params: api.ById, response: answers(api.Done) },
    },
    async r => requireDone(await alerts.outbox.again(r.params.id, desk(r).asker.nowMs), `message ${r.params.id}`),
  )
  route.delete(
    '/alerts/deliveries/:id',
    {
      config: { access: 'administer' },
      schema: { summary: 'Drops a message', params: api.ById, response: answers(api.Done) },
    },
    async r => requireDone(await alerts.outbox.drop(r.params.id), `message ${r.params.id}`),
  )
}
