/** Alerts of the mock cluster: one of each severity, one pending, one of the past. */

import { FIGURES } from '../../../query/alerts/figures.ts'
import { LIBRARY } from '../../../query/alerts/library.ts'
import type { Alert, AlertRules } from '../../../query/api.ts'
import type { Asked } from './answers.ts'

function alert(rule: string, message: string, labels: Record<string, string>, more: Partial<Alert>): Alert {
  return {
    id: `${rule}-${labels.node ?? labels.job}`,
    ...{
      rule,
      message,
      state: 'firing',
      severity: 'warning',
      value: 0.01,
      worst: 0.004,
      threshold: 0.02,
      unit: 'ratio',
    },
    labels: { cluster: 'mock', rule, ...labels },
    summary: LIBRARY.find(known => known.name === rule)?.summary ?? '',
    ...{ since: 0, fired: null, resolved: null, why: '', silenced: false, inhibited: false, ack: null },
    ...more,
  }
}

const all = (end: number): Alert[] => [
  alert(
    'node-down-with-jobs',
    'n33 is down with jobs on it',
    { node: 'n33' },
    { severity: 'critical', since: end - 400_000, fired: end - 340_000, unit: '1', value: 1, worst: 1, threshold: 0 },
  ),
  alert(
    'job-idle',
    'job 1003 of ann does nothing: 1 % of its cores busy over 10m',
    { job: '1003', user: 'ann' },
    { since: end - 1_500_000, fired: end - 1_200_000 },
  ),
  alert(
    'job-near-time-limit',
    '96 % of the time limit of job 1005 is over',
    { job: '1005', user: 'bob' },
    {
      severity: 'info',
      since: end - 90_000,
      fired: end - 90_000,
      value: 0.96,
      worst: 0.96,
      threshold: 0.95,
      ack: { author: 'bob', comment: 'ends soon', at: end - 60_000 },
    },
  ),
  alert(
    'filesystem-full',
    '/scratch on n07 is 96 % full',
    { node: 'n07', instance: '/scratch' },
    { state: 'pending', since: end - 60_000, value: 0.96, worst: 0.96, threshold: 0.95 },
  ),
]

const past = (end: number): Alert[] => [
  alert(
    'node-io-wait',
    'all tasks of n07 wait for I/O 71 % of the time',
    { node: 'n07' },
    {
      state: 'resolved',
      why: 'value',
      since: end - 2_700_000,
      fired: end - 2_400_000,
      resolved: end - 1_500_000,
      worst: 0.71,
      value: 0.3,
      threshold: 0.6,
    },
  ),
]

const rules = (): AlertRules => ({
  rules: LIBRARY.map(rule => ({
    rule,
    origin: 'library',
    author: '',
    updated: null,
    unit: 'ratio',
    firing: rule.name === 'job-idle' ? 1 : 0,
    pending: 0,
    error: null,
  })),
  receivers: [{ name: 'ops', kind: 'webhook' }],
  fileError: null,
  figures: FIGURES.map(({ name, scope, unit, meaning }) => ({ name, scope, unit, meaning })),
})

export function alerts({ world: { end }, path }: Asked): unknown {
  switch (path[1]) {
    case 'history':
      return { cluster: 'mock', from: end - 3_600_000, to: end, alerts: past(end), total: 1 }
    case 'rules':
      return rules()
    case 'silences':
      return {
        silences: [
          {
            id: 's1',
            match: { node: 'n3*' },
            from: end - 7_200_000,
            until: end + 7_200_000,
            author: 'ann',
            comment: 'new memory',
          },
        ],
      }
    case 'deliveries':
      return {
        deliveries: [
          {
            id: 'd1',
            receiver: 'ops',
            group: 'cluster=mock rule=job-idle',
            status: 'dead',
            firing: 1,
            resolved: 0,
            tries: 10,
            created: end - 3_600_000,
            next: end,
            error: 'cannot reach ops: connect ECONNREFUSED',
          },
        ],
        delivered: 4,
      }
    default:
      return { cluster: 'mock', alerts: all(end), firing: 3, critical: 1, evaluated: end, evaluates: true }
  }
}
