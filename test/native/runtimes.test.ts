import { execFileSync, spawnSync } from 'node:child_process'
import { afterAll, describe, expect, it } from 'vitest'
import { shares } from './judging.ts'
import { openWorkshop, sample, whyAbsent } from './sampling.ts'

/** Functions of languages whose code no compiler wrote to a file. */
const absent = await whyAbsent()
const workshop = openWorkshop()
afterAll(() => workshop.close())

if (absent) it(`runtimes: ${absent}`, context => context.skip(absent))

describe.skipIf(absent)('code made at run time is named', () => {
  it('of Node with --perf-basic-prof', async () => {
    const flags = ['--perf-basic-prof', '--interpreted-frames-native-stack', '--no-turbo-inlining']
    const sampled = await sample([process.execPath, ...flags, workshop.source('flat.js'), '2'])
    const stacks = sampled.stacks.filter(s => s.pid === sampled.pid && s.frames.some(f => f.function === 'work'))
    const leaves: Record<string, number> = {}
    for (const stack of stacks) {
      const leaf = stack.frames.findLast(f => f.kind === 'javascript')
      if (leaf) leaves[leaf.function] = (leaves[leaf.function] ?? 0) + stack.count
      expect(leaf?.file).toMatch(/flat\.js$/)
    }
    expect(shares(leaves).f60).toBeGreaterThan(40)
    execFileSync('rm', ['-f', `/tmp/perf-${sampled.pid}.map`])
  })
})

/** The interpreters of this machine whose frames can be read, by version. */
function pythons(): [string, string][] {
  const known = ['/usr/bin/python3', 'python3', 'python3.11', 'python3.12', 'python3.13']
  const found = new Map<string, string>()
  for (const name of known) {
    const asked = spawnSync(name, ['-c', 'import sys; print("%d.%d" % sys.version_info[:2], sys.executable)'], {
      encoding: 'utf8',
    })
    const [version = '', path = ''] = asked.status === 0 ? asked.stdout.trim().split(' ') : []
    if (['3.11', '3.12', '3.13'].includes(version) && !found.has(version)) found.set(version, path)
  }
  return [...found]
}

describe.skipIf(absent)('Python functions are in their stacks', () => {
  const FUNCTIONS = ['<module>', 'main', 'Model.work', 'f60', 'f30', 'f10']
  const found = pythons()

  if (found.length === 0)
    it('of CPython', context =>
      context.skip('no CPython of 3.11 to 3.13 among python3, python3.11, python3.12, python3.13'))

  for (const [version, path] of found) {
    it(`of CPython ${version}`, async () => {
      const sampled = await sample([path, workshop.source('flat.py'), '1.5'], { hz: 199 })
      const stacks = sampled.stacks.filter(stack => stack.pid === sampled.pid)
      const chains: Record<string, number> = {}
      const leaves: Record<string, number> = {}
      for (const stack of stacks) {
        const own = stack.frames.filter(frame => frame.file.endsWith('flat.py'))
        if (own.length === 0) continue
        const chain = own.map(frame => frame.function)
        // What is below a function of Python is native.
        const right = chain.every(
          (name, depth) => name === FUNCTIONS[Math.min(depth, 3)] || (depth === 3 && FUNCTIONS.includes(name, 3)),
        )
        const key = right ? 'right' : chain.join(' > ')
        chains[key] = (chains[key] ?? 0) + stack.count
        const leaf = own.at(-1)
        leaves[leaf?.function ?? ''] = (leaves[leaf?.function ?? ''] ?? 0) + stack.count
        expect(leaf).toMatchObject({ kind: 'python', module: 'flat.py' })
        // 10: it was just entered.
        if (leaf?.function === 'f30') expect([10, 11, 12, 13, 14]).toContain(leaf.line)
      }
      expect(chains.right, JSON.stringify(chains)).toBeGreaterThan(100)
      expect(shares(chains).right, JSON.stringify(chains)).toBeGreaterThan(95)
      const { f60 = 0, f30 = 0, f10 = 0 } = shares(leaves)
      expect(Math.abs(f60 - 60), JSON.stringify(leaves)).toBeLessThan(15)
      expect(Math.abs(f30 - 30), JSON.stringify(leaves)).toBeLessThan(15)
      expect(f10).toBeGreaterThan(0)
    })
  }
})
