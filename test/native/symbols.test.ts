import { execFileSync } from 'node:child_process'
import { appendFileSync, mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { afterAll, describe, expect, it } from 'vitest'
import { FLAT, named, PLAIN, shares } from './judging.ts'
import { openWorkshop, sample, whyAbsent } from './sampling.ts'

/** Where the names of a stripped program may be. https://sourceware.org/gdb/current/onlinedocs/gdb.html/Separate-Debug-Files.html */
const absent = await whyAbsent()
const workshop = openWorkshop()
afterAll(() => workshop.close())

const run = (program: string, ...args: string[]) => execFileSync(program, args, { stdio: 'inherit' })

/** Of flat.c: the program with all its symbols. */
function whole(name: string, ...flags: string[]): string {
  return workshop.compile('flat.c', name, ...PLAIN, ...flags)
}

/** Share of the samples of a program whose leaf is one of the functions of flat.c. */
async function namedShare(name: string): Promise<number> {
  const stacks = named(await sample([workshop.path(name), '0.7']), name)
  const leaves: Record<string, number> = { named: 0, unnamed: 0 }
  for (const { frames, count } of stacks) {
    const own = frames.findLast(frame => frame.module === name)
    const kind = Object.hasOwn(FLAT, own?.function ?? '') ? 'named' : 'unnamed'
    if (own) leaves[kind] = (leaves[kind] ?? 0) + count
  }
  return shares(leaves).named ?? 0
}

if (absent) it(`names of stripped programs: ${absent}`, context => context.skip(absent))

describe.skipIf(absent)('a stripped program has its names', () => {
  it('from the file that .gnu_debuglink names, in .debug beside it', async () => {
    const program = whole('linked')
    mkdirSync(workshop.path('.debug'), { recursive: true })
    const separate = workshop.path('.debug/linked.debug')
    run('objcopy', '--only-keep-debug', program, separate)
    run('objcopy', '--strip-all', `--add-gnu-debuglink=${separate}`, program)
    expect(await namedShare('linked')).toBeGreaterThan(98)
  })

  it('without a build id: only where the checksum is right', async () => {
    const program = whole('summed', '-Wl,--build-id=none')
    const separate = workshop.path('summed.debug')
    run('objcopy', '--only-keep-debug', program, separate)
    run('objcopy', '--strip-all', `--add-gnu-debuglink=${separate}`, program)
    expect(await namedShare('summed')).toBeGreaterThan(98)
    renameSync(program, workshop.path('other'))
    appendFileSync(separate, 'x')
    expect(await namedShare('other')).toBe(0)
  })

  it('from .gnu_debugdata in itself', async () => {
    const program = whole('mini')
    const symbols = workshop.path('mini.symbols')
    run('objcopy', '--only-keep-debug', program, symbols)
    const packed = workshop.path('mini.xz')
    writeFileSync(packed, execFileSync('xz', ['--stdout', symbols]))
    run('objcopy', '--strip-all', `--add-section=.gnu_debugdata=${packed}`, program)
    expect(await namedShare('mini')).toBeGreaterThan(98)
  })
})
