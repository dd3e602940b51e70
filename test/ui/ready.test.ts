import { afterEach, describe, expect, it } from 'vitest'
import { LIBRARY } from '../../query/alerts/library.ts'
import { language } from '../../ui/prefs.ts'
import { messageOf, nameOf, summaryOf } from '../../ui/ready.ts'
import { READY } from '../../ui/words/ready.ts'

afterEach(() => language.set('en'))
const placeholders = (text: string | undefined) => [...(text ?? '').matchAll(/\{\w+\}/g)].map(([name]) => name).sort()

describe('rules that come with Jobsight', () => {
  it.each(LIBRARY.map(rule => [rule.name, rule]))(
    '%s: the English is that of the server, the 中文 says as much',
    (name, rule) => {
      const { summary, message, name: called } = READY[name] ?? {}
      expect([summary?.[0], message?.[0]]).toEqual([rule.summary, rule.message])
      expect(placeholders(message?.[1])).toEqual(placeholders(message?.[0]))
      for (const text of [called, summary?.[1], message?.[1]]) expect(text).toMatch(/[\u4e00-\u9fff]/)
    },
  )

  it('are told in the language of the person', () => {
    const message = 'job 7 of ann has 97.2 % of the memory that it may use'
    expect(messageOf('job-memory-near-limit', message)).toBe(message)
    expect(nameOf('job-memory-near-limit')).toBe('job-memory-near-limit')
    language.set('zh')
    expect(messageOf('job-memory-near-limit', message)).toBe('ann 的作业 7 已用到内存上限的 97.2 %')
    expect(nameOf('job-memory-near-limit')).toBe('作业内存接近上限')
    expect(summaryOf('job-memory-near-limit', 'A job is about to be killed for memory.')).toBe(
      '作业即将因内存超限被终止。',
    )
  })

  it('stay as they are where somebody wrote other ones', () => {
    language.set('zh')
    expect(messageOf('job-idle', 'call ann: job 7 sleeps')).toBe('call ann: job 7 sleeps')
    expect(summaryOf('job-idle', 'Ask the user.')).toBe('Ask the user.')
    expect([nameOf('mine'), messageOf('mine', '{node} is hot'), summaryOf('mine', '')]).toEqual([
      'mine',
      '{node} is hot',
      '',
    ])
  })
})
