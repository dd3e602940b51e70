import { appendFileSync, readdirSync, readFileSync } from 'node:fs'
import { pino } from 'pino'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { PolledJob, Scheduler } from '../../../collector/schedulers/contract.ts'
import { AccountingReader, parseRecord } from '../../../collector/schedulers/pbs/accounting.ts'
import { type Attributes, groupOf, parseAttributes, parseDsv } from '../../../collector/schedulers/pbs/attributes.ts'
import {
  endOf,
  exitOf,
  jobOf,
  parseDuration,
  parseExecHost,
  parseExecVnode,
  parseSize,
  timeOf,
} from '../../../collector/schedulers/pbs/job.ts'
import { nodesOf } from '../../../collector/schedulers/pbs/nodes.ts'
import { parseTorqueJobs, parseTorqueNodes } from '../../../collector/schedulers/pbs/torque.ts'
import { openPbs } from '../../../collector/schedulers/pbs.ts'
import { PlayedCommands } from './played.ts'

const url = (file: string) => new URL(`../../fixtures/pbs/${file}`, import.meta.url)
const capture = (file: string) => readFileSync(url(file)).toString('utf8')
const HOSTS = nodesOf(groupOf(parseAttributes(capture('running.pbsnodes-av.json')) ?? {}, 'nodes')).hostOf
const MIB = 2 ** 20

function jobsOf(jobs: Attributes): Map<string, PolledJob> {
  const records = Object.entries(jobs).flatMap(([id, job]) => (typeof job === 'string' ? [] : [jobOf(id, job, HOSTS)]))
  return new Map(records.map(job => [job.id, job]))
}
const polled = (file: string) => jobsOf(groupOf(parseAttributes(capture(file)) ?? {}, 'Jobs'))
/** How many jobs are in a capture, JSON or not. */
const idsIn = (file: string) => [...capture(file).matchAll(/^\s+"(\d+(?:\[\d*\])?\.[^"]+)":\s*\{$/gm)].map(m => m[1])

describe('qstat -f -F json', () => {
  it.each([
    'running.qstat-f.json',
    'running.qstat-tf.json',
    'running.qstat-tfx.json',
    'fqdn-server.qstat-tf.json',
    'exiting-E.qstat-tf.json',
    'momdown.qstat-f.json',
    'states-BFHQRSWX.qstat-tfx.json',
    'oddvalues.qstat-f.master.json',
    'oddvalues.qstat-f.v23.06.06.json',
    'oddvalues.qstat-f.v22.05.11.json',
  ])('%s: no job is lost, none has a state nobody knows', file => {
    const jobs = polled(file)
    expect(jobs.size).toBeGreaterThan(3)
    expect([...jobs.keys()]).toEqual(idsIn(file))
    for (const job of jobs.values()) {
      expect(job.state).not.toBe('unknown')
      expect(job.name).toBeTruthy()
      expect(job.submitMs).toBeGreaterThan(Date.UTC(2026, 10, 23))
      expect(JSON.stringify(job)).not.toMatch(/PBS_O_|COOKIE|SECRET/)
    }
  })

  it('says the same whatever release printed it, names with any value among it', () => {
    const [master, v23, v22] = ['master', 'v23.06.06', 'v22.05.11'].map(v => polled(`oddvalues.qstat-f.${v}.json`))
    const names = [...(master?.values() ?? [])].map(job => job.name)
    for (const name of [
      'nan',
      'inf',
      'Infinity',
      '+5',
      '.5',
      '5.',
      '1e5',
      '1.10',
      '1234',
      '007',
      'true',
      'null',
      '12345678901234567890',
    ])
      expect(names).toContain(name)
    const plain = (jobs: Map<string, PolledJob> | undefined) =>
      [...(jobs ?? [])].map(([id, { account, ...job }]) => [id, job])
    expect(plain(v23)).toEqual(plain(v22))
    expect(plain(v23)).toEqual(plain(master))
    expect([...(v23?.values() ?? [])].map(j => j.account)).toContain('acct "with", odd\\chars 1')
  })

  it.each([
    ['running.qstat-f.txt', 'running.qstat-f.json'],
    ['oddvalues.qstat-f.txt', 'oddvalues.qstat-f.v22.05.11.json'],
    ['oddvalues.qstat-f.txt', 'oddvalues.qstat-f.v23.06.06.json'],
    ['oddvalues.qstat-f.txt', 'oddvalues.qstat-f.master.json'],
  ])('%s, which is for people, has the same jobs as %s, of the same names', (text, json) => {
    const told = [...capture(text).matchAll(/^Job Id: (\S+)\n {4}Job_Name = (.*(?:\n\t.*)*)$/gm)]
    const names = told.map(([, id, name = '']) => [id, name.replace(/\n\t/g, '')])
    expect(told.length).toBeGreaterThan(10)
    expect([...polled(json)].map(([id, { name }]) => [id, name])).toEqual(names)
  })

  it('tells what a job holds on each host', () => {
    expect(polled('running.qstat-tf.json').get('4.pbs01')).toMatchObject({
      state: 'running',
      nodeCount: 1,
      cores: 5,
      memoryBytes: 20 * MIB,
      allocations: [{ node: 'node02', cores: 5, memoryBytes: 20 * MIB }],
    })
    expect(polled('running.qstat-tf.json').get('7.pbs01')).toMatchObject({
      gpus: 1,
      allocations: [{ node: 'node01', gpus: 1 }],
    })
    expect(polled('states-BFHQRSWX.qstat-tfx.json').get('71.pbs01')?.allocations).toEqual([
      { node: 'node01', cores: 2, memoryBytes: 50 * MIB },
      { node: 'node02', cores: 1, memoryBytes: 20 * MIB },
    ])
  })

  it.each([
    [
      '0.pbs01',
      { state: 'running', name: 'md_run', user: 'alice', account: 'proj-0042', timeLimitSeconds: 3600, restarts: 0 },
    ],
    ['1.pbs01', { state: 'failed', exitCode: 3 }],
    ['2[].pbs01', { state: 'running', arrayId: '2[].pbs01', schedulerState: 'B' }],
    ['2[1].pbs01', { state: 'cancelled', signal: 15, arrayId: '2[].pbs01', arrayTask: '1', schedulerState: 'X' }],
    ['5.pbs01', { state: 'held' }],
    ['6.pbs01', { state: 'queued', schedulerState: 'W' }],
    ['14.pbs01', { state: 'cancelled' }],
    ['54[].pbs01', { state: 'held', arrayTask: '5-6' }],
    ['55.pbs01', { state: 'failed', signal: 9 }],
    ['56.pbs01', { state: 'failed', signal: 11 }],
    ['57.pbs01', { state: 'timeout' }],
    ['58.pbs01', { state: 'completed', exitCode: 0 }],
    ['63.pbs01', { state: 'suspended' }],
    ['64.pbs01', { state: 'running', restarts: 1 }],
  ])('%s is %o', (id, expected) => {
    expect(polled('states-BFHQRSWX.qstat-tfx.json').get(id)).toMatchObject(expected)
  })

  it('has no end before it is one, and no cores of an array beside those of its tasks', () => {
    const jobs = polled('states-BFHQRSWX.qstat-tfx.json')
    expect(jobs.get('64.pbs01')).not.toHaveProperty('endMs')
    expect(jobs.get('2[].pbs01')).not.toHaveProperty('cores')
    expect(jobs.get('57.pbs01')).not.toHaveProperty('exitCode')
  })

  it('that is cut is no answer', () => {
    expect(parseAttributes(capture('running.qstat-tf.json').slice(0, 5000))).toBeUndefined()
    expect(parseAttributes('')).toBeUndefined()
    expect(parseAttributes('qstat: cannot connect')).toBeUndefined()
  })
})

describe('dsv', () => {
  it('says the same', () => {
    const dsv = jobsOf(parseDsv(capture('running.qstat-f.dsv')))
    expect(dsv).toEqual(polled('running.qstat-f.json'))
  })

  it('keeps separators and newlines inside values apart', () => {
    expect(
      parseDsv('Job Id: 1.s|Account_Name=a\\|b|comment=two\nlines|Variable_List=A=1\nJob Id: 2.s|queue=q\n'),
    ).toEqual({
      '1.s': { Account_Name: 'a|b', comment: 'two\nlines' },
      '2.s': { queue: 'q' },
    })
  })
})

describe('pbsnodes -av', () => {
  const nodes = (file: string) => nodesOf(groupOf(parseAttributes(capture(file)) ?? {}, 'nodes')).records
  it.each(['running.pbsnodes-av.json', 'running.pbsnodes-av.v23.json'])('%s: vnodes of a host are one node', file => {
    expect(nodes(file).map(n => [n.node, n.schedulerCores, n.aliases])).toEqual([
      ['node01', 8, ['node01.lab.example']],
      ['node02', 8, ['node02.lab.example']],
    ])
    expect(HOSTS.get('node02[1]')).toBe('node02')
  })

  it('tells state and why', () => {
    expect(nodes('running.pbsnodes-av.json').map(n => n.schedulerState)).toEqual(['allocated', 'allocated'])
    expect(nodes('momdown.pbsnodes-av.json').map(n => [n.schedulerState, n.schedulerReason])).toEqual([
      ['mixed', 'gpu fan {\\a\\:1}'],
      ['down', 'node down: communication closed'],
    ])
    expect(nodes('offline-comment.pbsnodes-av.json')[1]).toMatchObject({
      schedulerState: 'drained',
      schedulerReason: 'bad "DIMM", slot \\A1 – é',
    })
  })
})

describe('accounting', () => {
  const ended = () => {
    const reader = new AccountingReader()
    const jobs = capture('accounting.20261123')
      .split('\n')
      .flatMap(line => reader.parse(line) ?? [])
    return new Map(jobs.map(job => [job.id, job]))
  }

  it('tells every job that ended, as qstat does', () => {
    const jobs = ended()
    expect(jobs.size).toBe(new Set(capture('accounting.20261123').match(/(?<=;E;)[^;]+/g)).size)
    const history = polled('states-BFHQRSWX.qstat-tfx.json')
    let compared = 0
    for (const [id, job] of history) {
      const accounted = jobs.get(id)
      if (job.endMs === undefined || accounted === undefined || id.includes('[]')) continue
      const { state, exitCode, signal, submitMs, startMs, user, queue, name, cores } = job
      const expected = Object.fromEntries(
        Object.entries({ state, exitCode, signal, submitMs, startMs, user, queue, name, cores }).filter(
          ([, v]) => v !== undefined,
        ),
      )
      expect(accounted, id).toMatchObject(expected)
      // The end that MoM saw, and when the server wrote it down.
      expect((accounted.endMs ?? 0) - job.endMs, id).toBeLessThanOrEqual(1000)
      compared++
    }
    expect(compared).toBeGreaterThan(12)
  })

  it('takes quotes as they come', () => {
    expect(
      parseRecord(
        'user=alice account="acct "with", odd\\chars 1" jobname=v10 resources_used.diag_messages=\'{"node01": "Cgroup mem limit exceeded"}\' end=5',
      ),
    ).toEqual({
      user: 'alice',
      account: 'acct "with", odd\\chars 1',
      jobname: 'v10',
      resources_used: { diag_messages: '{"node01": "Cgroup mem limit exceeded"}' },
      end: '5',
    })
  })

  it('skips what ends no job', () => {
    const reader = new AccountingReader()
    for (const line of [
      '',
      'garbage',
      '11/23/2026 14:40:41;E;R68.pbs01;x=1',
      '11/23/2026 14:43:55;R;64.pbs01;user=bob end=1',
    ])
      expect(reader.parse(line)).toBeUndefined()
  })
})

describe('words and units', () => {
  it('ends', () => {
    const end = (Exit_status: string, deleted = false, comment = '') => endOf({ Exit_status, comment }, deleted)
    expect([end('0'), end('3'), end('271', true), end('-29'), end('-27'), end('265')]).toEqual([
      'completed',
      'failed',
      'cancelled',
      'timeout',
      'out_of_memory',
      'failed',
    ])
    expect(end('265', false, 'Cgroup mem limit exceeded on node01')).toBe('out_of_memory')
    expect([exitOf('3'), exitOf('271'), exitOf('-29'), exitOf(undefined)]).toEqual([
      { exitCode: 3 },
      { signal: 15 },
      {},
      {},
    ])
  })

  it('sizes, durations, times', () => {
    expect(['100mb', '24684084kb', '2000mw', '1024', '2gb', '5b', 'x'].map(parseSize)).toEqual([
      100 * MIB,
      24684084 * 1024,
      16000 * MIB,
      1024,
      2048 * MIB,
      5,
      undefined,
    ])
    expect(['336:00:00', '30:00', '90', ''].map(parseDuration)).toEqual([1209600, 1800, 90, undefined])
    expect(timeOf('Mon Nov 23 14:39:21 2026')).toBe(1795444761000)
    expect(timeOf('Mon Nov  2 04:39:21 2026')).toBe(Date.UTC(2026, 10, 2, 4, 39, 21))
    expect([timeOf('1795444761'), timeOf(''), timeOf('0')]).toEqual([1795444761000, undefined, undefined])
  })

  it('places', () => {
    expect(
      parseExecVnode('(n[0]:mem=10240kb:ncpus=1+n[1]:ncpus=3)+(m:ncpus=2:ngpus=1)').map(a => [a.node, a.cores, a.gpus]),
    ).toEqual([
      ['n[0]', 1, undefined],
      ['n[1]', 3, undefined],
      ['m', 2, 1],
    ])
    expect(parseExecHost('node01/0*2+node02/1').map(a => [a.node, a.cores])).toEqual([
      ['node01', 2],
      ['node02', 1],
    ])
    expect(parseExecHost('n1/0-3,6').map(a => a.cores)).toEqual([5])
  })
})

describe('Torque (after its manual, not captured)', () => {
  it('jobs and nodes', () => {
    const xml = `<Data><Job><Job_Id>12[3].head</Job_Id><Job_Name>a &amp; b</Job_Name><Job_Owner>eve@head</Job_Owner><job_state>C</job_state>
      <queue>batch</queue><ctime>1795444761</ctime><start_time>1795444800</start_time><comp_time>1795444900</comp_time><exit_status>271</exit_status>
      <exec_host>n1/0-1+n2/0</exec_host><Resource_List><walltime>01:00:00</walltime></Resource_List><Variable_List>TOKEN=x</Variable_List></Job></Data>`
    const [job] = [...jobsOf(parseTorqueJobs(xml)).values()]
    expect(job).toMatchObject({
      id: '12[3].head',
      arrayTask: '3',
      state: 'failed',
      signal: 15,
      user: 'eve',
      name: 'a & b',
      cores: 3,
    })
    expect(job?.allocations?.map(a => a.node)).toEqual(['n1', 'n2'])
    expect(parseTorqueJobs('')).toEqual({})
    const nodes = parseTorqueNodes(
      '<Data><Node><name>n1.x</name><state>down,offline</state><np>8</np><note>disk</note></Node></Data>',
    )
    expect(nodesOf(nodes).records).toMatchObject([
      { node: 'n1', schedulerState: 'down+drained', schedulerCores: 8, schedulerReason: 'disk' },
    ])
    expect(() => parseTorqueJobs('<Data><Job>')).toThrow(/scheduler unreadable/)
  })
})

describe('openPbs', () => {
  let commands: PlayedCommands
  beforeEach(() => {
    commands = new PlayedCommands()
    commands.prints('pbsnodes', { '-av -F json': url('running.pbsnodes-av.json') })
  })
  afterEach(() => commands.close())

  async function open(qstat: Record<string, string | URL>, accountingPath?: string): Promise<Scheduler> {
    commands.prints('qstat', { '--version': 'pbs_version = 23.06.06\n', ...qstat })
    const options = { kind: 'pbs', log: pino({ level: 'silent' }), env: commands.env, timeoutMs: 5000 } as const
    const opened = await openPbs({ ...options, accountingPath: accountingPath ?? '/nowhere' })
    if ('absent' in opened) throw new Error(opened.absent)
    return opened
  }

  it('polls', async () => {
    const pbs = await open({ '-t -f -F json': url('oddvalues.qstat-f.v22.05.11.json') })
    const { jobs, nodes } = await pbs.poll()
    expect([pbs.version, jobs.length, nodes.length]).toEqual(['23.06.06', 50, 2])
  })

  it('an empty queue is one; an outage is none', async () => {
    expect((await (await open({ '-t -f -F json': url('nojobs.qstat-f.json') })).poll()).jobs).toEqual([])
    const [, stdout = '', stderr = '', rc = ''] =
      /--- stdout\n(.*?)--- stderr\n(.*?)--- rc=(\d+)/s.exec(capture('errors/serverdown.txt')) ?? []
    commands.script('qstat', `cat '${commands.file('out', stdout)}'; echo '${stderr}' >&2; exit ${rc}`)
    const pbs = await open({ '-t -f -F json': url('nojobs.qstat-f.json') })
    commands.script('qstat', `cat '${commands.file('out', stdout)}'; echo '${stderr}' >&2; exit ${rc}`)
    await expect(pbs.poll()).rejects.toThrow(
      /^scheduler unreadable: `qstat -t -f -F json` ended with 255: Connection refused/,
    )
  })

  const answers = readdirSync(url('errors/')).flatMap(file => {
    const [, command = '', stdout = '', stderr = '', rc = ''] =
      /^\$ (?:env \S+ )?(.*)\n--- stdout\n([\s\S]*)--- stderr\n([\s\S]*)--- rc=(\d+)/.exec(capture(`errors/${file}`)) ??
      []
    return [{ file, name: command.split(' ', 1)[0] ?? '', command, stdout, stderr, rc: Number(rc) }]
  })

  it.each(answers)('$file: `$command` that ends with $rc is all that it says, or an outage', async told => {
    const pbs = await open({ '-t -f -F json': url('nojobs.qstat-f.json') })
    const out = `cat '${commands.file('out', told.stdout)}'; cat '${commands.file('err', told.stderr)}' >&2`
    commands.script(told.name, `${out}; exit ${told.rc}`)
    const whole = told.rc === 0 && /"(?:Jobs|nodes)":/.test(told.stdout)
    if (!whole) return expect(pbs.poll()).rejects.toThrow(/^scheduler unreadable: /)
    const { jobs, nodes } = await pbs.poll()
    const found = told.name === 'qstat' ? jobs.map(job => job.id) : nodes.map(node => node.node)
    const named = told.name === 'qstat' ? /^\t\t"(\d+[^"]*)":/gm : /^\t\t"(\w+)(?:\[\d+\])?":/gm
    expect(found).toEqual([...new Set([...told.stdout.matchAll(named)].map(([, name]) => name))])
    expect(found.length).toBeGreaterThan(0)
  })

  it('falls back to dsv where JSON is cut', async () => {
    const cut = capture('running.qstat-f.json').slice(0, 9000)
    const pbs = await open({ '-t -f -F json': cut, '-t -f -F dsv': url('running.qstat-f.dsv') })
    expect((await pbs.poll()).jobs).toHaveLength(14)
  })

  it('ends a command that hangs', async () => {
    const options = { kind: 'pbs', log: pino({ level: 'silent' }), env: commands.env, timeoutMs: 300 } as const
    commands.script('qstat', 'case "$*" in --version) echo pbs_version = 1;; *) exec sleep 60;; esac')
    const opened = await openPbs(options)
    if ('absent' in opened) throw new Error(opened.absent)
    await expect(opened.poll()).rejects.toThrow('scheduler unreadable: `qstat` gave no answer in 300 ms')
  })

  it('is not another scheduler that has a qstat', async () => {
    commands.script('qstat', 'echo "SGE 8.1.9"')
    const options = { kind: 'pbs', log: pino({ level: 'silent' }), env: commands.env, timeoutMs: 5000 } as const
    expect(await openPbs(options)).toEqual({ absent: 'no PBS: `qstat --version` says SGE 8.1.9' })
  })

  it('reads accounting as it grows, and knows what was deleted while it waited', async () => {
    const lines = capture('accounting.20261123').split('\n')
    const file = commands.file('accounting/20261123', `${lines.slice(0, 100).join('\n')}\n`)
    const pbs = await open({ '-t -f -F json': url('nojobs.qstat-f.json') }, `${commands.directory}/files/accounting`)
    const [since, until] = [Date.UTC(2026, 10, 23, 14), Date.UTC(2026, 10, 23, 15)]
    const first = (await pbs.finished?.(since, until, [])) ?? []
    appendFileSync(file, lines.slice(100).join('\n'))
    const waiting: PolledJob = { id: '14.pbs01', scheduler: 'pbs', state: 'held', submitMs: since }
    const rest = (await pbs.finished?.(since, until, [waiting])) ?? []
    expect(first.length).toBeGreaterThan(0)
    expect(rest.find(job => job.id === '14.pbs01')).toEqual({ ...waiting, state: 'cancelled', endMs: until })
    expect(new Set([...first, ...rest].map(job => job.id)).size).toBe(first.length + rest.length)
  })

  it('without accounting asks for the history of single jobs', async () => {
    const pbs = await open({ '-x -f -F json 58.pbs01': url('states-BFHQRSWX.qstat-tfx.json') })
    const gone: PolledJob = { id: '58.pbs01', scheduler: 'pbs', state: 'running' }
    expect(await pbs.finished?.(0, 1, [gone])).toMatchObject([{ id: '58.pbs01', state: 'completed', exitCode: 0 }])
    commands.script('qstat', 'echo "qstat: PBS is not configured to maintain job history" >&2; exit 1')
    expect(await pbs.finished?.(0, 1, [gone])).toBeUndefined()
  })
})
