import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, readFileSync, statfsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import { openKernelFiles, PartError } from '../../collector/kernelfile.ts'
import { chooseMounts, parseMountinfo } from '../../collector/mounts.ts'
import { openPanel } from '../../collector/panel.ts'
import type { Reading, Source, Tick } from '../../collector/source.ts'
import { openFilesystem, parseStatLines, spaceReadings } from '../../collector/sources/filesystem.ts'
import { type Machine, makeMachine, opened, table } from './machine.ts'

const CAPTURED = readFileSync(new URL('../fixtures/mounts/mountinfo', import.meta.url), 'utf8')

const mounted = (...rows: [device: string, path: string, type: string, root?: string, options?: string][]) =>
  rows
    .map(([device, path, type, root = '/', options = 'rw'], i) =>
      [i + 20, 1, device, root, path, options, 'shared:1', '-', type, `${type}-source`, options].join(' '),
    )
    .join('\n')

const shown = (text: string) => chooseMounts(parseMountinfo(text), 64).map(({ mount, kind }) => `${kind} ${mount.path}`)

describe('mountinfo', () => {
  it('gives the file systems of the captured machine, each once, and not what the system keeps for itself', () => {
    expect(shown(CAPTURED)).toEqual([
      'local /',
      'local /dev/shm', // two are mounted there, the upper one is seen
      'local /jobsight',
      'local /jobsight/merged',
      'local /jobsight/with blank', // /jobsight/bound is a part of /, /jobsight/image is read-only
    ])
  })

  it('knows what is on servers; containers, snaps and automounts are not shown', () => {
    const text = mounted(
      ['0:50', '/', 'tmpfs'],
      ['8:2', '/local', 'xfs'],
      ['0:51', '/home', 'nfs4'],
      ['0:52', '/scratch', 'lustre'],
      ['0:53', '/work', 'gpfs'],
      ['0:54', '/beegfs', 'beegfs'],
      ['0:55', '/ceph', 'fuse.ceph-fuse'],
      ['0:56', '/run/user/1000/sshfs', 'fuse.sshfs'],
      ['0:57', '/net', 'autofs'],
      ['7:1', '/snap/core/1', 'squashfs', '/', 'ro'],
      ['0:58', '/var/lib/docker/overlay2/abc/merged', 'overlay'],
      ['8:2', '/var/lib/kubelet/pods/1/volumes/x', 'xfs', '/pods'],
    )
    expect(shown(text)).toEqual([
      'local /',
      'network /home',
      'network /work',
      'network /ceph',
      'local /local',
      'network /beegfs',
      'network /scratch',
    ])
  })

  it('prefers where all of a file system is mounted, then the shortest path', () => {
    expect(
      shown(mounted(['8:1', '/a', 'ext4', '/part'], ['8:1', '/long/path', 'ext4'], ['8:1', '/path', 'ext4'])),
    ).toEqual(['local /path'])
  })

  it('shows no more than asked for', () => {
    const many = mounted(
      ...Array.from({ length: 500 }, (_, i): [string, string, string] => [`0:${i}`, `/m${i}`, 'xfs']),
    )
    expect(chooseMounts(parseMountinfo(many), 64)).toHaveLength(64)
  })

  it('leaves out lines that are cut, and refuses what is no mountinfo', () => {
    expect(parseMountinfo(`garbage\n${mounted(['8:1', '/', 'ext4'])}\n36 35 98:0 / /x rw - \n36 35`)).toHaveLength(1)
    expect(() => parseMountinfo('')).toThrow(/no mount/)
  })
})

describe('statfs', () => {
  it('counts as df does: what is reserved for root is neither used nor available', () => {
    const space = { blockBytes: 4096, blocks: 1000, free: 400, available: 350, inodes: 100, inodesFree: 25 }
    expect(table(spaceReadings('/', space))).toEqual({
      'filesystem / stuck': 0,
      'filesystem / total_bytes': 4_096_000,
      'filesystem / used_bytes': 600 * 4096,
      'filesystem / available_bytes': 350 * 4096,
      'filesystem / utilization': Math.round((600 / 950) * 1e6) / 1e6,
      'filesystem / inodes_total': 100,
      'filesystem / inodes_used': 75,
    })
  })

  it('leaves out what a file system does not know', () => {
    const nothing = { blockBytes: 4096, blocks: 0, free: 0, available: 0, inodes: 0, inodesFree: 0 }
    expect(table(spaceReadings('/x', nothing))).toEqual({ 'filesystem /x stuck': 0 })
    // a server that says more is free than there is
    expect(table(spaceReadings('/x', { ...nothing, blocks: 10, free: 11, available: 11 }))).toEqual({
      'filesystem /x stuck': 0,
    })
  })

  it('is read from stat(1) too, with blanks in names', () => {
    const text = execFileSync('stat', ['-f', '-c', '%S %b %f %a %c %d %n', '/']).toString()
    const real = statfsSync('/')
    expect(parseStatLines(text).get('/')).toMatchObject({ blocks: real.blocks, inodes: real.files })
    expect([...parseStatLines('4096 9 8 7 6 5 /a b\n4096 9 8 7 6 /cut\nstat: no').keys()]).toEqual(['/a b'])
  })
})

/** Reads until something is told: what is looked at beside the tick comes with a later one. */
async function readUntil(source: Source, next: () => Tick, there: (told: Record<string, number>) => boolean) {
  return vi.waitFor(
    () => {
      const told = table(readings(source, next()))
      expect(there(told)).toBe(true)
      return told
    },
    { timeout: 20_000, interval: 20 },
  )
}

function readings(source: Source, tick: Tick): readonly Reading[] {
  try {
    return source.read(tick)
  } catch (error) {
    if (error instanceof PartError) return error.readings
    throw error
  }
}

/** A machine whose servers are played by a script in place of stat(1): a file named hang-NAME makes it wait for ever. */
function makeServers(machine: Machine, paths: readonly string[]) {
  const bin = join(machine.options.roots.proc, 'bin')
  mkdirSync(bin, { recursive: true })
  const script = `#!/bin/sh
shift 4
for path; do
  name=$(basename "$path")
  if [ -e "${bin}/hang-$name" ]; then exec sleep 60; fi
  if [ "$name" = secret ]; then echo "stat: cannot read '$path': Permission denied" >&2; continue; fi
  echo "1048576 1000 400 400 50 10 $path"
done
`
  writeFileSync(join(bin, 'stat'), script)
  chmodSync(join(bin, 'stat'), 0o755)
  machine.write('proc/1/mountinfo', mounted(...paths.map((p, i): [string, string, string] => [`0:${i}`, p, 'nfs4'])))
  return {
    env: { PATH: `${bin}:/usr/bin:/bin` },
    hang: (name: string) => writeFileSync(join(bin, `hang-${name}`), ''),
  }
}

describe('the source', () => {
  it('tells of the real machine what statfs(2) tells', async () => {
    const machine = makeMachine({})
    const roots = { proc: '/proc', sys: '/sys' }
    const files = openKernelFiles(roots)
    const source = opened(openFilesystem({ ...machine.options, roots, files }))
    const told = await readUntil(source, machine.tick, told => 'filesystem / used_bytes' in told)
    const real = statfsSync('/')
    expect(told['filesystem / total_bytes']).toBe(real.blocks * real.bsize)
    expect(told['filesystem / inodes_total']).toBe(real.files || undefined)
    expect(told['filesystem / stuck']).toBe(0)
    const used = (real.blocks - real.bfree) * real.bsize
    expect(Math.abs((told['filesystem / used_bytes'] ?? 0) - used)).toBeLessThan(1 << 30)
    source.close?.()
    files.close()
  })

  it('marks the file system whose server hangs, and goes on with the others', async () => {
    const machine = makeMachine({})
    const { env, hang } = makeServers(machine, ['/home', '/gone'])
    const source = opened(openFilesystem({ ...machine.options, env }, 300))
    const whole = await readUntil(source, machine.tick, told => 'filesystem /gone total_bytes' in told)
    expect(whole).toMatchObject({ 'filesystem /home total_bytes': 1000 << 20, 'filesystem /home inodes_used': 40 })
    hang('gone')
    const later = () => machine.tick(60_000)
    const told = await readUntil(source, later, told => told['filesystem /gone stuck'] === 1)
    expect(told).toMatchObject({ 'filesystem /home stuck': 0, 'filesystem /home total_bytes': 1000 << 20 })
    expect(told).not.toHaveProperty('filesystem /gone total_bytes')
    expect(() => source.read(machine.tick())).toThrow('/gone does not answer')
    source.close?.()
  })

  it('says of a file system that may not be asked that it may not, and counts it', async () => {
    const machine = makeMachine({})
    const { env } = makeServers(machine, ['/home', '/secret'])
    const sources = [{ name: 'filesystem', open: (options: Machine['options']) => openFilesystem(options, 5000) }]
    const panel = await openPanel({ ...machine.options, env, sources, onChange: () => {} })
    await vi.waitFor(
      () => {
        expect(table(panel.read(machine.tick()))).toHaveProperty('filesystem /home used_bytes')
      },
      { timeout: 20_000 },
    )
    expect(panel.status()).toMatchObject([{ state: 'failing', why: '/secret: stat -f tells nothing of it' }])
    expect(panel.errors().filesystem).toBeGreaterThan(0)
    panel.close()
  })

  it('says that stat(1) is missing, and tells of local ones without it', async () => {
    const machine = makeMachine({ 'proc/1/mountinfo': mounted(['8:1', '/', 'ext4'], ['0:9', '/home', 'nfs']) })
    mkdirSync(join(machine.options.roots.proc, '1/root'), { recursive: true })
    const source = opened(openFilesystem({ ...machine.options, env: { PATH: '/nonexistent' } }))
    const told = await readUntil(source, machine.tick, told => 'filesystem / used_bytes' in told)
    expect(Object.keys(told).filter(key => key.includes('/home'))).toEqual([])
    expect(source.detail?.()).toMatch(/stat\(1\) is not in PATH/)
    source.close?.()
  })

  it('says of which mounts it tells the space alone', () => {
    const kinds: [string, string, string][] = [
      ['0:7', '/home', 'nfs4'],
      ['0:8', '/scratch', 'beegfs'],
      ['0:9', '/work', 'lustre'],
    ]
    const machine = makeMachine({ 'proc/1/mountinfo': mounted(...kinds) })
    const source = opened(openFilesystem(machine.options))
    source.read(machine.tick())
    expect(source.detail?.()).toMatch(/^space alone of \/scratch \(beegfs\): /)
    source.close?.()
  })

  it('is absent where there is no mountinfo', () => {
    expect(openFilesystem(makeMachine({}).options)).toEqual({ absent: 'no /proc/1/mountinfo' })
  })
})
