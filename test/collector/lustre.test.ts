import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { PartError } from '../../collector/kernelfile.ts'
import { openLustre, parseLustreStats } from '../../collector/sources/lustre.ts'
import { makeMachine, opened, table } from './machine.ts'

/** llite/…/stats of Lustre 2.16: counters that are 0 have no line. Microseconds are the third number from the end. */
const llite = (n: number) => `\
snapshot_time             1790277040.611962111 secs.nsecs
start_time                1790008165.367572621 secs.nsecs
elapsed_time              268875.244389490 secs.nsecs
read_bytes                ${10 + n} samples [bytes] 1 4194304 ${5000 + 1000 * n} 47236230193563213
write_bytes               ${20 + 2 * n} samples [bytes] 1 16777216 ${7000 + 2000 * n} 265164318462171099
read                      ${10 + n} samples [usecs] 1 1609928 ${100_000 * n} 27868360314999
write                     ${20 + 2 * n} samples [usecs] 1 492497 ${200_000 * n} 2072185935164
open                      ${30 + 3 * n} samples [usecs] 0 36643 ${300_000 * n} 695595244118
seek                      15185541 samples [usecs] 0 98 ${999_000 * n} 2512480
${n > 0 ? `mkdir                     ${n} samples [usecs] 122 21158 398671447 95950994077\n` : ''}\
inode_permission          ${922_787_668 + 1000 * n} samples [usecs] 0 7416 ${888_000 * n} 854368134
opencount                 ${33_538_618 * n} samples [reqs] 1 422 48334893 276156007
`
const osc = (read: number, write: number) => `\
snapshot_time             1790277040.614799671 secs.nsecs
start_time                1790008165.378161500 secs.nsecs
req_waittime              275910125 samples [usecs] 84 83843 45158219745 9703505293811
read_bytes                112863 samples [bytes] 4096 4194304 ${read} 42822534344736768
${write > 0 ? `write_bytes               377312 samples [bytes] 1 4194304 ${write} 96682377804115379\n` : ''}\
ost_read                  112863 samples [usecs] 251 141128 162907407 544845065729
`
const NAME = 'scratch-ffff000189257000'
const target = (i: number) => `sys/kernel/debug/lustre/osc/scratch-OST000${i}-osc-ffff000189257000/stats`
const STATS = `sys/kernel/debug/lustre/llite/${NAME}/stats`
const MOUNTINFO = `20 1 8:1 / / rw - ext4 /dev/vda rw
50 1 0:50 / /scratch rw - lustre 10.1.0.1@o2ib:10.1.0.2@o2ib:/scratch rw,flock
`

describe('Lustre', () => {
  it('gives what programs did and what went to the object servers, by mount', () => {
    const machine = makeMachine({
      'proc/1/mountinfo': MOUNTINFO,
      [STATS]: llite(0),
      [target(0)]: osc(1000, 0),
      [target(1)]: osc(2000, 500),
      // the target of another mount
      'sys/kernel/debug/lustre/osc/scratch-OST0000-osc-ffff000199999999/stats': osc(7e9, 7e9),
    })
    const lustre = opened(openLustre(machine.options))
    expect(lustre.read(machine.tick())).toEqual([])
    machine.write(STATS, llite(4))
    machine.write(target(0), osc(3000, 600))
    machine.write(target(1), osc(2500, 500))
    const told = table(lustre.read(machine.tick(2000)))
    expect(told).toEqual({
      'filesystem /scratch read_bytes': 2000,
      'filesystem /scratch write_bytes': 4000,
      'filesystem /scratch read_operations': 2,
      'filesystem /scratch write_operations': 4,
      'filesystem /scratch metadata_operations': (3 * 4 + 4) / 2, // open and mkdir, which had no line before
      'filesystem /scratch queue': Math.round(((0.1 + 0.2 + 0.3) * 4 + 398.671447) * 5e5) / 1e6,
      'filesystem /scratch server_read_bytes': 1250,
      'filesystem /scratch server_write_bytes': 300,
    })
    expect(lustre.detail?.()).toBeUndefined()
  })

  it('reads releases before 2.12, which had no times and lay in /proc', () => {
    const at = (n: number) => `\
snapshot_time             1409777887.590578 secs.usecs
read_bytes                449131 samples [bytes] 1 23553884 ${1000 * n}
open                      ${5 * n} samples [regs]
brw_read                  22 samples [pages] 1 256 4444
`
    const path = 'proc/fs/lustre/llite/work-ffff81019a4eb000/stats'
    const machine = makeMachine({ 'proc/1/mountinfo': MOUNTINFO, [path]: at(1) })
    const lustre = opened(openLustre(machine.options))
    lustre.read(machine.tick())
    machine.write(path, at(2))
    // work is not in mountinfo (another mount namespace): it is shown by its own name
    expect(table(lustre.read(machine.tick()))).toEqual({
      'filesystem lustre work-ffff81019a4eb000 read_bytes': 1000,
      'filesystem lustre work-ffff81019a4eb000 write_bytes': 0,
      'filesystem lustre work-ffff81019a4eb000 read_operations': 0,
      'filesystem lustre work-ffff81019a4eb000 write_operations': 0,
      'filesystem lustre work-ffff81019a4eb000 metadata_operations': 5,
    })
    expect(lustre.detail?.()).toMatch(/servers' bytes of work-ffff81019a4eb000 are left out/)
  })

  it('goes by its own name where a file system is mounted twice: the two cannot be told apart', () => {
    const other = STATS.replace('ffff000189257000', 'ffff000177777000')
    const machine = makeMachine({ 'proc/1/mountinfo': MOUNTINFO, [STATS]: llite(0), [other]: llite(0) })
    const lustre = opened(openLustre(machine.options))
    lustre.read(machine.tick())
    const instances = new Set(lustre.read(machine.tick()).map(reading => reading.instance))
    expect(instances).toEqual(new Set([`lustre ${NAME}`, 'lustre scratch-ffff000177777000']))
  })

  it('counts a file that is cut or gone, goes on with the others, and sees mounts come and go', () => {
    const other = 'sys/kernel/debug/lustre/llite/home-ffff000177777000/stats'
    const machine = makeMachine({ 'proc/1/mountinfo': MOUNTINFO, [STATS]: llite(0), [other]: llite(0) })
    const lustre = opened(openLustre(machine.options))
    lustre.read(machine.tick())
    machine.write(other, 'snapsh')
    const problem = thrown(() => lustre.read(machine.tick()))
    expect(problem).toMatchObject({ message: 'home-ffff000177777000: Lustre statistics without their snapshot_time' })
    expect(Object.keys(table(problem.readings)).length).toBeGreaterThan(3)
    rmSync(join(machine.options.roots.sys, 'kernel/debug/lustre/llite/home-ffff000177777000'), { recursive: true })
    expect(lustre.read(machine.tick(60_000)).map(r => r.instance)).not.toContain('lustre home-ffff000177777000')
    machine.write(other, llite(0))
    lustre.read(machine.tick(60_000))
    expect(lustre.read(machine.tick()).map(r => r.instance)).toContain('lustre home-ffff000177777000')
  })

  it('leaves out the tick in which the statistics were cleared', () => {
    const machine = makeMachine({ 'proc/1/mountinfo': MOUNTINFO, [STATS]: llite(3) })
    const lustre = opened(openLustre(machine.options))
    lustre.read(machine.tick())
    machine.write(STATS, llite(0))
    expect(table(lustre.read(machine.tick()))).not.toHaveProperty('filesystem /scratch read_bytes')
  })

  it('is absent with what to do: no client, or statistics that only root can read', () => {
    expect(openLustre(makeMachine({ 'proc/1/mountinfo': '20 1 8:1 / / rw - ext4 /dev/vda rw' }).options)).toEqual({
      absent: 'no Lustre client',
    })
    expect(openLustre(makeMachine({ 'proc/1/mountinfo': MOUNTINFO }).options)).toEqual({
      absent: expect.stringMatching(/as root/),
    })
  })

  it('refuses what is no statistics file', () => {
    expect(() => parseLustreStats('')).toThrow(/snapshot_time/)
    expect(() => parseLustreStats('read_bytes 1 samples [bytes] 1 1 1')).toThrow(/snapshot_time/)
    expect(parseLustreStats('snapshot_time 1 secs\n').size).toBe(0)
    expect(() => parseLustreStats('snapshot_time 1 secs\nopen 1 samples [')).toThrow('open 1 samples [')
  })
})

function thrown(read: () => unknown): PartError {
  try {
    read()
  } catch (error) {
    if (error instanceof PartError) return error
    throw error
  }
  throw new Error('it did not throw')
}
