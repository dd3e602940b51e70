/**
 * What the sources tell of this machine against readers that have nothing of ours: vmstat, iostat, ip, nstat, free, ss, and a
 * plain look at pressure. Counters are read on both sides of our two reads, so no clock decides:
 *
 *   theirs   o0      i0  ─ load ─  i1      o1           i1 - i0  <=  what we counted  <=  o1 - o0
 *   ours         r0                    r1
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { describe, expect, it, onTestFinished } from 'vitest'
import { openPanel } from '../../collector/panel.ts'
import { SOURCES } from '../../collector/source.ts'
import { table } from './machine.ts'

const PROGRAMS = [
  '/usr/bin/vmstat',
  '/usr/bin/iostat',
  '/usr/bin/nstat',
  '/usr/bin/ss',
  '/bin/ip',
  '/usr/bin/stress-ng',
]
const missing = PROGRAMS.filter(path => !existsSync(path))
const WANTED = new Set(['cpu', 'memory', 'paging', 'pressure', 'disk', 'network', 'tcp'])

function run(program: string, ...args: string[]): string {
  const ran = spawnSync(program, args, { encoding: 'utf8', maxBuffer: 32 << 20 })
  if (ran.status !== 0) throw new Error(`${program} ${args.join(' ')}: ${ran.stderr}`)
  return ran.stdout
}

async function openSources() {
  const roots = { proc: '/proc', sys: '/sys' }
  const sources = SOURCES.filter(({ name }) => WANTED.has(name))
  const panel = await openPanel({ roots, perCore: false, log: pino({ level: 'silent' }), sources, onChange: () => {} })
  onTestFinished(() => panel.close())
  return () => {
    const tick = { timeMs: Date.now(), intervalMs: 1000, monotonicMs: performance.now() }
    return { told: table(panel.read(tick)), monotonicMs: tick.monotonicMs }
  }
}

/** What others have counted until now, under the names of our columns, in their units. */
function lookAtCounters(): Map<string, number> {
  const counters = new Map<string, number>()
  const vmstat = run('/usr/bin/vmstat', '-s')
  const line = (words: string) => Number(new RegExp(`^\\s*(\\d+) ${words}$`, 'm').exec(vmstat)?.[1])
  counters.set('node cpu_user', line('non-nice user cpu ticks'))
  counters.set('node cpu_nice', line('nice user cpu ticks'))
  counters.set('node cpu_system', line('system cpu ticks'))
  counters.set('node cpu_softirq', line('softirq cpu ticks'))
  counters.set('node context_switches', line('CPU context switches'))
  counters.set('node interrupts', line('interrupts'))
  counters.set('node forks', line('forks'))
  const disks = /"disk": \[([^\]]*)\]/.exec(run('/usr/bin/iostat', '-d', '-k', '-o', 'JSON'))?.[1] ?? ''
  for (const [, name, read, written] of disks.matchAll(
    /"disk_device": "(\w+)".*?"kB_read": (\d+), "kB_wrtn": (\d+)/g,
  )) {
    counters.set(`disk ${name} read_bytes`, Number(read) * 1024)
    counters.set(`disk ${name} write_bytes`, Number(written) * 1024)
  }
  const links = run('/bin/ip', '-j', '-s', 'link')
  for (const [, name, rx, tx] of links.matchAll(/"ifname":"([^"]+)".*?"rx":\{"bytes":(\d+).*?"tx":\{"bytes":(\d+)/g)) {
    counters.set(`interface ${name} receive_bytes`, Number(rx))
    counters.set(`interface ${name} transmit_bytes`, Number(tx))
  }
  const tcp = run('/usr/bin/nstat', '-a', '-z', '-s', '--json')
  counters.set('node tcp_sent', Number(/"TcpOutSegs":(\d+)/.exec(tcp)?.[1]))
  for (const resource of ['cpu', 'memory', 'io']) {
    const text = existsSync(`/proc/pressure/${resource}`) ? readFileSync(`/proc/pressure/${resource}`, 'utf8') : ''
    counters.set(`node pressure_${resource}_some`, Number(/^some .*total=(\d+)/m.exec(text)?.[1]) / 1e6)
  }
  return counters
}

/** iostat rounds to 1 KiB; /proc/stat adds up CPUs that go on counting; PSI is brought up to date as it is read. */
const roundingOf = (key: string) => (key.includes('pressure') ? 0.02 : key.endsWith('_bytes') ? 2048 : 3)

const allTicks = (counters: ReadonlyMap<string, number>, hertz = 100) =>
  ['user', 'nice', 'system', 'softirq'].reduce((sum, mode) => sum + (counters.get(`node cpu_${mode}`) ?? 0), 0) / hertz

/** CPU, disk and network, each loaded for a moment; CPU seconds that the load itself says it used. */
function load(directory: string): { userSeconds: number; writtenBytes: number; sentBytes: number } {
  const stress = spawnSync('bash', ['-c', 'TIMEFORMAT=%U; time stress-ng -q --cpu 1 --cpu-method int64 --timeout 2s'], {
    encoding: 'utf8',
  })
  const file = join(directory, 'written')
  run('dd', 'if=/dev/zero', `of=${file}`, 'bs=1M', 'count=64', 'conv=fsync', 'status=none')
  const sent = `import socket, threading
s = socket.create_server(('127.0.0.1', 0)); c = socket.create_connection(s.getsockname()); a, _ = s.accept()
t = threading.Thread(target=lambda: (c.sendall(b'x' * (16 << 20)), c.close())); t.start()
n = 0
while True:
    p = a.recv(1 << 16)
    if not p: break
    n += len(p)
print(n)`
  return {
    userSeconds: Number(stress.stderr.trim()),
    writtenBytes: 64 << 20,
    sentBytes: Number(run('python3', '-c', sent)),
  }
}

describe.skipIf(missing.length > 0)('this machine, read by us and by others', () => {
  it('counts the same: CPU, disk, network, TCP, pressure; a load shows where it should', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'jobsight-agreement-'))
    onTestFinished(() => rmSync(directory, { recursive: true }))
    const read = await openSources()
    const outer0 = lookAtCounters()
    const first = read()
    const inner0 = lookAtCounters()
    const loaded = load(directory)
    const inner1 = lookAtCounters()
    const last = read()
    const outer1 = lookAtCounters()
    const seconds = (last.monotonicMs - first.monotonicMs) / 1000
    const grown = (from: Map<string, number>, to: Map<string, number>, key: string) =>
      (to.get(key) ?? Number.NaN) - (from.get(key) ?? Number.NaN)

    const compared = Object.entries(last.told).flatMap(([key, value]) => {
      const [least, most] = [grown(inner0, inner1, key), grown(outer0, outer1, key)]
      if (Number.isNaN(least) || Number.isNaN(most) || key.startsWith('node cpu_')) return []
      const counted = value * seconds
      const rounding = roundingOf(key) + 0.002 * most
      return [{ key, isWithin: counted >= least - rounding && counted <= most + rounding, least, counted, most }]
    })
    expect(compared.filter(({ isWithin }) => !isWithin)).toEqual([])
    for (const key of [
      'node context_switches',
      'node forks',
      'interface lo receive_bytes',
      'node tcp_sent',
      'node pressure_cpu_some',
    ])
      expect(compared.map(one => one.key)).toContain(key)

    // shares of CPU time: of the same ticks, so within what the two looks leave open
    const cores = last.told['node cpu_count'] ?? 0
    for (const mode of ['user', 'nice', 'system', 'softirq']) {
      const key = `node cpu_${mode}`
      const counted = (last.told[key] ?? Number.NaN) * seconds * cores
      expect([key, counted >= (grown(inner0, inner1, key) / 100) * 0.98 - 0.05]).toEqual([key, true])
      expect([key, counted <= (grown(outer0, outer1, key) / 100) * 1.02 + 0.05]).toEqual([key, true])
    }
    expect(allTicks(inner1)).toBeGreaterThan(allTicks(inner0))

    const user = ((last.told['node cpu_user'] ?? 0) + (last.told['node cpu_nice'] ?? 0)) * seconds * cores
    expect(loaded.userSeconds).toBeGreaterThan(0)
    expect(user).toBeGreaterThan(loaded.userSeconds * 0.9)
    expect((last.told['interface lo receive_bytes'] ?? 0) * seconds).toBeGreaterThan(loaded.sentBytes)
    const disks = Object.entries(last.told).filter(([key]) => /^disk \S+ write_bytes$/.test(key))
    if (disks.length > 0) {
      const written = disks.reduce((sum, [, value]) => sum + value * seconds, 0)
      expect(written).toBeGreaterThan(loaded.writtenBytes * 0.95)
    }
  }, 120_000)

  it('has the same memory as free, and the connections that ss lists', async () => {
    const read = await openSources()
    const between = (value: number, a: number | undefined, b: number | undefined, slack: number) =>
      value >= Math.min(a ?? Number.NaN, b ?? Number.NaN) - slack &&
      value <= Math.max(a ?? Number.NaN, b ?? Number.NaN) + slack
    const agree = () => {
      const before = read().told
      const [, total, , , , , available] = (/^Mem:.*$/m.exec(run('free', '-b'))?.[0] ?? '').split(/\s+/).map(Number)
      const established =
        run('/usr/bin/ss', '-Htn', 'state', 'established', 'state', 'close-wait').split('\n').length - 1
      const after = read().told
      const key = 'node memory_available'
      return {
        total: total === after['node memory_total'],
        available: between(available ?? Number.NaN, before[key], after[key], 8 << 20),
        connections: between(established, before['node tcp_connections'], after['node tcp_connections'], 0),
      }
    }
    // others start and end in between: one quiet moment is enough
    const seen = { total: false, available: false, connections: false }
    for (let tries = 0; tries < 50 && !Object.values(seen).every(Boolean); tries++) {
      const now = agree()
      for (const key of ['total', 'available', 'connections'] as const) seen[key] ||= now[key]
    }
    expect(seen).toEqual({ total: true, available: true, connections: true })
  }, 120_000)
})
