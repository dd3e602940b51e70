import { spawnSync } from 'node:child_process'
import { expect, it } from 'vitest'
import { layoutDoctor } from '../../collector/doctor.ts'

const source = (name: string, state: 'works' | 'absent' | 'failing', why?: string, errors = 0) => ({
  ...{ name, state, errors },
  ...(why === undefined ? {} : { why }),
})
const STATUS = {
  node: 'n1',
  cluster: 'lab',
  processes: 90,
  scheduler: { absent: 'no controller of a scheduler runs on this machine' },
  sources: [
    source('cpu', 'works'),
    source('bandwidth', 'absent', 'not mounted: mount -t resctrl resctrl /sys/fs/resctrl'),
    source('disk', 'failing', 'EIO: i/o error, read', 3),
    source('cgroup', 'works', 'no job has a control group now'),
    source('stacks', 'works'),
  ],
  sampling: ['by the addon at 19 Hz', 'no names of x'],
}

it('is a table: what fails, then what is absent and what to do, then what works', () => {
  expect(`\n${layoutDoctor(STATUS, 60).join('\n')}\n`).toBe(`
node n1, cluster lab, 90 processes

SOURCE     STATE    WHAT IT HAS, OR WHY NOT AND WHAT TO DO
disk       failing  EIO: i/o error, read (3 times so far)
bandwidth  absent   not mounted: mount -t resctrl resctrl
                    /sys/fs/resctrl
scheduler  absent   no controller of a scheduler runs on
                    this machine
cpu        works
cgroup     works    no job has a control group now
stacks     works    by the addon at 19 Hz; no names of x

3 work, 2 are absent, 1 fail
`)
})

it('says which collector asks the scheduler in place of this one', () => {
  const asked = {
    kind: 'slurm',
    version: '22.05.8',
    unreadable: undefined,
    jobs: 0,
    nodes: 0,
    polls: 0,
    failures: 0,
  } as const
  const counts = { polledMs: undefined, tookMs: undefined, sentRecords: 0, refusedRecords: 0, unknownEnds: 0 }
  const scheduler = { ...asked, ...counts, heldBy: 'the collector on n2 asks the slurm of cluster lab' }
  expect(layoutDoctor({ ...STATUS, scheduler }, 200).find(line => line.startsWith('scheduler'))).toBe(
    'scheduler  absent   the collector on n2 asks the slurm of cluster lab; this one takes over when it falls silent',
  )
})

it('breaks no word, however narrow the terminal is', () => {
  const lines = layoutDoctor(STATUS, 20)
  expect(lines).toContain('                    /sys/fs/resctrl')
  expect(lines.every(line => line.length < 70)).toBe(true)
})

it('is what the command prints of this machine, each source once, with a reason for what is absent', () => {
  const ran = spawnSync(process.execPath, ['dist/main.js', 'doctor', '--set', 'collector.stacks.mode=off'], {
    encoding: 'utf8',
    timeout: 60_000,
  })
  expect(ran.stderr).toBe('')
  expect(ran.status).toBe(0)
  const rows = ran.stdout
    .split('\n')
    .flatMap(line => /^(\S.*?) {2,}(works|absent|failing) *(.*)$/.exec(line)?.slice(1) ?? [])
  const names = rows.filter((_, i) => i % 3 === 0)
  expect(new Set(names).size).toBe(names.length)
  expect(names).toEqual(
    expect.arrayContaining(['cpu', 'memory', 'disk', 'network', 'processes', 'scheduler', 'counters']),
  )
  rows.forEach((state, i) => {
    if (state === 'absent') expect([names[(i - 1) / 3], rows[i + 1]]).not.toEqual([names[(i - 1) / 3], ''])
  })
  expect(ran.stdout).toMatch(/\d+ work, \d+ are absent, \d+ fail\n$/)
})
