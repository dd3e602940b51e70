import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { pino } from 'pino'
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { type Door, type Outbox, type OutboxOptions, openOutbox, type Sent } from '../../collector/outbox.ts'

const OK: Sent = { ok: true }
const AWAY: Sent = { ok: false, permanent: false, message: 'away' }
const REFUSED: Sent = { ok: false, permanent: true, message: 'not a metric' }

/** A receiver that answers what `answer` holds at that moment. */
function makeReceiver() {
  const receiver = {
    answer: OK as Sent,
    /** Only this door gets `answer`, the others are taken. */
    door: undefined as Door | undefined,
    asked: [] as string[],
    taken: [] as string[],
    async send(door: Door, body: Uint8Array): Promise<Sent> {
      const text = Buffer.from(body).toString()
      receiver.asked.push(text)
      const answer = receiver.door === undefined || receiver.door === door ? receiver.answer : OK
      if (answer.ok) receiver.taken.push(text)
      return answer
    },
  }
  return receiver
}

let path: string
let logged: { level: number; msg: string }[]
const log = pino({ level: 'info' }, { write: line => logged.push(JSON.parse(line)) })
const errors = () => logged.filter(line => line.level >= 50).map(line => line.msg)

beforeEach(() => {
  path = join(mkdtempSync(join(tmpdir(), 'jobsight-spool-')), 'spool')
  logged = []
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
  rmSync(join(path, '..'), { recursive: true })
})

function open(receiver: ReturnType<typeof makeReceiver>, options: Partial<OutboxOptions> = {}): Outbox {
  const outbox = openOutbox({ path, maxBytes: 1 << 20, memoryBytes: 1 << 20, ...options }, { send: receiver.send, log })
  onTestFinished(() => outbox.close(0))
  return outbox
}

const put = (outbox: Outbox, ...texts: string[]) => {
  for (const text of texts) outbox.put('metrics', Buffer.from(text))
}
const onDisk = () => readdirSync(path).filter(name => name !== 'holder')
const soon = () => vi.advanceTimersByTimeAsync(0)

describe('outbox', () => {
  it('sends in order and never touches the disk while all is taken', async () => {
    const receiver = makeReceiver()
    const outbox = open(receiver)
    put(outbox, 'a', 'b', 'c')
    await soon()
    expect(receiver.taken).toEqual(['a', 'b', 'c'])
    expect(onDisk()).toEqual([])
    expect(outbox.counters()).toMatchObject({ put: 3, sent: 3, sentBytes: 3, waiting: 0, waitingBytes: 0, retried: 0 })
  })

  it('keeps what cannot be sent on disk, tries again after 1, 2, 4 s with jitter, and sends all of it in order', async () => {
    const receiver = makeReceiver()
    receiver.answer = AWAY
    const outbox = open(receiver)
    put(outbox, 'a')
    await soon()
    put(outbox, 'b', 'c')
    expect(onDisk()).toHaveLength(3)
    // each pause lies between half of it and all of it: after 0.49 s never, after 1 s surely
    await vi.advanceTimersByTimeAsync(490)
    expect(receiver.asked).toHaveLength(1)
    await vi.advanceTimersByTimeAsync(510)
    expect(receiver.asked).toHaveLength(2)
    await vi.advanceTimersByTimeAsync(490)
    expect(receiver.asked).toHaveLength(2)
    receiver.answer = OK
    await vi.advanceTimersByTimeAsync(1600)
    expect(receiver.taken).toEqual(['a', 'b', 'c'])
    expect(onDisk()).toEqual([])
    expect(outbox.counters()).toMatchObject({ put: 3, sent: 3, retried: 2, dropped: 0, waiting: 0, waitingBytes: 0 })
    expect(logged.map(line => line.msg)).toEqual([
      'metrics cannot be sent now: away; kept, trying again',
      'metrics are taken again',
    ])
  })

  it('waits at least as long as the receiver says', async () => {
    const receiver = makeReceiver()
    receiver.answer = { ...AWAY, retryAfterMs: 30_000 }
    put(open(receiver), 'a')
    await vi.advanceTimersByTimeAsync(29_900)
    expect(receiver.asked).toHaveLength(1)
    await vi.advanceTimersByTimeAsync(200)
    expect(receiver.asked).toHaveLength(2)
  })

  it('never waits longer than a minute by itself', async () => {
    const receiver = makeReceiver()
    receiver.answer = AWAY
    put(open(receiver), 'a')
    await vi.advanceTimersByTimeAsync(3_600_000)
    expect(receiver.asked.length).toBeGreaterThan(60)
    expect(receiver.asked.length).toBeLessThan(135)
  })

  it('takes a send that throws for one that failed', async () => {
    const receiver = makeReceiver()
    const outbox = openOutbox(
      { maxBytes: 0, memoryBytes: 100 },
      {
        log,
        send: () => (receiver.answer.ok ? Promise.reject(new Error('socket')) : receiver.send('metrics', Buffer.of())),
      },
    )
    onTestFinished(() => outbox.close(0))
    put(outbox, 'a')
    await soon()
    expect(outbox.counters()).toMatchObject({ waiting: 1, retried: 1 })
  })

  it('drops what is refused for good, counts it, says it once', async () => {
    const receiver = makeReceiver()
    receiver.answer = REFUSED
    const outbox = open(receiver)
    put(outbox, 'a', 'b', 'c')
    await soon()
    expect(outbox.counters()).toMatchObject({ refused: 3, waiting: 0, sent: 0 })
    expect(errors()).toEqual(['metrics are refused and dropped: not a metric'])
  })

  it('counts records that the receiver left out of a batch it took', async () => {
    const receiver = makeReceiver()
    receiver.answer = { ok: true, rejected: 2, message: 'two from the future' }
    const outbox = open(receiver)
    put(outbox, 'a', 'b')
    await soon()
    expect(outbox.counters()).toMatchObject({ sent: 2, rejected: 4 })
    expect(errors()).toEqual(['the receiver left records out: two from the future'])
  })

  it('lets a door that is shut hold up no other', async () => {
    const receiver = makeReceiver()
    receiver.answer = AWAY
    receiver.door = 'profiles'
    const outbox = open(receiver)
    outbox.put('profiles', Buffer.from('p'))
    put(outbox, 'a')
    await soon()
    put(outbox, 'b')
    outbox.put('jobs', Buffer.from('j'))
    await soon()
    expect(receiver.taken).toEqual(['a', 'b', 'j'])
    expect(outbox.counters().waiting).toBe(1)
  })

  it('drops the oldest on disk where the spool is full, and counts it', async () => {
    const receiver = makeReceiver()
    receiver.answer = AWAY
    const outbox = open(receiver, { maxBytes: 30 })
    put(outbox, '1234567890')
    await soon()
    put(outbox, '2234567890', '3234567890', '4234567890', '5234567890')
    expect(outbox.counters()).toMatchObject({ dropped: 2, waiting: 3, waitingBytes: 30 })
    receiver.answer = OK
    await vi.advanceTimersByTimeAsync(2000)
    expect(receiver.taken).toEqual(['3234567890', '4234567890', '5234567890'])
    expect(errors()).toEqual(['metrics dropped: the spool is full'])
  })

  it('moves the oldest to disk where memory is full, while a send hangs', async () => {
    const receiver = makeReceiver()
    let answer: (sent: Sent) => void = () => {}
    const hanging = new Promise<Sent>(resolve => {
      answer = resolve
    })
    let first = true
    const outbox = openOutbox(
      { path, maxBytes: 1000, memoryBytes: 25 },
      {
        log,
        send: (door, body) => {
          if (!first) return receiver.send(door, body)
          first = false
          return hanging
        },
      },
    )
    onTestFinished(() => outbox.close(0))
    put(outbox, '1234567890', '2234567890', '3234567890', '4234567890')
    expect(onDisk()).toHaveLength(2)
    answer(OK)
    await soon()
    expect(receiver.taken).toEqual(['2234567890', '3234567890', '4234567890'])
    expect(onDisk()).toEqual([])
  })

  it('keeps the newest in memory where there is no disk', async () => {
    const receiver = makeReceiver()
    receiver.answer = AWAY
    const outbox = openOutbox({ maxBytes: 1000, memoryBytes: 20 }, { send: receiver.send, log })
    onTestFinished(() => outbox.close(0))
    put(outbox, '1234567890')
    await soon()
    put(outbox, '2234567890', '3234567890')
    expect(outbox.counters()).toMatchObject({ dropped: 1, waiting: 2 })
    receiver.answer = OK
    await vi.advanceTimersByTimeAsync(1000)
    expect(receiver.taken).toEqual(['2234567890', '3234567890'])
    expect(errors()).toEqual(['metrics dropped: memory is full'])
  })

  it('goes on in memory while the disk takes nothing, and says so once', async () => {
    const receiver = makeReceiver()
    receiver.answer = AWAY
    const outbox = open(receiver)
    rmSync(path, { recursive: true })
    writeFileSync(path, 'a file where the directory was: no write into it can succeed, as on a full disk')
    put(outbox, 'a')
    await soon()
    put(outbox, 'b')
    expect(outbox.counters()).toMatchObject({ waiting: 2, dropped: 0 })
    expect(errors()).toEqual([expect.stringContaining('the spool takes nothing')])
    rmSync(path)
    mkdirSync(path)
    put(outbox, 'c')
    expect(onDisk()).toHaveLength(1)
    receiver.answer = OK
    await vi.advanceTimersByTimeAsync(1000)
    expect(receiver.taken).toEqual(['a', 'b', 'c'])
  })

  it('counts a file of the spool that is gone', async () => {
    const receiver = makeReceiver()
    receiver.answer = AWAY
    const outbox = open(receiver)
    put(outbox, 'a', 'b')
    await soon()
    rmSync(join(path, onDisk()[0] ?? ''))
    receiver.answer = OK
    await vi.advanceTimersByTimeAsync(1000)
    expect(receiver.taken).toEqual(['b'])
    expect(outbox.counters()).toMatchObject({ dropped: 1, sent: 1, waiting: 0 })
  })

  it('sends on close what the receiver takes, without waiting for a retry', async () => {
    const receiver = makeReceiver()
    receiver.answer = AWAY
    const outbox = open(receiver)
    put(outbox, 'a', 'b')
    await soon()
    receiver.answer = OK
    await outbox.close(5000)
    expect(receiver.taken).toEqual(['a', 'b'])
    expect(readdirSync(path)).toEqual([])
  })

  it('leaves on disk what could not be sent before the deadline; the next one sends it, oldest first', async () => {
    const receiver = makeReceiver()
    const outbox = openOutbox({ path, maxBytes: 1000, memoryBytes: 1000 }, { log, send: () => new Promise(() => {}) })
    put(outbox, 'a', 'b')
    outbox.put('jobs', Buffer.from('j'))
    const closed = outbox.close(2000)
    await vi.advanceTimersByTimeAsync(2000)
    await closed
    expect(onDisk()).toHaveLength(3)
    const next = open(receiver)
    put(next, 'c')
    await soon()
    expect(receiver.taken.filter(text => text !== 'j')).toEqual(['a', 'b', 'c'])
    expect(receiver.taken).toContain('j')
    expect(onDisk()).toEqual([])
  })

  it('tells at close what is lost because there is no disk', async () => {
    const receiver = makeReceiver()
    receiver.answer = AWAY
    const outbox = openOutbox({ maxBytes: 0, memoryBytes: 1000 }, { send: receiver.send, log })
    put(outbox, 'a')
    await soon()
    await outbox.close(10)
    expect(outbox.counters()).toMatchObject({ dropped: 1, waiting: 0 })
    expect(errors()).toEqual([expect.stringContaining('not on disk')])
  })

  it('removes half-written files and leaves strangers alone', () => {
    mkdirSync(path)
    writeFileSync(join(path, '0001700000000124.metrics.part'), 'half')
    writeFileSync(join(path, 'notes.txt'), 'mine')
    open(makeReceiver())
    expect(onDisk()).toEqual(['notes.txt'])
  })

  it('refuses a spool that a live process holds, and names it', () => {
    mkdirSync(path)
    const holder = join(path, 'holder')
    writeFileSync(holder, `${process.ppid} ${startOf(process.ppid)}\n`)
    expect(() => open(makeReceiver())).toThrow(new RegExp(`pid ${process.ppid}; stop that one`))
    writeFileSync(holder, `${process.ppid} 1\n`) // its pid was given to another process since
    open(makeReceiver())
  })
})

const startOf = (pid: number) => {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
}

describe('kill -9', () => {
  it('leaves a spool of whole batches, sent in order by the next collector', async () => {
    vi.useRealTimers()
    const program = `
      import { openOutbox } from ${JSON.stringify(new URL('../../dist/collector/outbox.js', import.meta.url).href)}
      const log = { info() {}, warn() {}, error() {}, debug() {} }
      const send = async () => ({ ok: false, permanent: false, message: 'away' })
      const outbox = openOutbox({ path: ${JSON.stringify(path)}, maxBytes: 1 << 20, memoryBytes: 1 << 20 }, { send, log })
      outbox.put('metrics', Buffer.from('0'))
      await new Promise(setImmediate)
      for (let i = 1; ; i++) {
        outbox.put('metrics', Buffer.from(String(i).padStart(2000, '.')))
        if (i === 100) setTimeout(() => process.kill(process.pid, 'SIGKILL'), 0)
        if (i > 100) await new Promise(setImmediate)
      }`
    await expect(promisify(execFile)(process.execPath, ['--input-type=module', '-e', program])).rejects.toMatchObject({
      signal: 'SIGKILL',
    })
    const receiver = makeReceiver()
    const outbox = open(receiver)
    await vi.waitFor(() => expect(outbox.counters().waiting).toBe(0))
    const numbers = receiver.taken.map(text => Number(text.replaceAll('.', '')))
    expect(numbers.length).toBeGreaterThanOrEqual(101)
    expect(numbers).toEqual([...numbers.keys()])
    expect(receiver.taken.slice(1).every(text => text.length === 2000)).toBe(true)
  })
})
