import { describe, expect, it } from 'vitest'
import { checkRule } from '../../../query/alerts/check.ts'
import { parseRuleFile, type RuleFile } from '../../../query/alerts/file.ts'
import { LIBRARY } from '../../../query/alerts/library.ts'
import { matches } from '../../../query/alerts/rule.ts'

const library = new Map(LIBRARY.map(rule => [rule.name, rule]))
const read = (text: string): RuleFile => parseRuleFile(text, 'alerts.yaml', library)
const refusal = (text: string): string => {
  try {
    read(text)
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
  return ''
}

describe('the library', () => {
  it.each(LIBRARY.map(rule => [rule.name, rule]))('%s is a rule', (_, rule) => {
    expect(checkRule(rule)).toEqual({ rule, problems: [] })
  })

  it('says of each what it means and what to tell, and names only rules that are there', () => {
    for (const rule of LIBRARY) {
      expect(rule.summary, rule.name).toBeTruthy()
      expect(rule.message, rule.name).toBeTruthy()
      for (const by of rule.inhibitedBy ?? []) expect(library.has(by), `${rule.name}: ${by}`).toBe(true)
    }
    expect(library.size).toBe(LIBRARY.length)
  })
})

describe('a file of rules', () => {
  it('changes only what it names of a rule of the library', () => {
    const { rules } = read('rules:\n  - name: job-idle\n    below: 0.1\n  - name: node-swapping\n    enabled: false\n')
    const idle = library.get('job-idle')
    expect(rules[0]).toEqual({ ...idle, below: 0.1, clear: undefined })
    expect(rules[1]).toEqual({ ...library.get('node-swapping'), enabled: false })
  })

  it('has receivers and owners', () => {
    const { receivers, owners } = read(`
receivers:
  - { name: ops, kind: webhook, url: 'http://127.0.0.1:9/hook', secret: 'at least eight' }
  - name: mail
    kind: mail
    smtp: { host: localhost }
    from: jobsight@example.org
    toOwner: true
owners: { domain: example.org, addresses: { ann: ann.lee@example.org } }
`)
    expect(receivers.map(r => r.kind)).toEqual(['webhook', 'mail'])
    expect(owners.domain).toBe('example.org')
  })

  it.each([
    [
      'rules:\n  - name: a\n    scope: node\n    metric: cpu_bsy\n    above: 1\n',
      /^alerts.yaml:4: .*metric cpu_bsy is not known. Known: cpu_busy/,
    ],
    ['rules:\n  - name: a\n    scope: node\n    metric: cpu_busy\n', /^alerts.yaml:2: .*write either above or below/],
    [
      'rules:\n  - name: a\n    scope: node\n    metrc: cpu_busy\n    above: 1\n',
      /^alerts.yaml:4: .*there is no key metrc. Known: metric/,
    ],
    [
      'rules:\n  - name: a\n    scope: nodes\n    metric: cpu_busy\n    above: 1\n',
      /^alerts.yaml:3: .*write one of cluster, node, job/,
    ],
    [
      'rules:\n  - name: a\n    scope: node\n    metric: cpu_busy\n    above: high\n',
      /^alerts.yaml:5: .*write a number, without a unit: 0.9 for 90 %/,
    ],
    [
      'rules:\n  - name: a\n    scope: node\n    metric: cpu_busy\n    above: 90\n',
      /^alerts.yaml:5: .*cpu_busy is a share, 1 is all of it: write 0.9 for 90 %/,
    ],
    [
      'rules:\n  - name: a\n    scope: node\n    metric: cpu_busy\n    above: 1\n    window: 0s\n',
      /^alerts.yaml:6: .*1s at least and 7d at most/,
    ],
    [
      'rules:\n  - name: a\n    scope: node\n    metric: cpu_busy\n    above: 1\n    enabled: no\n',
      /^alerts.yaml:6: .*write true or false/,
    ],
    [
      'rules:\n  - name: a\n    scope: node\n    metric: cpu_busy\n    above: 1\n    where: n1*\n',
      /^alerts.yaml:6: .*write keys below it/,
    ],
    [
      'rules:\n  - name: a\n    scope: node\n    metric: cpu_busy\n    above: 1\n    message: {node} is hot\n',
      /^alerts.yaml:6: .*Put quotes around/,
    ],
    ['rules:\n  - name: job-idel\n    below: 0.1\n', /^alerts.yaml:2: .*Known: job-idle,/],
    [
      'rules:\n  - name: a\n    scope: node\n    metric: cpu_busy\n    above: 1\n    window: 5 minutes\n',
      /^alerts.yaml:6: .*write a number with ms, s, m, h or d right after it .*like 30s, 5m, 2h/,
    ],
    [
      'rules:\n  - name: a\n    scope: node\n    metric: cpu_busy\n    above: 0.9\n    clear: 0.95\n',
      /^alerts.yaml:6: .*clear lies on the other side/,
    ],
    [
      'rules:\n  - name: a\n    scope: job\n    figure: cpu_efficency\n    below: 1\n',
      /^alerts.yaml:4: .*Known: cpu_efficiency/,
    ],
    [
      'rules:\n  - name: a\n    scope: node\n    metric: cpu_busy\n    above: 1\n    message: "{nod} is hot"\n',
      /^alerts.yaml:6: .*there is no \{nod\}. Known: node/,
    ],
    [
      'rules:\n  - name: a\n    scope: node\n    metric: cpu_busy\n    above: 1\n    notify: [ops]\n',
      /^alerts.yaml:6: .*receiver ops is not known/,
    ],
    [
      'rules:\n  - name: node-swapping\n    inhibitedBy:\n      - job-idle\n      - node-memroy-full\n',
      /^alerts.yaml:5: .*rule node-memroy-full is not known. Known: node-memory-full,/,
    ],
    [
      'receivers:\n  - name: x\n    kind: slack\n    url: http://c\n    match: { severity: critical }\n',
      /^alerts.yaml:5: .*the severity is no label: write minSeverity/,
    ],
    [
      'receivers:\n  - name: x\n    kind: slack\n    url: http://c\n    match: { nodes: n1* }\n',
      /^alerts.yaml:5: .*label nodes is not known. Known: node,/,
    ],
    [
      'receivers:\n  - name: x\n    kind: slack\n    url: http://c\n    match: { rule: job-idel }\n',
      /^alerts.yaml:5: .*rule job-idel is not known. Known: job-idle,/,
    ],
    [
      'receivers:\n  - name: x\n    kind: slack\n    url: http://c\n    groupBy: [cluster, rules]\n',
      /^alerts.yaml:5: .*label rules is not known. Known: rule,/,
    ],
    ['rules:\n  - name: job-idle\n  - name: job-idle\n', /^alerts.yaml:3: .*is there twice/],
    ['rules:\n  - name: a\n   scope: node\n', /^alerts.yaml:3: .*Lines of one entry begin below each other/],
    ['rules:\n\t- name: a\n', /^alerts.yaml:2: .*Write blanks/],
    [
      'rules:\n  - name: Job Idle\n    scope: node\n    metric: cpu_busy\n    above: 1\n',
      /^alerts.yaml:2: .*write another name .small letters, digits/,
    ],
    [
      'receivers:\n  - name: x\n    kind: slack\n    url: chat.example\n',
      /^alerts.yaml:4: .*begins with http:.. or https:/,
    ],
    ['rulez: []\n', /^alerts.yaml:1: .*there is no key rulez/],
    ['receivers:\n  - name: x\n    kind: telex\n', /^alerts.yaml:3: .*one of webhook, alertmanager, mail/],
    ['receivers:\n  - name: x\n    kind: webhook\n', /^alerts.yaml:2: .*url is missing/],
    [
      'receivers:\n  - name: x\n    kind: mail\n    from: a@b\n    smtp: { host: h }\n',
      /^alerts.yaml:2: .*either to: .* or toOwner/,
    ],
    ['- just a list\n', /^alerts.yaml:1: write rules:/],
  ])('says the line and what to write: %j', (text, said) => {
    expect(refusal(text)).toMatch(said)
  })

  it('may name rules of its own, of the page, all that begin alike, and labels of rules', () => {
    const own = { name: 'hot', scope: 'node', metric: 'cpu_busy', above: 0.9, labels: { room: 'a' } } as const
    const text = `
rules:
  - { name: node-swapping, inhibitedBy: [hot, warm] }
  - { name: warm, scope: node, metric: cpu_busy, above: 0.5, labels: { team: b } }
receivers:
  - { name: x, kind: slack, url: 'http://c', match: { rule: 'no-such-*', team: b, room: a }, groupBy: [team] }
`
    expect(parseRuleFile(text, 'alerts.yaml', library, [own]).rules[0]?.inhibitedBy).toEqual(['hot', 'warm'])
    expect(refusal(text)).toMatch(/^alerts.yaml:3: .*rule hot is not known/)
  })

  it('an empty file has no rules', () => {
    expect(read('')).toEqual({ rules: [], receivers: [], owners: {} })
  })
})

describe('patterns', () => {
  it.each([
    ['n*', 'n07', true],
    ['n*', 'gpu1', false],
    ['*', '', true],
    ['MPI_*all', 'MPI_Waitall', true],
    ['MPI_*all', 'MPI_Waitany', false],
    ['a*a', 'a', false],
    ['a*b*c', 'a1b2c', true],
    ['/scratch', '/scratch/x', false],
    ['.*', 'x', false],
  ])('%s against %s', (glob, text, expected) => {
    expect(matches(glob, text)).toBe(expected)
  })

  it('take no longer than the text is long, whatever they are', () => {
    expect(matches('*a'.repeat(120), `${'a'.repeat(249)}b`)).toBe(false)
  })
})
