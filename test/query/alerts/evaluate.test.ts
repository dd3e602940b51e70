import { describe, expect, it } from 'vitest'
import { evaluate, NEVER } from '../../../query/alerts/evaluate.ts'
import { measure } from '../../../query/alerts/measure.ts'
import { type Rule, readyRule } from '../../../query/alerts/rule.ts'
import { play } from './timeline.ts'

const RULE: Rule = { name: 'r', scope: 'node', metric: 'cpu_busy', above: 5, for: '20s' }

describe('a rule over time', () => {
  it('is pending for as long as `for` says, then fires, then is resolved', () => {
    const { states, told } = play(RULE, '0 9 9 9 9 0 0')
    expect(states).toBe('. p p F F . .')
    expect(told).toEqual(['pending@10', 'firing@30', 'resolved@50'])
  })

  it('fires at once without `for`', () => {
    expect(play({ ...RULE, for: '0s' }, '0 9 0')).toMatchObject({ states: '. F .', told: ['firing@10', 'resolved@20'] })
  })

  it('tells nobody of what passes before `for` is over', () => {
    expect(play(RULE, '9 9 0 9 9 0')).toMatchObject({
      states: 'p p . p p .',
      told: ['pending@0', 'inactive@20', 'pending@30', 'inactive@50'],
    })
  })

  it('below is the other way round', () => {
    const below: Rule = { name: 'r', scope: 'node', metric: 'cpu_busy', below: 5, for: '20s' }
    expect(play(below, '9 0 0 0 9').states).toBe('. p p F .')
  })
})

describe('flapping', () => {
  it('is held by `clear`: it ends only beyond the second threshold', () => {
    expect(play({ ...RULE, clear: 3, for: '0s' }, '4 6 4 6 4 2 4').states).toBe('. F F F F . .')
  })

  it('is held by `keepFor`: it must be false for so long', () => {
    expect(play({ ...RULE, for: '0s', keepFor: '20s' }, '9 0 9 0 0 9 0 0 0 0').states).toBe('F F F F F F F F . .')
  })

  it('without either tells every change', () => {
    expect(play({ ...RULE, for: '0s' }, '9 0 9 0').told).toEqual([
      'firing@0',
      'resolved@10',
      'firing@20',
      'resolved@30',
    ])
  })
})

describe('late data and gaps', () => {
  it('an empty window neither starts, nor ends, nor restarts anything', () => {
    expect(play(RULE, '9 . 9 . 9 . . 9 0')).toMatchObject({
      states: 'p p F F F F F F .',
      told: ['pending@0', 'firing@20', 'resolved@80'],
    })
  })

  it('pending does not begin to fire while nothing is known', () => {
    expect(play(RULE, '9 . . . . 9').states).toBe('p p p p p F')
  })

  it('what says nothing for long is gone', () => {
    const { states, told } = play(RULE, '9 9 9 . . . . . . . . .')
    expect(states).toBe('p p F F F F F F F . . .')
    expect(told.at(-1)).toBe('resolved@90 gone')
  })

  it('a job that is not listed any more has ended', () => {
    expect(play(RULE, '9 9 9 .', '', true).told.at(-1)).toBe('resolved@30 ended')
  })

  it('after a pause in which nobody looked, pending starts anew and firing goes on', () => {
    expect(play(RULE, '9 9 9 9 9', '. . | . .').states).toBe('p p p p F')
    expect(play(RULE, '9 9 9 9 9', '. . . | .')).toMatchObject({
      states: 'p p F F F',
      told: ['pending@0', 'firing@20'],
    })
  })
})

describe('the clock', () => {
  it('set back changes nothing until it has caught up', () => {
    const { states, told } = play(RULE, '9 9 9 0 0 0 0 0 0 9', '. . . < . . . . . .')
    // Set back at the fourth, time has caught up at the tenth: the values between are not looked at.
    expect(states).toBe('p p F F F F F F F F')
    expect(told).toEqual(['pending@0', 'firing@20'])
  })

  it('set forward is a pause', () => {
    expect(play(RULE, '9 9 9', '. | .').states).toBe('p p p')
  })
})

describe('a restart', () => {
  it.each([
    ['inactive', '0 0 9 9 9', '. R . . .', '. . p p F', ['pending@20', 'firing@40']],
    ['pending', '9 9 9 0', '. R . .', 'p p F .', ['pending@0', 'firing@20', 'resolved@30']],
    ['firing', '9 9 9 9 9 0', '. . . R . .', 'p p F F F .', ['pending@0', 'firing@20', 'resolved@50']],
    [
      'just resolved',
      '9 9 9 0 0 9',
      '. . . . R .',
      'p p F . . p',
      ['pending@0', 'firing@20', 'resolved@30', 'pending@50'],
    ],
  ])('while %s tells nothing twice and forgets nothing', (_, values, marks, states, told) => {
    expect(play(RULE, values, marks)).toMatchObject({ states, told })
  })
})

describe('rules and names that go', () => {
  it('a deleted rule takes its alerts with it', () => {
    expect(play(RULE, '9 9 9 9', '. . . x').told.at(-1)).toBe('resolved@30 rule')
    expect(play(RULE, '9 9', '. x').told).toEqual(['pending@0', 'inactive@10 rule'])
  })

  it('a renamed node is another one: the old name goes stale, the new one starts anew', () => {
    const rule = readyRule(RULE)
    let state = NEVER
    const told: string[] = []
    for (let i = 0; i < 14; i++) {
      const node = i < 4 ? 'n1' : 'node1'
      const at = 1_000_000 + i * 10_000
      const measured = { measures: [measure({ cluster: 'alpha', node }, 9)], complete: false }
      const done = evaluate(rule, measured, state, at, { gapMs: 120_000, staleMs: 60_000 })
      state = done.state
      told.push(...done.transitions.map(t => `${t.series.labels.node} ${t.to} ${i} ${t.why}`))
    }
    expect(told).toEqual([
      'n1 pending 0 value',
      'n1 firing 2 value',
      'node1 pending 4 value',
      'node1 firing 6 value',
      'n1 resolved 10 gone',
    ])
  })
})

it('keeps the worst value and the newest', () => {
  const { state } = play(RULE, '6 9 7 6')
  expect([...state.series.values()][0]).toMatchObject({ worst: 9, value: 6 })
  const below: Rule = { name: 'r', scope: 'node', metric: 'cpu_busy', below: 5 }
  expect([...play(below, '3 1 2').state.series.values()][0]).toMatchObject({ worst: 1, value: 2 })
})
