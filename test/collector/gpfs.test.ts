import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { openGpfs, parseGpfsLine } from '../../collector/sources/gpfs.ts'
import { makeMachine, opened, partsOf, table, toldIn } from './machine.ts'

/** A line as IBM's documentation of `fs_io_s` shows it. */
const line = (filesystem: string, seconds: number, n: number, code = 0) =>
  `_fs_io_s_ _n_ 199.18.1.8 _nn_ node1 _rc_ ${code} _t_ ${1_066_660_148 + seconds} _tu_ 500000 _cl_ cluster1.ibm.com ` +
  `_fs_ ${filesystem} _d_ 2 _br_ ${n * 1000} _bw_ ${n * 2000} _oc_ ${n} _cc_ ${n} _rdc_ ${n * 10} _wc_ ${n * 20} _dir_ ${n} _iu_ ${n}`

/** An mmpmon that answers each request with what the test wrote last. */
function makeMmpmon() {
  const machine = makeMachine({ 'proc/1/mountinfo': '50 1 0:50 / /work rw - gpfs gpfs2 rw\n' })
  const bin = join(machine.options.roots.proc, 'bin')
  mkdirSync(bin)
  const say = (...lines: string[]) => writeFileSync(join(bin, 'lines'), lines.map(one => `${one}\n`).join(''))
  writeFileSync(
    join(bin, 'mmpmon'),
    `#!/bin/sh
[ "$*" = "-p -s" ] || exit 9
while read -r request; do [ "$request" = fs_io_s ] && cat ${bin}/lines; done
`,
  )
  chmodSync(join(bin, 'mmpmon'), 0o755)
  const source = opened(openGpfs({ ...machine.options, env: { PATH: `${bin}:/usr/bin:/bin` } }))
  onTestFinished(() => source.close?.())
  return { machine, source, say }
}

describe('GPFS', () => {
  it('tells what went through each mount, by the time that mmpmon says', async () => {
    const { machine, source, say } = makeMmpmon()
    say(line('gpfs2', 0, 10), line('gpfs3', 0, 0))
    source.read(machine.tick())
    await new Promise(resolve => setTimeout(resolve, 200))
    expect(source.read(machine.tick())).toEqual([])
    say(line('gpfs2', 4, 14), line('gpfs3', 4, 4))
    await toldIn(() => {
      const told = table(source.read(machine.tick()))
      expect(told).toEqual({
        // 4 s by its clock, whatever ours says
        'filesystem /work read_bytes': 1000,
        'filesystem /work write_bytes': 2000,
        'filesystem /work read_operations': 10,
        'filesystem /work write_operations': 20,
        'filesystem /work metadata_operations': 4,
        'filesystem gpfs gpfs3 read_bytes': 1000,
        'filesystem gpfs gpfs3 write_bytes': 2000,
        'filesystem gpfs gpfs3 read_operations': 10,
        'filesystem gpfs gpfs3 write_operations': 20,
        'filesystem gpfs gpfs3 metadata_operations': 4,
      })
    })
  })

  it('says that the daemon is down, and tells again when it is up', async () => {
    const { machine, source, say } = makeMmpmon()
    say('mmpmon: Could not connect to the file system daemon.')
    await toldIn(() =>
      expect(partsOf(source, machine.tick(100)).problem).toBe(
        'mmpmon: mmpmon: Could not connect to the file system daemon.',
      ),
    )
    say(line('gpfs2', 0, 10))
    await toldIn(() => expect(partsOf(source, machine.tick(100)).problem).toBeUndefined())
  })

  it('takes an answer that is not whole for none', () => {
    expect(parseGpfsLine(line('gpfs2', 0, 3))?.counters.get('metadata_operations')).toBe(12)
    expect(parseGpfsLine(line('gpfs2', 0, 3, 1))).toBeUndefined()
    expect(parseGpfsLine('_fs_io_s_ _n_ 199.18.1.8 _nn_ node1 _rc_ 0')).toBeUndefined()
    expect(parseGpfsLine('')).toBeUndefined()
    expect([...(parseGpfsLine(line('gpfs2', 0, 3).split(' _oc_')[0] ?? '')?.counters.keys() ?? [])]).toEqual([
      'read_bytes',
      'write_bytes',
    ])
  })

  it('is absent without mmpmon', () => {
    expect(openGpfs({ ...makeMachine({}).options, env: { PATH: '/nonexistent' } })).toEqual({
      absent: 'no GPFS (no mmpmon)',
    })
  })
})
