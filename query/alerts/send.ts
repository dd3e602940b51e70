/** A notice to its receiver: webhook, Alertmanager, mail, chats. Each takes what its own documentation says. */
import { createHmac } from 'node:crypto'
import { createTransport } from 'nodemailer'
import { chatBody, signedUrl } from './chat.ts'
import { filledText, htmlOf, subjectOf } from './letter.ts'
import type { Delivery, SendNotice } from './outbox.ts'
import type { Alert } from './plan.ts'
import type { Receiver, ReceiverOf } from './receiver.ts'

const TIMEOUT_MS = 10_000

export interface SendOptions {
  now: () => number
  /** Where users reach the page; '' where nobody told. */
  pageUrl: string
}

export function openSend({ now, pageUrl }: SendOptions): SendNotice {
  return async (receiver, delivery) => {
    switch (receiver.kind) {
      case 'webhook':
        return sendWebhook(receiver, delivery, now())
      case 'alertmanager':
        return sendAlertmanager(receiver, delivery, now())
      case 'mail':
        return sendMail(receiver, delivery)
      default: {
        const answer = await post(signedUrl(receiver, now()), chatBody(receiver, delivery.notice, pageUrl, now()), {})
        return checkChat(receiver.kind, answer)
      }
    }
  }
}

/** POST of JSON; the answer's text. Throws on any status but 2xx. */
async function post(url: string, body: object | string, headers: Readonly<Record<string, string>>): Promise<string> {
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  let response: Response
  try {
    response = await fetch(url, {
      method: 'POST',
      redirect: 'error',
      signal: AbortSignal.timeout(TIMEOUT_MS),
      headers: { 'content-type': 'application/json', 'user-agent': 'jobsight', ...headers },
      body: text,
    })
  } catch (cause) {
    const why = cause instanceof Error && cause.cause instanceof Error ? cause.cause : cause
    throw new Error(`cannot reach ${new URL(url).host}: ${why instanceof Error ? why.message : why}`)
  }
  const answer = (await response.text()).slice(0, 4096)
  if (!response.ok) throw new Error(`${new URL(url).host} answered ${response.status}: ${answer.slice(0, 300)}`)
  return answer
}

/**
 * The body is signed with its time, so that it can be neither forged nor played again later:
 * x-jobsight-signature: t=SECONDS,v1=HMAC-SHA256(secret, "SECONDS.BODY") in hex. x-jobsight-delivery is the same when a
 * message comes twice.
 */
async function sendWebhook(receiver: ReceiverOf<'webhook'>, { id, notice }: Delivery, nowMs: number): Promise<void> {
  const status = notice.firing.length > 0 ? 'firing' : 'resolved'
  const alerts = [
    ...notice.firing.map(a => alertBody(a, undefined)),
    ...notice.resolved.map(a => alertBody(a, a.resolvedMs)),
  ]
  const body = JSON.stringify({
    version: 1,
    receiver: notice.receiver,
    status,
    group: notice.group,
    groupLabels: notice.groupLabels,
    alerts,
  })
  const seconds = Math.floor(nowMs / 1000)
  const signature =
    receiver.secret === undefined
      ? {}
      : {
          'x-jobsight-signature': `t=${seconds},v1=${createHmac('sha256', receiver.secret).update(`${seconds}.${body}`).digest('hex')}`,
        }
  await post(receiver.url, body, { ...receiver.headers, ...signature, 'x-jobsight-delivery': id })
}

const alertBody = (alert: Alert, resolvedMs: number | undefined) => ({
  status: resolvedMs === undefined ? 'firing' : 'resolved',
  id: alert.id,
  rule: alert.rule,
  severity: alert.severity,
  labels: alert.labels,
  message: alert.message,
  summary: alert.summary,
  value: alert.value,
  link: alert.link,
  startsAt: new Date(alert.firedMs).toISOString(),
  endsAt: resolvedMs === undefined ? null : new Date(resolvedMs).toISOString(),
})

/** What still fires is told every minute; where it is not for so long, Alertmanager takes it as resolved. */
const ALERTMANAGER_KEEPS_MS = 5 * 60_000

/** https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml postAlerts */
async function sendAlertmanager(
  { url, headers }: ReceiverOf<'alertmanager'>,
  { notice }: Delivery,
  nowMs: number,
): Promise<void> {
  const bodyOf = (alert: Alert, endsMs: number) => ({
    labels: { alertname: alert.rule, severity: alert.severity, ...lasting(alert) },
    annotations: { summary: alert.message, description: alert.summary },
    startsAt: new Date(alert.firedMs).toISOString(),
    endsAt: new Date(endsMs).toISOString(),
    ...(alert.link.startsWith('http') ? { generatorURL: alert.link } : {}),
  })
  const body = [
    ...notice.firing.map(alert => bodyOf(alert, nowMs + ALERTMANAGER_KEEPS_MS)),
    ...notice.resolved.map(alert => bodyOf(alert, alert.resolvedMs)),
  ]
  await post(`${url.replace(/\/$/, '')}/api/v2/alerts`, JSON.stringify(body), headers ?? {})
}

/** Labels are an alert's identity there: one that changes while it fires would be another alert. */
function lasting({ labels }: Alert): Record<string, string> {
  const { rule: _, own: __, median: ___, jobs: ____, burst: _____, ...kept } = labels
  return kept
}

async function sendMail(receiver: ReceiverOf<'mail'>, { id, notice }: Delivery): Promise<void> {
  const { host, port, secure, user, password } = receiver.smtp
  const to = notice.to ?? receiver.to
  if (to === undefined) throw new Error('nobody to send it to: write to: or owners: in the file of rules')
  const transport = createTransport({
    host,
    port: port ?? (secure ? 465 : 25),
    secure: secure ?? false,
    connectionTimeout: TIMEOUT_MS,
    greetingTimeout: TIMEOUT_MS,
    socketTimeout: TIMEOUT_MS,
    ...(user === undefined ? {} : { auth: { user, pass: password ?? '' } }),
  })
  try {
    await transport.sendMail({
      from: receiver.from,
      to,
      subject: subjectOf(notice),
      text: filledText(notice),
      html: htmlOf(notice),
      // The same letter when it is tried again.
      messageId: `<${id}@jobsight>`,
      headers: { 'auto-submitted': 'auto-generated' },
    })
  } finally {
    transport.close()
  }
}

/** They answer 200 and say in the body that they did not take it. */
function checkChat(kind: Receiver['kind'], answer: string): void {
  if (kind === 'slack') return
  let said: unknown
  try {
    said = JSON.parse(answer)
  } catch {
    throw new Error(`${kind} answered ${answer.slice(0, 200)}`)
  }
  const code =
    typeof said === 'object' && said !== null
      ? Object.entries(said).find(([key]) => ['errcode', 'code', 'StatusCode'].includes(key))?.[1]
      : undefined
  if (code !== undefined && code !== 0) throw new Error(`${kind} did not take it: ${answer.slice(0, 300)}`)
}
