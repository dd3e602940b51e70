/** A notice as people read it: a subject, a text, a letter. */
import type { Alert, Notice } from './plan.ts'

export const subjectOf = ({ firing, resolved, groupLabels }: Notice): string => {
  const counts = [
    firing.length > 0 ? `${firing.length} firing` : '',
    resolved.length > 0 ? `${resolved.length} resolved` : '',
  ]
  const [only] = firing.length + resolved.length === 1 ? [...firing, ...resolved] : []
  const about = only?.message ?? Object.values(groupLabels).join(' ')
  return `[Jobsight: ${counts.filter(text => text !== '').join(', ')}] ${about}`.replace(/[\r\n]+/g, ' ').slice(0, 200)
}

const time = (ms: number): string => `${new Date(ms).toISOString().slice(0, 16).replace('T', ' ')} UTC`

const lines = (alert: Alert, resolvedMs?: number): string[] => [
  `${resolvedMs === undefined ? alert.severity.toUpperCase() : 'RESOLVED'}: ${alert.message}`,
  ...(alert.summary === '' ? [] : [`  ${alert.summary}`]),
  `  since ${time(alert.firedMs)}${resolvedMs === undefined ? '' : `, until ${time(resolvedMs)}`}`,
  `  ${alert.link}`,
]

export const filledText = ({ firing, resolved }: Notice): string =>
  [...firing.map(a => lines(a)), ...resolved.map(a => lines(a, a.resolvedMs))].map(l => l.join('\n')).join('\n\n')

const escaped = (text: string): string =>
  text.replace(/[&<>"']/g, c => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' })[c] ?? c)

const COLOURS: Readonly<Record<string, string>> = { critical: '#c62b1e', warning: '#8f5f00', info: '#0a63b8' }

function entry(alert: Alert, resolvedMs?: number): string {
  const word = resolvedMs === undefined ? alert.severity : 'resolved'
  const until = resolvedMs === undefined ? '' : ` until ${time(resolvedMs)}`
  const message = escaped(alert.message)
  const linked = alert.link.startsWith('http') ? `<a href="${escaped(alert.link)}">${message}</a>` : message
  return `<p style="margin:0 0 14px"><b style="color:${COLOURS[word] ?? '#1f7a50'}">${word}</b> ${linked}<br>
<small style="color:#626d7b">${escaped(alert.summary)} Since ${time(alert.firedMs)}${until}.</small></p>`
}

export const htmlOf = ({ firing, resolved }: Notice): string =>
  `<div style="font:14px/1.5 system-ui,sans-serif">${[...firing.map(a => entry(a)), ...resolved.map(a => entry(a, a.resolvedMs))].join('\n')}</div>`
