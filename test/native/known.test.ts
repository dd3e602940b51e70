import { readFileSync } from 'node:fs'
import { afterAll, describe, expect, it } from 'vitest'
import type { Frame } from '../../ingest/records.ts'
import { drawn, shares } from './judging.ts'
import { openWorkshop, type SampledStack, sample, type Workshop, whyAbsent } from './sampling.ts'

/**
 * Programs that spend 60 / 30 / 10 % of their time in three functions, in whatever way programs are built and run: what
 * the sampler says of them. The same beside perf(1): npm run bench -- accuracy
 */
interface Known {
  name: string
  /** Source, output, flags; @output is the path of an earlier output. */
  build?: string[][]
  /** Of a program that is not built. */
  run?: string[]
  /** The build whose symbols name the functions of one that has none. */
  symbols?: string
  /** Its loops are compiled together, and take the shares that the compiler gave them. */
  unsplit?: boolean
}

const absent = await whyAbsent()
const workshop = openWorkshop()
afterAll(() => workshop.close())

function readKnown(): Known[] {
  return JSON.parse(readFileSync(new URL('programs/known.json', import.meta.url), 'utf8')) as Known[]
}

/** The command line, without what follows for how long. */
function made(known: Known, place: Workshop): string[] {
  const at = (word: string) => (word.startsWith('@') ? place.path(word.slice(1)) : word)
  for (const [source = '', output = '', ...flags] of known.build ?? []) place.compile(source, output, ...flags.map(at))
  const [program = '', ...args] = known.run ?? [place.path(known.name)]
  const command = program === 'node' ? process.execPath : program
  return [command, ...args.map(arg => (/^flat\./.test(arg) ? place.source(arg) : arg))]
}

const ROOT = /^(_start|__libc_start_\w+|start_thread|clone3?|_dl_start\w*)$/
const NAMELESS = /\+0x[0-9a-f]+$|^\[/
const SPLIT = /(?:^|:)(f60|f30|f10|i60|i30|i10)$/

function countsOf(stacks: readonly SampledStack[], known: Known) {
  const counts = { samples: 0, rooted: 0, frames: 0, named: 0 }
  const leaves: Record<string, number> = {}
  for (const { frames, count } of stacks) {
    if (frames.every(frame => frame.kind === 'kernel')) continue
    counts.samples += count
    if (isRoot(frames)) counts.rooted += count
    const own = frames.filter(frame => hasSymbols(frame, known))
    counts.frames += count * own.length
    counts.named += count * own.filter(frame => !NAMELESS.test(frame.function)).length
    const leaf = frames.findLast(frame => SPLIT.test(frame.function))
    const name = SPLIT.exec(leaf?.function ?? '')?.[1]?.replace('i', 'f')
    if (name) leaves[name] = (leaves[name] ?? 0) + count
  }
  return { ...counts, leaves }
}

/** Where programs and threads start; the start of a program without symbols, and the loader's own, have no name. */
function isRoot([frame, next]: readonly Frame[]): boolean {
  return (
    ROOT.test(frame?.function ?? '') || /^__libc_start_/.test(next?.function ?? '') || /^ld-/.test(frame?.module ?? '')
  )
}

/** Distributions strip their libraries: of a built program its own frames count, and the kernel's. */
function hasSymbols({ kind, module }: Frame, known: Known): boolean {
  if (known.run !== undefined || kind === 'kernel') return true
  return known.symbols === undefined && known.build?.some(([, output]) => output === module) === true
}

/** Three points; where samples are few, four times their standard deviation. */
const tolerance = (truth: number, samples: number) => Math.max(3, 4 * Math.sqrt((truth * (100 - truth)) / samples))

/** For the message of a failed test. */
function unrooted(stacks: readonly SampledStack[]): string {
  const without = stacks.filter(({ frames }) => !isRoot(frames) && frames.some(frame => frame.kind !== 'kernel'))
  return without.map(stack => `${stack.count} x ${drawn(stack)}`).join('\n')
}

if (absent) it(`known programs: ${absent}`, context => context.skip(absent))

describe.skipIf(absent)('a program with a known split', () => {
  for (const known of readKnown())
    it(known.name, async () => {
      // Of an interpreter each sample must be looked at by itself, which a closer look does.
      const sampled = known.run
        ? await sample([...made(known, workshop), '4'], { burst: { hz: 997 } })
        : await sample([...made(known, workshop), '2'], { hz: 1999 })
      const own = known.run
        ? sampled.stacks.filter(stack => stack.burst !== '')
        : sampled.stacks.filter(stack => stack.process === known.name)
      const { samples, rooted, frames, named, leaves } = countsOf(own, known)
      expect(samples).toBeGreaterThan(2000)
      expect(rooted / samples, unrooted(own)).toBeGreaterThanOrEqual(0.99)
      expect(named / frames).toBeGreaterThanOrEqual(0.98)
      if (known.symbols !== undefined || known.unsplit) return
      const { f60 = 0, f30 = 0, f10 = 0 } = shares(leaves)
      // A team also waits at its barriers.
      const inLeaves = Object.values(leaves).reduce((sum, count) => sum + count, 0)
      expect(inLeaves).toBeGreaterThan(500)
      const counted = JSON.stringify(leaves)
      for (const [share, truth] of [
        [f60, 60],
        [f30, 30],
        [f10, 10],
      ] as const)
        expect(Math.abs(share - truth), counted).toBeLessThan(tolerance(truth, inLeaves))
    })
})
