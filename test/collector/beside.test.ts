import { expect, it } from 'vitest'
import { openBeside } from '../../collector/beside.ts'
import { makeMachine } from './machine.ts'

/** A look whose ends the test decides. */
function makeLooks() {
  const looks: { end: (value: string) => void; fail: (message: string) => void; signal: AbortSignal }[] = []
  const look = (signal: AbortSignal) =>
    new Promise<string>((resolve, reject) => {
      looks.push({ end: resolve, fail: message => reject(new Error(message)), signal })
    })
  return { looks, look }
}
const settle = () => new Promise<void>(resolve => setImmediate(resolve))
const OPTIONS = { what: 'the sensor', everyMs: 30_000, withinMs: 10_000 }

it('hands out what the newest look found, and looks again when it is time', async () => {
  const { looks, look } = makeLooks()
  const beside = openBeside(look, OPTIONS)
  const { tick } = makeMachine({})
  expect(beside.newest(tick())).toBeUndefined()
  looks[0]?.end('first')
  await settle()
  expect(beside.newest(tick(10_000))).toBe('first')
  expect(looks).toHaveLength(1)
  expect(beside.newest(tick(20_000))).toBe('first')
  expect(looks).toHaveLength(2)
  looks[1]?.end('second')
  await settle()
  expect(beside.newest(tick())).toBe('second')
})

it('says of a look that never ends that it is stuck, tells it to stop, and starts none beside it', async () => {
  const { looks, look } = makeLooks()
  const beside = openBeside(look, OPTIONS)
  const { tick } = makeMachine({})
  beside.newest(tick())
  looks[0]?.end('good')
  await settle()
  expect(beside.newest(tick(30_000))).toBe('good')
  expect(() => beside.newest(tick(12_000))).toThrow('the sensor has not answered for 12 s')
  expect(() => beside.newest(tick(600_000))).toThrow(/612 s/)
  expect(looks).toHaveLength(2)
  expect(looks[1]?.signal.aborted).toBe(true)
  looks[1]?.end('late, but it works again')
  await settle()
  expect(beside.newest(tick())).toBe('late, but it works again')
})

it('throws what made a look fail until one succeeds', async () => {
  const { looks, look } = makeLooks()
  const beside = openBeside(look, OPTIONS)
  const { tick } = makeMachine({})
  beside.newest(tick())
  looks[0]?.fail('no such sensor')
  await settle()
  expect(() => beside.newest(tick())).toThrow('no such sensor')
  expect(() => beside.newest(tick(30_000))).toThrow('no such sensor')
  looks[1]?.end('there')
  await settle()
  expect(beside.newest(tick())).toBe('there')
})

it('ends the look that runs when it is closed, and starts no more', async () => {
  const { looks, look } = makeLooks()
  const beside = openBeside(look, OPTIONS)
  const { tick } = makeMachine({})
  beside.newest(tick())
  beside.close()
  expect(looks[0]?.signal.aborted).toBe(true)
  looks[0]?.fail('aborted')
  await settle()
  expect(() => beside.newest(tick(60_000))).toThrow('aborted')
  expect(looks).toHaveLength(1)
})
