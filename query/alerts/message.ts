/** What an alert says: its rule's message with the numbers in it, in the units people read, and the link to its moment. */
import { bytes } from '../advice.ts'
import type { Labels } from './evaluate.ts'
import { findFigure, metricOf } from './figures.ts'
import { type ReadyRule, subjectOf } from './rule.ts'

/** 0.97 of a ratio is 97 %, 1.2e9 bytes/s are 1.1 GiB/s. */
export function formatValue(rule: ReadyRule, value: number): string {
  const unit = unitOf(rule)
  const plain = Math.abs(value) >= 1e6 || Number.isInteger(value) ? Math.round(value) : Number(value.toPrecision(3))
  if (rule.test === 'change') return `${plain} a second`
  switch (unit) {
    case 'ratio':
      return `${Number((value * 100).toPrecision(Math.abs(value) < 0.1 ? 2 : 3))} %`
    case 'bytes':
      return bytes(value)
    case 'bytes/s':
      return `${bytes(value)}/s`
    case 's':
      return duration(value)
    case 'W':
      return `${plain} W`
    case 'Cel':
      return `${plain} °C`
    default:
      return String(plain)
  }
}

/** Unit of what the rule compares; distances are in standard deviations. */
export function unitOf(rule: ReadyRule): string {
  if (rule.test === 'peers') return 'σ'
  if (rule.test === 'absent') return '1'
  if (rule.function !== undefined || rule.share) return 'ratio'
  if (rule.figure !== undefined) return findFigure(rule.scope, rule.figure)?.unit ?? '1'
  return metricOf(rule.metric ?? '')?.unit ?? '1'
}

const duration = (seconds: number): string =>
  seconds < 120
    ? `${Math.round(seconds)} s`
    : seconds < 7200
      ? `${Math.round(seconds / 60)} min`
      : seconds < 172_800
        ? `${Math.round(seconds / 3600)} h`
        : `${Math.round(seconds / 86_400)} d`

export const thresholdOf = (rule: ReadyRule): number => rule.above ?? rule.below ?? 0

export interface Spoken {
  value: number
  worst: number
  labels: Labels
}

/** The rule's message with {name} filled in; what is not known is left as it stands. */
export function messageOf(rule: ReadyRule, { value, worst, labels }: Spoken): string {
  const words: Record<string, string> = {
    ...labels,
    value: formatValue(rule, value),
    worst: formatValue(rule, worst),
    threshold: formatValue(rule, thresholdOf(rule)),
    rule: rule.name,
    severity: rule.severity,
    window: rule.window ?? '5m',
    for: rule.for ?? '0s',
    own: ofOwnUnit(rule, labels.own),
    median: ofOwnUnit(rule, labels.median),
  }
  return filled(rule.message ?? usual(rule), words)
}

/** Values of peers are told in the unit that they were measured in. */
function ofOwnUnit(rule: ReadyRule, text: string | undefined): string {
  return text === undefined ? '?' : formatValue({ ...rule, test: 'value' }, Number(text))
}

export const filled = (template: string, words: Readonly<Record<string, string>>): string =>
  template.replace(/\{(\w+)\}/g, (whole, name: string) => (Object.hasOwn(words, name) ? (words[name] ?? '') : whole))

function usual(rule: ReadyRule): string {
  const of = {
    cluster: '{cluster}',
    node: '{node}',
    job: 'job {job}',
    process: '{process} on {node}',
    function: '{function} in job {job}',
  }
  if (rule.test === 'absent') return `${of[rule.scope]}: ${subjectOf(rule)} is not told any more`
  const side = rule.above === undefined ? 'below' : 'above'
  return `${of[rule.scope]}: ${subjectOf(rule)} is {value}, ${side} {threshold}`
}

/**
 * The page at the alert: its job, node or process, over the time around it. `base` is where users reach the page; without
 * one the link is what follows it.
 */
export function linkTo(base: string, labels: Labels, sinceMs: number, untilMs: number, windowMs: number): string {
  const parts = [labels.cluster ?? '']
  if (labels.job !== undefined) parts.push('job', labels.job)
  if (labels.node !== undefined) parts.push('node', labels.node)
  if (labels.pid !== undefined) parts.push('process', labels.pid)
  const before = Math.max(windowMs, 600_000)
  const from = instant(sinceMs - before)
  const to = instant(Math.max(untilMs, sinceMs) + Math.min(before, 600_000))
  const start = labels.start === undefined ? '' : `&start=${labels.start}`
  const burst = labels.burst === undefined ? '' : `&burst=${labels.burst}`
  return `${base.replace(/\/$/, '')}/#/${parts.map(encodeURIComponent).join('/')}?from=${from}&to=${to}${start}${burst}`
}

const instant = (ms: number): string => new Date(Math.floor(ms / 1000) * 1000).toISOString().replace('.000Z', 'Z')
