import { rmSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import type { ExitBatch, Exits } from '../../collector/exits.ts'
import type { ProcessesOptions } from '../../collector/processes.ts'
import { type Machine, makeMachine } from './machine.ts'
import { kernel, NOBODY, open, statOf } from './processtree.ts'

interface Exit {
  pid: number
  parent: number
  name?: string
  uid?: number
  count?: number
  /** Milliseconds of CPU, by the scheduler's clock and by ticks. */
  cpuMs: number
  tickedMs?: number
  readBytes?: number
}

/** Exit records as the addon hands them out. */
function makeExits(): Exits & { say(...exits: Exit[]): void; overrun(): void } {
  let told: Exit[] = []
  let overran = false
  return {
    say: (...exits) => {
      told = exits
    },
    overrun: () => {
      overran = true
    },
    drain(): ExitBatch {
      const exits = told
      told = []
      const names = [...new Set(exits.map(({ name = 'x' }) => name))]
      const ints = (of: (exit: Exit) => number) => Uint32Array.from(exits, of)
      const floats = (of: (exit: Exit) => number) => Float64Array.from(exits, of)
      const batch = {
        ...{ names, overran, pid: ints(e => e.pid), parentPid: ints(e => e.parent), uid: ints(e => e.uid ?? 1000) },
        ...{ name: ints(e => names.indexOf(e.name ?? 'x')), count: ints(e => e.count ?? 1) },
        ...{ cpuNs: floats(e => e.cpuMs * 1e6), tickedUs: floats(e => (e.tickedMs ?? 0) * 1000) },
        ...{ readBytes: floats(e => e.readBytes ?? 0), writeBytes: floats(() => 0) },
      }
      overran = false
      return batch
    },
    delays: pids => new Float64Array(2 * pids.length).fill(Number.NaN),
  }
}

/** Processes of a machine: who is there before, then per tick what is written, what has ended and what the node counts. */
function makeTable(start: Parameters<typeof statOf>[0][], more: Partial<ProcessesOptions> = {}, records = true) {
  const machine = makeMachine({ 'proc/stat': kernel(0, 10) })
  const write = (...all: Parameters<typeof statOf>[0][]) => {
    for (const one of all) machine.write(`proc/${one.pid}/stat`, statOf(one))
  }
  write(...start)
  const exits = makeExits()
  const table = open(machine, { ...(records ? { exits } : {}), topByCpu: 20, topByMemory: 0, ...more })
  table.read(machine.tick())
  let forks = 10
  const tick = (busy: number, ms = 1000) => {
    machine.write('proc/stat', kernel(busy, ++forks))
    const { processes, readings } = table.read(machine.tick(ms))
    const rows = processes.map(p => [p.name, cores(p.cpuUser), cores(p.cpuSystem), p.ended ?? p.state])
    return { processes, rows, unseen: readings[0]?.value }
  }
  return { machine, table, exits, write, tick, end: (pid: number) => remove(machine, pid) }
}

const cores = (value: number | undefined) => (value === undefined ? undefined : Math.round(value * 1000) / 1000)
const remove = (machine: Machine, pid: number) => rmSync(`${machine.options.roots.proc}/${pid}`, { recursive: true })

describe('processes that came and went', () => {
  //  make 10   cutime ...|== 0.5 s ==|       cc1 x 3: 300 ms by their records, as: 100 ms
  it('are charged by parent, user and name with all that their parent was told', () => {
    const { exits, write, tick } = makeTable([{ pid: 10, name: 'make', childUser: 900, childSystem: 90 }])
    write({ pid: 10, name: 'make', childUser: 940, childSystem: 100 })
    const cc1 = [21, 22, 23].map(pid => ({ pid, parent: 10, name: 'cc1', cpuMs: 100, readBytes: 1000 }))
    exits.say(...cc1, { pid: 24, parent: 10, name: 'as', cpuMs: 20, tickedMs: 100 })
    const { processes, rows, unseen } = tick(60)
    expect(rows).toEqual([
      ['cc1', 0.3, 0.075, 3],
      ['as', 0.1, 0.025, 1],
    ])
    expect(unseen).toBeCloseTo(0.1)
    expect(processes[0]).toMatchObject({ parentPid: 10, user: 'user1000', state: 'X', readBytes: 3000, command: '' })
  })

  it('are one row for as long as they come, with a pid that no process has, and belong to the job of their parent', () => {
    const { exits, write, tick } = makeTable([{ pid: 10, start: 500 }], {
      charge: pid => (pid === 10 ? { job: '4711', step: '0', rank: 3, evidence: 'cgroup' } : NOBODY),
    })
    const seen = [1, 2, 3].map(round => {
      write({ pid: 10, start: 500, childUser: round * 20 })
      exits.say({ pid: 20 + round, parent: 10, cpuMs: 150 })
      return tick(round * 20).processes[0]
    })
    expect(new Set(seen.map(row => row?.pid)).size).toBe(1)
    expect(seen[0]?.pid).toBeGreaterThan(2 ** 22)
    expect(seen[2]).toMatchObject({ startMs: 1_005_000, cpuUser: 0.2, job: '4711', step: '0', evidence: 'parent' })
    expect(seen[2]?.rank).toBeUndefined()
  })

  it('are told apart by user', () => {
    const { exits, write, tick } = makeTable([{ pid: 10 }])
    write({ pid: 10, childUser: 40 })
    exits.say({ pid: 21, parent: 10, cpuMs: 100, uid: 1 }, { pid: 22, parent: 10, cpuMs: 300, uid: 2 })
    expect(tick(40).processes.map(p => [p.user, cores(p.cpuUser)])).toEqual([
      ['user2', 0.3],
      ['user1', 0.1],
    ])
  })

  //  make 10 ── sh 30 (known) ── 31, 32        all of it ends: make is the heir
  it('go to the nearest that lives, over parents that are gone too', () => {
    const { exits, write, tick, end } = makeTable([{ pid: 10 }, { pid: 30, name: 'sh', parent: 10, user: 7 }])
    end(30)
    write({ pid: 10, childUser: 7 + 3 + 40 })
    exits.say(
      { pid: 32, parent: 31, name: 'deep', cpuMs: 100 },
      { pid: 31, parent: 30, name: 'mid', cpuMs: 300 },
      { pid: 30, parent: 10, name: 'sh', cpuMs: 100 },
    )
    const { rows, processes } = tick(43)
    expect(rows).toEqual([
      ['mid', 0.3, 0, 1],
      ['deep', 0.1, 0, 1],
      ['sh', 0.03, 0, 'X'],
    ])
    expect(processes.map(p => p.parentPid)).toEqual([10, 10, 10])
  })

  it('are charged as their records say where nobody waits for them', () => {
    const { exits, tick } = makeTable([{ pid: 10 }])
    for (const busy of [20, 40, 60]) {
      exits.say({ pid: 20 + busy, parent: 10, cpuMs: 200 })
      expect(tick(busy).rows).toEqual([['x', 0.2, 0, 1]])
    }
  })

  it('are charged even where no ancestor is known', () => {
    const { exits, tick } = makeTable([{ pid: 10 }])
    exits.say({ pid: 21, parent: 20, cpuMs: 200 })
    expect(tick(20).processes).toMatchObject([{ name: 'x', cpuUser: 0.2, startMs: 0, parentPid: undefined, job: '' }])
  })

  //  tick      1    2    3    4       5 ms each, of which the parent is told 10 ms each second tick
  //  told      0    10   0    10
  it('are not charged twice where each is less than the kernel tells in', () => {
    const { exits, write, tick } = makeTable([{ pid: 10 }])
    let sum = 0
    for (let round = 1; round <= 20; round++) {
      write({ pid: 10, childUser: Math.floor(round / 2) })
      exits.say({ pid: 20 + round, parent: 10, cpuMs: 5 })
      sum += tick(round).processes.reduce((all, p) => all + (p.cpuUser ?? 0), 0)
    }
    expect(sum).toBeCloseTo(0.1, 6)
  })

  it('have the name of those before where the record comes a tick too early', () => {
    const { exits, write, tick } = makeTable([{ pid: 10 }])
    exits.say({ pid: 21, parent: 10, name: 'cc1', cpuMs: 100 })
    write({ pid: 10, childUser: 10 })
    tick(10)
    write({ pid: 10, childUser: 30 })
    expect(tick(30).rows).toEqual([['cc1', 0.2, 0, 0]])
  })

  it('are told without records under no name', () => {
    const machine = makeMachine({ 'proc/stat': kernel(0, 10), 'proc/10/stat': statOf({ pid: 10, childUser: 5 }) })
    const table = open(machine)
    table.read(machine.tick())
    machine.write('proc/10/stat', statOf({ pid: 10, childUser: 25, childSystem: 20 }))
    machine.write('proc/stat', kernel(40, 30))
    expect(table.read(machine.tick()).processes).toMatchObject([
      { name: '(ended)', parentPid: 10, cpuUser: 0.2, cpuSystem: 0.2, ended: 0, state: 'X' },
    ])
  })

  it('before the first look are nobody in particular', () => {
    const { tick } = makeTable([{ pid: 10, childUser: 5000 }])
    expect(tick(0).rows).toEqual([])
  })
})

describe('a process that was known', () => {
  it('has its last piece, with what was read of it while it lived', () => {
    const { exits, write, tick, end, machine } = makeTable([
      { pid: 10 },
      { pid: 20, name: 'solver', parent: 10, user: 500 },
    ])
    machine.write('proc/20/cmdline', './solver\0in.dat\0')
    write({ pid: 20, name: 'solver', parent: 10, user: 550 })
    expect(tick(50).rows).toEqual([['solver', 0.5, 0, 'S']])
    end(20)
    write({ pid: 10, childUser: 580, childSystem: 2 })
    exits.say({ pid: 20, parent: 10, name: 'solver', cpuMs: 5810 })
    const last = tick(82)
    expect(last.rows).toEqual([['solver', 0.3, 0.02, 'X']])
    expect(last.processes[0]).toMatchObject({ pid: 20, command: './solver in.dat' })
    expect(last.unseen).toBe(0)
    expect(tick(82).rows).toEqual([])
  })

  it('shares with those that came and went beside it, by their records', () => {
    const { exits, write, tick, end } = makeTable([{ pid: 10 }, { pid: 20, name: 'old', parent: 10, user: 100 }])
    end(20)
    write({ pid: 10, childUser: 100 + 40 })
    exits.say({ pid: 20, parent: 10, name: 'old', cpuMs: 1100 }, { pid: 21, parent: 10, name: 'new', cpuMs: 300 })
    expect(tick(40).rows).toEqual([
      ['new', 0.3, 0, 1],
      ['old', 0.1, 0, 'X'],
    ])
  })

  it.each(['with its record', 'without records', 'when records were lost'])(
    'of long ago counts as nothing now, though it slept and was not looked at: %s',
    how => {
      const { exits, write, tick, end } = makeTable(
        [{ pid: 10 }, { pid: 20, parent: 10, user: 360_000 }, { pid: 30, parent: 20, user: 9000 }],
        {},
        how !== 'without records',
      )
      let busy = 0
      const beat = () => {
        busy += 50
        write({ pid: 10, user: busy })
      }
      for (let round = 0; round < 6; round++) {
        beat()
        expect(tick(busy).rows).toEqual([['a.out', 0.5, 0, 'S']])
      }
      beat()
      write({ pid: 10, user: busy, childUser: 369_000 })
      end(20)
      end(30)
      if (how === 'with its record')
        exits.say({ pid: 30, parent: 20, cpuMs: 90_000 }, { pid: 20, parent: 10, cpuMs: 3_600_000 })
      if (how === 'when records were lost') exits.overrun()
      expect(tick(busy).rows).toEqual([['a.out', 0.5, 0, 'S']])
    },
  )

  it('is seen as long as nobody waits for it, and counted once', () => {
    const { exits, write, tick, end } = makeTable([{ pid: 10 }, { pid: 20, parent: 10, name: 'z', user: 100 }])
    write({ pid: 20, parent: 10, name: 'z', state: 'Z', user: 130 })
    exits.say({ pid: 20, parent: 10, name: 'z', cpuMs: 1300 })
    expect(tick(30).rows).toEqual([['z', 0.3, 0, 'Z']])
    for (let round = 0; round < 9; round++) expect(tick(30).rows).toEqual([])
    end(20)
    write({ pid: 10, childUser: 130 })
    expect(tick(30).rows).toEqual([])
  })

  it('that takes its heir along waits a tick for the next one', () => {
    const { exits, write, tick, end } = makeTable([
      { pid: 1, name: 'init' },
      { pid: 10 },
      { pid: 20, parent: 10, user: 50 },
    ])
    end(20)
    end(10)
    write({ pid: 1, name: 'init', childUser: 90 })
    exits.say({ pid: 20, parent: 10, cpuMs: 700 }, { pid: 10, parent: 1, cpuMs: 200 })
    const { processes } = tick(40)
    expect(processes.reduce((sum, p) => sum + (p.cpuUser ?? 0), 0)).toBeCloseTo(0.4, 6)
  })
})
