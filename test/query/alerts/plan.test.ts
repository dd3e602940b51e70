import { describe, expect, it } from 'vitest'
import {
  type Alert,
  isInhibited,
  planNotices,
  type Silence,
  type Situation,
  type Told,
} from '../../../query/alerts/plan.ts'
import type { Receiver } from '../../../query/alerts/receiver.ts'
import { type Rule, readyRule } from '../../../query/alerts/rule.ts'

const HOOK: Receiver = {
  name: 'ops',
  kind: 'webhook',
  url: 'http://x/',
  groupWait: '30s',
  groupInterval: '60s',
  repeat: '10m',
}
const rule = (name: string, more: Partial<Rule> = {}) =>
  readyRule({ name, scope: 'node', metric: 'cpu_busy', above: 1, ...more })

const alert = (name: string, node: string, more: Partial<Alert> = {}): Alert => ({
  id: `${name}/${node}`,
  rule: name,
  severity: 'warning',
  labels: { cluster: 'alpha', rule: name, node },
  message: `${node} is hot`,
  summary: '',
  link: '',
  value: 2,
  firedMs: 0,
  ...more,
})

/**
 * What fires every 10 s -> what is told: letters are alerts of one group, capitals in what is told are ends.
 *
 *   fires   a ab ab b .        told   . . . ab .
 */
class Teller {
  told = new Map<string, Told>()
  silences: Silence[] = []
  acknowledged = new Set<string>()
  underWay = new Set<string>()
  receivers: Receiver[]
  rules = new Map([['r', rule('r')]])
  at = 1_000_000

  constructor(...receivers: Receiver[]) {
    this.receivers = receivers
  }

  situation(alerts: Alert[]): Situation {
    const { told, silences, acknowledged, underWay, receivers, rules } = this
    return { alerts, rules, receivers, owners: { domain: 'example.org' }, silences, acknowledged, told, underWay }
  }

  step(alerts: Alert[]) {
    const plan = planNotices(this.situation(alerts), this.at)
    for (const [key, told] of plan.told) {
      if (told) this.told.set(key, JSON.parse(JSON.stringify(told)))
      else this.told.delete(key)
    }
    this.at += 10_000
    return plan.notices
  }

  play(text: string): string {
    const steps = text.split(' ').map(cell => {
      const alerts = cell === '.' ? [] : [...cell].map(node => alert('r', node))
      const told = this.step(alerts).flatMap(n => [
        ...n.firing.map(a => a.labels.node),
        ...n.resolved.map(a => a.labels.node?.toUpperCase()),
      ])
      return told.length === 0 ? '.' : told.join('')
    })
    return steps.join(' ')
  }
}

describe('what a group is told', () => {
  it('waits for others, then once', () => {
    expect(new Teller(HOOK).play('a ab ab abc abc abc abc abc abc abc')).toBe('. . . abc . . . . . .')
  })

  it('tells what began and ended, not more often than groupInterval', () => {
    //                            0 1 2 3 4  5  6  7  8  9
    expect(new Teller(HOOK).play('a a a a ab ab ab ab b ab')).toBe('. . . a . . . . . ab')
    expect(new Teller(HOOK).play('a a a a . . . . . .')).toBe('. . . a . . . . . A')
  })

  it('tells nothing of what came and went before it was told', () => {
    expect(new Teller(HOOK).play('a a . . . .')).toBe('. . . . . .')
  })

  it('repeats what still fires, unless somebody looks after it or the last message is on its way', () => {
    const minutes = Array.from({ length: 70 }, () => 'a').join(' ')
    const count = (teller: Teller) =>
      teller
        .play(minutes)
        .split(' ')
        .filter(cell => cell === 'a').length
    expect(count(new Teller(HOOK))).toBe(2)
    const acknowledged = new Teller(HOOK)
    acknowledged.acknowledged.add('r/a')
    expect(count(acknowledged)).toBe(1)
    const slow = new Teller(HOOK)
    slow.underWay.add('ops cluster=alpha rule=r')
    expect(count(slow)).toBe(1)
  })

  it('does not tell ends to who does not want them', () => {
    expect(new Teller({ ...HOOK, resolved: false }).play('a a a a . . . . . . .')).toBe('. . . a . . . . . . .')
  })

  it('forgets a receiver that is gone', () => {
    const teller = new Teller(HOOK)
    teller.play('a a a a')
    teller.receivers = []
    teller.step([])
    expect(teller.told.size).toBe(0)
  })
})

describe('who is told', () => {
  const names = (teller: Teller, alerts: Alert[]) => {
    teller.step(alerts)
    teller.at += 60_000
    return teller
      .step(alerts)
      .map(n => `${n.receiver}: ${n.firing.map(a => a.id).join(' ')}${n.to ? ` to ${n.to}` : ''}`)
  }

  it('by labels, severity, and what the rule names', () => {
    const teller = new Teller(
      { ...HOOK, name: 'racks', match: { node: 'n1*' } },
      { ...HOOK, name: 'pager', minSeverity: 'critical' },
      { ...HOOK, name: 'lab' },
    )
    teller.rules.set('only', rule('only', { notify: ['lab'] }))
    const alerts = [alert('r', 'n11'), alert('r', 'n2', { severity: 'critical' }), alert('only', 'n12')]
    expect(names(teller, alerts)).toEqual(['racks: r/n11', 'pager: r/n2', 'lab: r/n11 r/n2', 'lab: only/n12'])
  })

  it('a job of a user to that user, one letter each', () => {
    const mail: Receiver = { name: 'owners', kind: 'mail', smtp: { host: 'h' }, from: 'f', toOwner: true }
    const teller = new Teller(mail)
    teller.rules.set('own', rule('own', { owner: true }))
    const of = (user: string, job: string) =>
      alert('own', job, { labels: { cluster: 'alpha', rule: 'own', job, user } })
    const alerts = [of('ann', '1'), of('bob', '2'), of('ann', '3'), alert('r', 'n1'), of("x y<'", '4')]
    expect(names(teller, alerts)).toEqual([
      'owners: own/1 own/3 to ann@example.org',
      'owners: own/2 to bob@example.org',
    ])
  })

  it('nobody, while it is silenced; the end of an alert that was told before is told', () => {
    const teller = new Teller(HOOK)
    expect(teller.play('a a a a')).toBe('. . . a')
    const untilMs = teller.at + 200_000
    teller.silences = [{ id: 's', match: { node: '?', rule: 'r' }, fromMs: 0, untilMs, author: 'ann', comment: '' }]
    expect(teller.play('a ab ab ab')).toBe('. . . .')
    teller.silences = [{ id: 's', match: { rule: 'r' }, fromMs: 0, untilMs, author: 'ann', comment: '' }]
    // b began while it was silenced and goes on after it: news then. a ended meanwhile.
    expect(teller.play('ab b b b b b b b')).toBe('. A . . . . . .')
    teller.at = untilMs
    expect(teller.play('b b b b b b b b')).toContain('b')
  })

  it('an alert that follows from another is held back', () => {
    const rules = new Map([
      ['down', rule('down')],
      ['full', rule('full', { inhibitedBy: ['down'] })],
    ])
    const down = alert('down', 'n1')
    expect(isInhibited({ alerts: [down], rules }, alert('full', 'n1'))).toBe(true)
    expect(isInhibited({ alerts: [down], rules }, alert('full', 'n2'))).toBe(false)
    const job = alert('down', '', { labels: { cluster: 'alpha', job: '7' } })
    const on = (jobs: string) => alert('full', 'n1', { labels: { cluster: 'alpha', node: 'n1', jobs } })
    expect(isInhibited({ alerts: [job], rules }, on('6 7'))).toBe(true)
    expect(isInhibited({ alerts: [job], rules }, on('6'))).toBe(false)
    expect(
      isInhibited({ alerts: [{ ...down, labels: { ...down.labels, cluster: 'beta' } }], rules }, alert('full', 'n1')),
    ).toBe(false)
  })
})

it('an Alertmanager is told everything at once and every minute, in one message', () => {
  const teller = new Teller({ name: 'am', kind: 'alertmanager', url: 'http://x' })
  expect(teller.play('ab ab ab ab ab ab ab b b')).toBe('ab . . . . . ab bA .')
})
