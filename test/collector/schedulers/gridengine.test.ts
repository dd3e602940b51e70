import { appendFileSync, readFileSync } from 'node:fs'
import { pino } from 'pino'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Scheduler } from '../../../collector/schedulers/contract.ts'
import { parseLine } from '../../../collector/schedulers/gridengine/accounting.ts'
import { parseHosts } from '../../../collector/schedulers/gridengine/hosts.ts'
import { jobsOf, parseDetails, parseRows, timeOf } from '../../../collector/schedulers/gridengine/jobs.ts'
import { openGridEngine } from '../../../collector/schedulers/gridengine.ts'
import { parseXml, textOf } from '../../../collector/schedulers/xml.ts'
import { PlayedCommands } from './played.ts'

const url = (file: string) => new URL(`../../fixtures/gridengine/8.1.9/${file}`, import.meta.url)
const capture = (file: string) => readFileSync(url(file)).toString('utf8')
const jobs = () =>
  new Map(jobsOf(parseRows(capture('qstat.xml')), parseDetails(capture('qstat-j.xml'))).map(j => [j.id, j]))
const SUBMITTED = 1795461015000

describe('qstat -xml', () => {
  it('lists every job under the id that users type', () => {
    expect([...jobs().keys()]).toEqual(['4', '5', '6.1', '6.3', '8', '9', '10', '6', '7'])
  })

  it.each([
    ['4', { state: 'running', name: 'lt<gt>&"q', user: 'labuser1', rawId: '4.1', submitMs: SUBMITTED }],
    [
      '5',
      { state: 'running', cores: 3, timeLimitSeconds: 1200, account: 'projx', allocations: [{ node: 'vm', cores: 3 }] },
    ],
    ['6', { state: 'queued', arrayId: '6', arrayTask: '5-9:2', submitMs: SUBMITTED }],
    ['6.3', { state: 'running', arrayId: '6', arrayTask: '3', rawId: '6.3', submitMs: SUBMITTED, uid: 1002 }],
    ['7', { state: 'held', schedulerState: 'hqw' }],
    ['9', { state: 'queued', cores: 50 }],
    ['10', { state: 'held', schedulerState: 'Eqw', reason: expect.stringContaining('error state') }],
  ])('%s is %o', (id, expected) => {
    expect(jobs().get(id)).toMatchObject(expected)
  })

  it('starts nothing that waits', () => {
    for (const job of jobs().values()) expect(job.startMs !== undefined, job.id).toBe(job.state === 'running')
    expect(jobs().get('6')).not.toHaveProperty('rawId')
  })

  it('leaves out what cannot be told from another job of its number', () => {
    expect(jobsOf(parseRows(capture('qstat.xml')), new Map()).map(job => job.id)).toEqual(['9', '10', '6', '7'])
  })

  it('takes every name that Grid Engine takes', () => {
    const names = parseRows(capture('names.qstat.xml')).map(row => row.name)
    for (const name of ['lt<gt>', 'amp&amp;x', 'q"q', "q'q", 'pipe|x', 'com,ma', 'br[1]', 'dollar$x'])
      expect(names).toContain(name)
  })

  it.each([
    ['cut', (text: string) => text.slice(0, 2000)],
    ['empty', () => ''],
    ['of another question', () => capture('qstat-j-999.xml')],
    ['an error', () => 'error: commlib error: got select error (Connection refused)'],
  ])('%s is an outage, no empty queue', (_, change) => {
    expect(() => parseRows(change(capture('qstat.xml')))).toThrow(/^scheduler unreadable: /)
  })

  it('an empty queue is one', () => {
    expect(
      parseRows("<?xml version='1.0'?><job_info><queue_info>\n</queue_info><job_info>\n</job_info></job_info>"),
    ).toEqual([])
    expect(parseDetails(capture('qstat-j-999.xml')).size).toBe(0)
  })
})

describe('qhost -xml', () => {
  it('tells hosts, without the one called global', () => {
    expect(parseHosts(capture('qhost.xml'))).toEqual([
      { node: 'vm', schedulerState: 'mixed', schedulerCores: 2, schedulerQueues: ['all.q'] },
    ])
  })

  it('tells what is wrong', () => {
    expect(parseHosts(capture('qhost-disabled.xml')).map(n => n.schedulerState)).toEqual(['drained'])
    expect(parseHosts(capture('node-down-qhost-j.xml')).map(n => [n.node, n.schedulerState])).toEqual([
      ['node1', 'idle'],
      ['node2', 'down'],
    ])
  })
})

describe('accounting', () => {
  const lines = capture('accounting').split('\n')
  const ended = () => new Map(lines.flatMap(line => parseLine(line) ?? []).map(job => [job.id, job]))

  it('tells every job that ended, and none that waits on in error state', () => {
    expect([...ended().keys()]).toEqual(['1', '2', '3', '8', '6.1', '6.3', '6.5', '6.7', '4', '5', '6.9'])
  })

  it.each([
    [
      '1',
      { state: 'failed', exitCode: 3, name: 'fail', submitMs: SUBMITTED, startMs: SUBMITTED, endMs: 1795461016000 },
    ],
    ['2', { state: 'failed', signal: 11 }],
    ['3', { state: 'timeout', signal: 9 }],
    ['4', { state: 'completed', exitCode: 0, name: 'lt<gt>&"q' }],
    ['5', { state: 'completed', cores: 3, account: 'projx', allocations: [{ node: 'vm' }] }],
    ['6.9', { state: 'completed', arrayId: '6', arrayTask: '9', rawId: '6.9' }],
    ['8', { state: 'cancelled', signal: 9 }],
  ])('%s is %o', (id, expected) => {
    expect(ended().get(id)).toMatchObject(expected)
  })

  it('knows the runs that the queue told, by number and submission', () => {
    for (const id of ['4', '5', '6.1', '6.3', '8']) {
      expect(ended().get(id)?.submitMs).toBe(jobs().get(id)?.submitMs)
      expect(Math.abs((ended().get(id)?.startMs ?? 0) - (jobs().get(id)?.startMs ?? 0))).toBeLessThanOrEqual(1000)
    }
  })

  it('skips what ends no job: comments, tasks of parallel jobs, restarts', () => {
    const [line = ''] = lines.filter(l => l.includes(':fail:'))
    const cells = line.split(':')
    const changed = (at: number, value: string) => cells.map((cell, i) => (i === at ? value : cell)).join(':')
    expect(parseLine('# Version: 8.1.9')).toBeUndefined()
    expect(parseLine(changed(41, '1.node2'))).toBeUndefined()
    expect(parseLine(changed(39, '-l h_rt=1:00:00'))?.exitCode).toBe(3)
    expect(parseLine(changed(11, '25'))).toBeUndefined()
    expect(parseLine(line.slice(0, 60))).toBeUndefined()
    expect(parseLine(changed(10, '1795461016000'))?.endMs).toBe(1795461016000)
  })

  it('reads the JSON lines of OCS 9 (after its manual, not captured)', () => {
    const line = {
      ...{
        job_number: 12,
        task_number: 3,
        start_time: 1795461015000000,
        end_time: 1795461016500000,
        owner: 'eve',
        group: 'x',
      },
      ...{
        account: 'sge',
        qname: 'all.q',
        hostname: 'n1.lab',
        slots: 4,
        job_name: 'a',
        submission_time: 1795461014000000,
      },
      ...{ failed: 0, exit_status: 0, usage: { rusage: {} } },
    }
    expect(parseLine(JSON.stringify(line))).toMatchObject({
      ...{ id: '12.3', state: 'completed', user: 'eve', cores: 4, submitMs: 1795461014000, startMs: SUBMITTED },
      ...{ endMs: 1795461016500, allocations: [{ node: 'n1' }] },
    })
    expect(parseLine(JSON.stringify({ ...line, pe_task_id: '1.n2' }))).toBeUndefined()
  })
})

describe('XML', () => {
  it('entities, attributes, nesting', () => {
    const root = parseXml(`<?xml version='1.0'?><a x='1 &lt; "2"'><b>&amp;lt; &#65;&#x42;</b><c/><b> d </b></a>`)
    expect(root?.attributes).toEqual({ x: '1 < "2"' })
    expect(root && textOf(root, 'b')).toBe('&lt; AB')
    expect(root?.children.map(c => c.name)).toEqual(['b', 'c', 'b'])
  })

  it.each(['<a><b></a>', '<a>', '</a>', 'text', '<a/><b/>', ''])('refuses %s', text => {
    expect(parseXml(text)).toBeUndefined()
  })
})

it('reads times of every house', () => {
  const second = Date.UTC(2026, 10, 23, 19, 6, 6)
  for (const text of [
    '2026-11-23T19:06:06',
    '2026-11-23T19:06:06.123',
    '1795460766',
    '1795460766000',
    '1795460766000000',
  ])
    expect(timeOf(text)).toBe(second)
  expect([timeOf('0'), timeOf(''), timeOf('never')]).toEqual([undefined, undefined, undefined])
})

describe('openGridEngine', () => {
  let commands: PlayedCommands
  beforeEach(() => {
    commands = new PlayedCommands()
    commands.prints('qhost', { '-q -xml': url('qhost.xml') })
    commands.prints('qstat', {
      '-help': 'SGE 8.1.9\nusage: qstat [options]\n',
      '-u * -r -g t -xml': url('qstat.xml'),
      '-j 4,5,6,8,9,10,7 -xml': url('qstat-j.xml'),
    })
  })
  afterEach(() => commands.close())

  async function open(accountingPath: string): Promise<Scheduler> {
    const log = pino({ level: 'silent' })
    const opened = await openGridEngine({ kind: 'gridengine', log, env: commands.env, timeoutMs: 5000, accountingPath })
    if ('absent' in opened) throw new Error(opened.absent)
    return opened
  }

  it('asks once for what only qstat -j tells', async () => {
    const scheduler = await open('/nowhere')
    expect((await scheduler.poll()).jobs).toHaveLength(9)
    commands.prints('qstat', { '-u * -r -g t -xml': url('qstat.xml') })
    expect((await scheduler.poll()).jobs).toHaveLength(9)
    expect(scheduler.version).toBe('8.1.9')
  })

  it('reads accounting as it grows', async () => {
    const lines = capture('accounting').split('\n')
    const file = commands.file('accounting', `${lines.slice(0, 5).join('\n')}\n${lines[5]?.slice(0, 20)}`)
    const scheduler = await open(file)
    expect((await scheduler.finished?.(0, 1, []))?.map(job => job.id)).toEqual(['1'])
    appendFileSync(file, `${lines[5]?.slice(20)}\n`)
    expect((await scheduler.finished?.(0, 1, []))?.map(job => job.id)).toEqual(['2'])
    expect(await scheduler.finished?.(0, 1, [])).toEqual([])
  })

  it('is not another scheduler that has a qstat', async () => {
    commands.script('qstat', 'echo "pbs_version = 23.06.06"')
    await expect(open('/nowhere')).rejects.toThrow('no Grid Engine: `qstat -help` says pbs_version = 23.06.06')
  })
})
