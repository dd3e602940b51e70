import { afterAll, describe, expect, it } from 'vitest'
import { type CallGraph, drawn, expectRight, judge, named, PLAIN, shares } from './judging.ts'
import { openWorkshop, type SampledStack, sample, whyAbsent } from './sampling.ts'

/**
 * Every stack of programs whose call graph is known, on the real kernel: right means complete from main to the leaf, every
 * neighbour a real call. Without a frame pointer unless it says so, which is how programs are built.
 */
const absent = await whyAbsent()
const workshop = openWorkshop()
afterAll(() => workshop.close())

const SECONDS = '1.2'

/** Stacks may be cut, but then they say so, and the rest of them is right. */
function expectNoneWrong(stacks: readonly SampledStack[], graph: CallGraph) {
  // A process bears its last name also while it still was the one that executed it.
  const own = stacks.filter(stack => stack.frames.some(frame => frame.module === stack.process))
  const whole = own.map(stack => {
    const [root, next] = stack.frames
    if (root?.kind !== 'truncated' || !next) return stack
    return { ...stack, frames: stack.frames.slice(1) }
  })
  const roots = Object.keys(graph)
  expect(judge(whole, graph, roots).wrong).toEqual([])
}

if (absent) it(`stacks of real programs: ${absent}`, context => context.skip(absent))

describe.skipIf(absent)('a stack is right', () => {
  it('of a stripped program: complete, and named by its offset', async () => {
    const program = workshop.compile('flat.c', 'stripped', ...PLAIN, '-s')
    const stacks = named(await sample([program, SECONDS]), 'stripped')
    const total = stacks.reduce((sum, stack) => sum + stack.count, 0)
    const modules = (stack: SampledStack) =>
      stack.frames.map(f => (f.module === 'stripped' ? 'stripped' : 'libc')).join(' ')
    const complete = stacks.filter(stack => modules(stack) === 'stripped libc libc stripped stripped stripped')
    expect(complete.reduce((sum, stack) => sum + stack.count, 0) / total).toBeGreaterThan(0.95)
    expect(complete[0]?.frames.at(-1)?.function).toMatch(/^stripped\+0x[0-9a-f]+$/)
  })

  it('of a recursion of 40', async () => {
    const program = workshop.compile('recursion.c', 'recursion', ...PLAIN, '-fno-optimize-sibling-calls')
    const stacks = named(await sample([program, SECONDS]), 'recursion')
    expectRight(stacks, { main: ['down', 'running'], down: ['down', 'leaf'], leaf: [], running: ['*'] })
    const depths = stacks
      .filter(s => s.frames.at(-1)?.function === 'leaf')
      .map(s => s.frames.filter(f => f.function === 'down').length)
    expect(new Set(depths)).toEqual(new Set([40]))
  })

  it('of 200 frames in 16 KiB', async () => {
    const program = workshop.compile('deep.c', 'deep', ...PLAIN)
    const stacks = named(await sample([program, SECONDS]), 'deep')
    expectRight(stacks, { main: ['down', 'running'], down: ['down', 'leaf'], leaf: [], running: ['*'] })
  })

  const DOWN: CallGraph = { main: ['down', 'running', '*'], down: ['down', 'leaf'], leaf: [], running: ['*'] }

  it('of 44 KB with a copy of 64 KiB', async () => {
    const program = workshop.compile('deep.c', 'wide', ...PLAIN, '-DFRAME=200')
    const sampled = await sample([program, SECONDS], { stackBytes: 65_528 })
    expectRight(named(sampled, 'wide'), DOWN)
    expect(sampled.counters).toMatchObject({ lost: 0, throttled: 0 })
  })

  it('of 44 KB with a copy of 16 KiB, completed from the process while it lives', async () => {
    const program = workshop.compile('deep.c', 'longer', ...PLAIN, '-DFRAME=200')
    const stacks = named(await sample([program, '4'], { hz: 199 }), 'longer')
    // Drained up to a second later: what came just before the program's end can only be cut.
    expectRight(stacks, DOWN, ['main'], 0.6)
    expectNoneWrong(stacks, DOWN)
  })

  it('of arrays of megabytes on the stack, most of them never touched', async () => {
    const program = workshop.compile('deep.c', 'huge', ...PLAIN, '-DFRAME=1500000', '-DDEPTH=4')
    const stacks = named(await sample([program, '4'], { hz: 199 }), 'huge')
    expectRight(stacks, DOWN, ['main'], 0.6)
    expectNoneWrong(stacks, DOWN)
  })

  it('or says that it was cut, when the process is gone, and claims no root', async () => {
    const program = workshop.compile('deep.c', 'brief', ...PLAIN, '-DFRAME=200')
    // Many short lives: no look at the rings meets more than a few of them alive.
    const lives = Array(20).fill(`${program} 0.02`).join('; ')
    const sampled = named(await sample(['sh', '-c', lives]), 'brief')
    const stacks = sampled.filter(({ frames }) => frames.some(frame => Object.hasOwn(DOWN, frame.function)))
    expectNoneWrong(stacks, DOWN)
    const cut = stacks.filter(stack => stack.frames[0]?.function === '[truncated]')
    expect(cut.length).toBeGreaterThan(0)
    for (const stack of cut) expect(stack.frames[0]).toMatchObject({ kind: 'truncated' })
  })

  it('through a callback of a shared library', async () => {
    const library = workshop.compile('library.c', 'libeach.so', '-shared', '-fPIC', ...PLAIN)
    const program = workshop.compile('callback.c', 'callback', ...PLAIN, library)
    const graph = {
      main: ['library_each', 'running'],
      library_each: ['library_inner', '*'],
      library_inner: ['visit'],
      visit: ['leaf'],
      leaf: [],
      running: ['*'],
    }
    expectRight(named(await sample([program, SECONDS]), 'callback'), graph)
  })

  it('below the C library: qsort, memcpy, sin', async () => {
    const program = workshop.compile('libc.c', 'libc', '-fno-builtin', ...PLAIN, '-lm')
    const graph = {
      main: ['sorting', 'sines', 'copying', 'running'],
      sorting: ['*', 'compare'],
      compare: [],
      sines: ['*'],
      copying: ['*'],
      running: ['*'],
    }
    expectRight(named(await sample([program, SECONDS]), 'libc'), graph)
  })

  it('through system calls, with the kernel joined to the program', async () => {
    const program = workshop.compile('syscalls.c', 'syscalls', ...PLAIN)
    const stacks = named(await sample([program, SECONDS]), 'syscalls')
    expectRight(stacks, { main: ['reading', 'asking', 'running'], reading: ['*'], asking: ['*'], running: ['*'] })
    const inKernel = stacks.filter(stack => stack.frames.at(-1)?.kind === 'kernel')
    expect(inKernel.length).toBeGreaterThan(0)
  })

  it('of both threads of an OpenMP team', async () => {
    const program = workshop.compile('openmp.c', 'openmp', '-fopenmp', ...PLAIN)
    const stacks = named(await sample([program, '2'], { env: { OMP_NUM_THREADS: '2' } }), 'openmp')
    // The team's other thread starts in libgomp, not in main.
    const graph = {
      main: ['step', 'running', '*'],
      step: ['*', 'step._omp_fn.0'],
      start_thread: ['*', 'step._omp_fn.0'],
      'step._omp_fn.0': ['kernel'],
      kernel: [],
      running: ['*'],
    }
    expectRight(stacks, graph, ['main', 'start_thread'])
  })

  it('of virtual functions and templates in C++', async () => {
    const program = workshop.compile('shapes.cpp', 'shapes', ...PLAIN)
    const graph = {
      main: ['scene::render', 'running', '*'],
      'scene::render': ['Regular<3>::draw', 'Regular<1>::draw'],
      'Regular<3>::draw': [],
      'Regular<1>::draw': [],
      running: ['*'],
    }
    expectRight(named(await sample([program, SECONDS]), 'shapes'), graph)
  })

  it('through a signal handler to the code it interrupted', async () => {
    const program = workshop.compile('signals.c', 'signals', ...PLAIN)
    const stacks = named(await sample([program, SECONDS]), 'signals')
    const graph = {
      main: ['interrupted', 'running', 'handler', '*'],
      interrupted: ['handler', '*'],
      handler: ['in_handler', '*'],
      in_handler: ['*'],
      running: ['handler', '*'],
    }
    expectRight(stacks, graph)
    expect(stacks.some(stack => /main > interrupted > .*handler > in_handler$/.test(drawn(stack)))).toBe(true)
  })

  it('of frames that an expression finds (aligned locals)', async () => {
    const program = workshop.compile('aligned.c', 'aligned', ...PLAIN)
    expectRight(named(await sample([program, SECONDS]), 'aligned'), {
      main: ['aligned', 'running'],
      aligned: ['leaf'],
      leaf: [],
      running: ['*'],
    })
  })

  it('in the vdso', async () => {
    const program = workshop.compile('clock.c', 'clock', ...PLAIN)
    const stacks = named(await sample([program, SECONDS]), 'clock')
    expectRight(stacks, { main: ['reading', 'running'], reading: ['*'], running: ['*'] })
    expect(stacks.some(stack => stack.frames.at(-1)?.module === '[vdso]')).toBe(true)
  })

  it('of libraries that are loaded and unloaded at the same address', async () => {
    const [a, b] = ['a', 'b'].map(n =>
      workshop.compile('plugin.c', `lib${n}.so`, '-shared', '-fPIC', `-DNAME=plugin_${n}`),
    )
    const program = workshop.compile('plugins.c', 'plugins', ...PLAIN, '-ldl')
    const stacks = named(await sample([program, SECONDS, a ?? '', b ?? '']), 'plugins')
    expectRight(stacks, { main: ['call', '*'], call: ['plugin_a', 'plugin_b', '*'], plugin_a: [], plugin_b: [] })
    for (const frame of stacks.flatMap(stack => stack.frames))
      if (frame.function.startsWith('plugin_')) expect(frame.module).toBe(`lib${frame.function.at(-1)}.so`)
  })

  it('of functions that were inlined, with their lines', async () => {
    const program = workshop.compile('inlined.c', 'inlined', '-g', ...PLAIN)
    const stacks = named(await sample([program, SECONDS]), 'inlined')
    const { leaves } = expectRight(stacks, {
      main: ['step', 'running'],
      step: ['i60', 'i30', 'i10'],
      i60: [],
      i30: [],
      i10: [],
      running: ['*'],
    })
    expect(shares(leaves).i60).toBeGreaterThan(45)
    const leaf = stacks.flatMap(stack => stack.frames).find(frame => frame.function === 'i60')
    expect(leaf).toMatchObject({ file: expect.stringMatching(/inlined\.c$/), line: 3 })
  })
})

describe.skipIf(absent)('time', () => {
  it('is the sum of periods', async () => {
    const sampled = await sample([workshop.compile('flat.c', 'timed', ...PLAIN), '1.5'])
    const seconds = named(sampled, 'timed').reduce((sum, stack) => sum + stack.periodNs, 0) / 1e9
    // The kernel skips a period where the (virtual) processor was not given to us.
    expect(seconds).toBeGreaterThan(1.1)
    expect(seconds).toBeLessThan(1.9)
    expect(sampled.counters).toMatchObject({ lost: 0, throttled: 0 })
  })

  it('is lost nowhere when windows end faster than their names are found', async () => {
    const program = workshop.compile('flat.c', 'hurried', ...PLAIN)
    const sampled = await sample([program, '1.5'], { windowMs: 5 })
    const seconds = named(sampled, 'hurried').reduce((sum, stack) => sum + stack.periodNs, 0) / 1e9
    expect(seconds).toBeGreaterThan(1.1)
    expect(sampled.counters).toMatchObject({ lost: 0, throttled: 0 })
  })
})
