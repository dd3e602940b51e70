import { expect, it } from 'vitest'
import { openCache } from '../../query/cache.ts'

const open = (maxBytes = 100) => openCache<string>(maxBytes, text => text.length)
const options = { nowMs: 0, keepMs: 10, signal: undefined }

it('keeps an answer for its time', async () => {
  const cache = open()
  let asked = 0
  const ask = async () => `answer ${++asked}`
  expect(await cache.get('k', options, ask)).toBe('answer 1')
  expect(await cache.get('k', { ...options, nowMs: 9 }, ask)).toBe('answer 1')
  expect(await cache.get('k', { ...options, nowMs: 10 }, ask)).toBe('answer 2')
  expect(cache.bytes).toBe(8)
})

it('drops what was used longest ago when it is full', async () => {
  const cache = open(10)
  let asked = 0
  const ask = (text: string) => async () => {
    asked++
    return text
  }
  await cache.get('a', options, ask('aaaa'))
  await cache.get('b', options, ask('bbbb'))
  await cache.get('a', options, ask('aaaa'))
  await cache.get('c', options, ask('cccc'))
  expect([asked, cache.bytes]).toEqual([3, 8])
  await cache.get('a', options, ask('aaaa'))
  expect(asked).toBe(3)
  await cache.get('b', options, ask('bbbb'))
  expect(asked).toBe(4)
  // Larger than all the room: answered and not kept.
  expect(await cache.get('d', options, ask('d'.repeat(11)))).toHaveLength(11)
  expect(cache.bytes).toBeLessThanOrEqual(10)
})

it('two that ask at once wait for one question; a failure is not kept', async () => {
  const cache = open()
  let asked = 0
  const ask = async () => {
    asked++
    throw new Error('no')
  }
  const both = await Promise.allSettled([cache.get('k', options, ask), cache.get('k', options, ask)])
  expect(both.map(b => b.status)).toEqual(['rejected', 'rejected'])
  expect(asked).toBe(1)
  await expect(cache.get('k', options, ask)).rejects.toThrow('no')
  expect(asked).toBe(2)
})

it('stops the question when the last reader has left, not before', async () => {
  const cache = open()
  const [first, second] = [new AbortController(), new AbortController()]
  let stopped = false
  const ask = (signal: AbortSignal) =>
    new Promise<string>((_, reject) => {
      signal.addEventListener('abort', () => {
        stopped = true
        reject(new Error('stopped'))
      })
    })
  const readers = Promise.allSettled([
    cache.get('k', { ...options, signal: first.signal }, ask),
    cache.get('k', { ...options, signal: second.signal }, ask),
  ])
  first.abort()
  expect(stopped).toBe(false)
  second.abort()
  expect(stopped).toBe(true)
  await readers
  // The next one asks anew.
  expect(await cache.get('k', options, async () => 'new')).toBe('new')
})
