/**
 * Robots of chats. Slack: https://api.slack.com/messaging/webhooks · DingTalk: https://open.dingtalk.com/document/robots ·
 * Feishu: https://open.feishu.cn/document/client-docs/bot-v3/add-custom-bot · WeCom: https://developer.work.weixin.qq.com/document/path/91770
 */
import { createHmac } from 'node:crypto'
import { subjectOf } from './letter.ts'
import { filled } from './message.ts'
import type { Notice } from './plan.ts'
import type { CHATS, ReceiverOf } from './receiver.ts'

type Chat = ReceiverOf<(typeof CHATS)[number]>

/** WeCom takes 4096 bytes, the others more. */
const MAX_BYTES = 3900
const MAX_ALERTS = 20

/** DingTalk signs the address: HMAC-SHA256(secret, "TIMESTAMP\nSECRET") in base64. */
export function signedUrl({ kind, url, secret }: Chat, nowMs: number): string {
  if (kind !== 'dingtalk' || secret === undefined) return url
  const signed = new URL(url)
  signed.searchParams.set('timestamp', String(nowMs))
  signed.searchParams.set('sign', createHmac('sha256', secret).update(`${nowMs}\n${secret}`).digest('base64'))
  return signed.href
}

export function chatBody(receiver: Chat, notice: Notice, pageUrl: string, nowMs: number): object {
  const title = safe(receiver.kind, subjectOf(notice))
  const text = cut(textOf(receiver, notice, pageUrl))
  switch (receiver.kind) {
    case 'slack':
      return { text }
    case 'dingtalk':
      return { msgtype: 'markdown', markdown: { title, text } }
    case 'wecom':
      return { msgtype: 'markdown', markdown: { content: text } }
    case 'feishu':
      return { ...feishuSign(receiver.secret, nowMs), msg_type: 'text', content: { text } }
  }
}

/** Feishu signs in the body, with the text as key and nothing as message. */
function feishuSign(secret: string | undefined, nowMs: number): { timestamp?: string; sign?: string } {
  if (secret === undefined) return {}
  const timestamp = String(Math.floor(nowMs / 1000))
  return { timestamp, sign: createHmac('sha256', `${timestamp}\n${secret}`).update('').digest('base64') }
}

function textOf({ kind, template }: Chat, notice: Notice, pageUrl: string): string {
  const all = [...notice.firing, ...notice.resolved]
  const ended = new Set(notice.resolved.map(alert => alert.id))
  const line = ({ id, severity, message, link }: (typeof all)[number]) => {
    const word = ended.has(id) ? 'resolved' : severity
    const linked = link.startsWith('http')
    const said = safe(kind, message)
    if (kind === 'slack') return `• *${word}* ${linked ? `<${link}|${said}>` : said}`
    if (kind === 'feishu') return `${word}: ${said}${linked ? ` ${link}` : ''}`
    return `- **${word}** ${linked ? `[${said}](${link})` : said}`
  }
  const more = all.length > MAX_ALERTS ? [`+ ${all.length - MAX_ALERTS}`] : []
  const words = {
    ...notice.groupLabels,
    status: notice.firing.length > 0 ? 'firing' : 'resolved',
    count: String(all.length),
    alerts: [...all.slice(0, MAX_ALERTS).map(line), ...more].join('\n'),
    link: pageUrl,
    title: safe(kind, subjectOf(notice)),
  }
  return filled(template ?? (kind === 'slack' ? '{title}\n{alerts}' : '{title}\n\n{alerts}'), words)
}

/** Names of jobs are free text: they mention nobody and bring no markup of theirs. */
function safe(kind: Chat['kind'], text: string): string {
  if (kind === 'feishu') return text.replaceAll('<', '＜')
  if (kind === 'slack') return text.replace(/[&<>|]/g, c => SLACK[c] ?? c)
  return text.replace(/[[\]()*_`<>@]/g, c => WIDE[c] ?? `\\${c}`)
}
const SLACK: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '|': '¦' }
const WIDE: Readonly<Record<string, string>> = { '@': '＠', '<': '＜', '>': '＞' }

function cut(text: string): string {
  if (Buffer.byteLength(text) <= MAX_BYTES) return text
  return `${Buffer.from(text)
    .subarray(0, MAX_BYTES)
    .toString('utf8')
    .replace(/\uFFFD$/, '')}…`
}
