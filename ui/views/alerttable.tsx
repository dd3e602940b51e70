/** Alerts in a table, worst first: each leads to its job, node or process at its moment. */
import { useState } from 'preact/hooks'
import type { Alert } from '../../query/api.ts'
import { AskError, order } from '../client.ts'
import { formatAgo, formatSpan, formatTime, formatValue } from '../format.ts'
import { messageOf, summaryOf } from '../ready.ts'
import { fixedQuery } from '../time.ts'
import { type Key, known, t } from '../words.ts'
import { SilenceButton } from './alertquiet.tsx'
import type { Sheet } from './panel.tsx'
import { linkTo, type Page } from './scope.ts'

interface Props {
  page: Page
  alerts: readonly Alert[]
  /** Given where something can be done about them. */
  again?: () => void
}

export function AlertTable({ page, alerts, again }: Props) {
  const past = again === undefined
  return (
    <div class="scroll tall">
      <table class="table alerts">
        <thead>
          <tr>
            <th scope="col">{t('alert.state')}</th>
            <th scope="col">{t('alert.what')}</th>
            <th scope="col">{t('alert.where')}</th>
            <th scope="col" class="num">
              {t(past ? 'alert.worst' : 'alert.value')}
            </th>
            <th scope="col" class="num">
              {t('alert.since')}
            </th>
            <th scope="col" class="num">
              <span class={past ? '' : 'unseen'}>{t(past ? 'alert.lasted' : 'alert.todo')}</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {alerts.map(alert => (
            <tr key={`${alert.id} ${alert.since}`} class={isQuiet(alert) ? 'quiet' : ''}>
              <td class="fit">
                <StateCell alert={alert} />
              </td>
              <td>
                <WhatCell page={page} alert={alert} />
              </td>
              <td class="fit">
                <Places page={page} alert={alert} />
              </td>
              <td class="num" title={t('alert.limit', { value: formatValue(alert.unit, alert.threshold) })}>
                {formatValue(alert.unit, past ? alert.worst : alert.value)}
              </td>
              <td class="num soft" title={formatTime(alert.since, 1)}>
                {past ? formatTime(alert.fired ?? alert.since) : formatAgo(alert.fired ?? alert.since, page.now)}
              </td>
              <td class="num">{past ? lasted(alert, page.now) : <Actions alert={alert} again={again} />}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}

const isQuiet = (alert: Alert): boolean => alert.silenced || alert.inhibited || alert.ack !== null
const lasted = (alert: Alert, nowMs: number): string =>
  formatSpan(Math.max(0, (alert.resolved ?? nowMs) - (alert.fired ?? alert.since)))

/** Severity by shape and word, not by colour alone. */
function StateCell({ alert }: { alert: Alert }) {
  const { state, severity } = alert
  return (
    <span class={`alert-state ${state === 'firing' ? severity : state}`}>
      {t(`alert.${state === 'firing' ? severity : state}`)}
    </span>
  )
}

function WhatCell({ page, alert }: { page: Page; alert: Alert }) {
  const [message, summary] = [messageOf(alert.rule, alert.message), summaryOf(alert.rule, alert.summary)]
  const marks: string[] = []
  if (alert.silenced) marks.push(t('alert.silenced'))
  if (alert.inhibited) marks.push(t('alert.inhibited'))
  if (alert.ack) marks.push(t('alert.taken', { author: alert.ack.author || t('alert.takenBy') }))
  const why: Key | undefined = known(`alert.why.${alert.why}`) ? (`alert.why.${alert.why}` as Key) : undefined
  return (
    <>
      <a class="cut main" href={momentOf(page, alert)} title={`${message}\n${t('alert.open')}`}>
        {message}
      </a>
      <span class="cut dim" title={summary}>
        {[alert.rule, ...marks, ...(why ? [t(why)] : []), alert.ack?.comment ?? '', summary]
          .filter(text => text !== '')
          .join(' · ')}
      </span>
    </>
  )
}

/** Around the alert, its begin in the first third. */
export function spanOfAlert(alert: Alert, nowMs: number): { from: number; to: number } {
  const end = alert.resolved ?? nowMs
  const around = Math.max(600_000, (end - alert.since) / 3)
  return { from: alert.since - around, to: Math.min(nowMs, end + around) }
}

function momentOf(page: Page, alert: Alert): string {
  const { job, node, pid, start, burst } = alert.labels
  const scope = {
    ...(job === undefined ? {} : { job }),
    ...(node === undefined ? {} : { node }),
    ...(pid === undefined ? {} : { pid: Number(pid) }),
  }
  return linkTo(page, scope, { ...fixedQuery(spanOfAlert(alert, page.now)), start, burst })
}

function Places({ page, alert }: { page: Page; alert: Alert }) {
  const { job, node, instance, user, process, function: name } = alert.labels
  return (
    <span class="alert-places">
      {job !== undefined && (
        <a href={linkTo(page, { job }, { range: undefined, from: undefined, to: undefined })}>{job}</a>
      )}
      {node !== undefined && <a href={linkTo(page, { node })}>{node}</a>}
      {[instance, process, name, user].map(
        text =>
          text && (
            <span key={text} class="soft">
              {text}
            </span>
          ),
      )}
    </span>
  )
}

function Actions({ alert, again }: { alert: Alert; again: () => void }) {
  const [refusal, setRefusal] = useState('')
  const take = async () => {
    try {
      await order.acknowledge(alert.id, { taken: alert.ack === null })
      again()
    } catch (error) {
      setRefusal(error instanceof AskError ? error.message : String(error))
    }
  }
  return (
    <span class="alert-actions">
      {refusal !== '' && (
        <span class="badge alert" role="alert" title={refusal}>
          !
        </span>
      )}
      {alert.state === 'firing' && (
        <button type="button" class="button plain" title={t('alert.takeWhy')} onClick={take}>
          {t(alert.ack ? 'alert.give' : 'alert.take')}
        </button>
      )}
      {!alert.silenced && <SilenceButton alert={alert} again={again} />}
    </span>
  )
}

export const alertSheet = (alerts: readonly Alert[]): Sheet => ({
  columns: [
    'state',
    'severity',
    'rule',
    'message',
    'node',
    'job',
    'user',
    'value',
    'worst',
    'threshold',
    'since',
    'fired',
    'resolved',
    'why',
  ],
  rows: alerts.map(a => [
    ...[a.state, a.severity, a.rule, a.message, a.labels.node ?? '', a.labels.job ?? '', a.labels.user ?? ''],
    ...[a.value, a.worst, a.threshold],
    ...[a.since, a.fired, a.resolved].map(ms => (ms === null ? null : new Date(ms).toISOString())),
    a.why,
  ]),
})
