/**
 * Two jobs on one node, 32 cores each: `beam`, a finite-element solver, and `render`, which starts 128 threads although it was
 * given 32 cores. Nothing confines them here, so from then on the solver gets about half of its cores and the node's
 * run queue is three times its cores: the noisy neighbour.
 */
import { GIB, type Share, type ShareStart, spend } from '../model.ts'
import { graft, mixOf, parseTree } from '../trees.ts'
import { allreduce, ompBarrier } from './shared.ts'

const beamTree = parseTree(
  'beam',
  `
_start @beam
  __libc_start_call_main @libc.so.6
    main @beam src/main.cpp:77
      assemble(DM, Mat) src/assemble.cpp:140 = work 4
        element_stiffness(double const*) src/hex8.cpp:66 = work 13
        MatSetValuesBlocked @libpetsc.so.3.20 = work 6
      KSPSolve @libpetsc.so.3.20
        KSPSolve_CG = work 2
          MatMult_MPIAIJ
            MatMult_SeqAIJ = work 38
          PCApply_GAMG = work 6
            PCApply_SOR
              MatSOR_SeqAIJ = work 23
          VecTDot_MPI = work 2
            ${graft(12, allreduce('mpi', 100))}
`,
)
const renderTree = parseTree(
  'render',
  `
__clone3 @libc.so.6
  start_thread
    gomp_thread_start @libgomp.so.1
      render_tile(Scene const&, Tile&)._omp_fn.0 @render src/tile.cpp:88 = work 5
        trace_path(Ray const&, Rng&) src/path.cpp:51 = work 11
          bvh_intersect(Bvh const&, Ray const&) src/bvh.cpp:203 = work 52
          shade_ggx(Hit const&, Rng&) src/ggx.cpp:39 = work 15
            sincosf @libm.so.6 = work 3
      ${graft(6, ompBarrier('barrier', 10))}
    asm_sysvec_apic_timer_interrupt @kernel
      irqentry_exit_to_user_mode
        schedule
          __schedule = switch 5
            finish_task_switch.isra.0 = switch 3
            load_balance = switch 2
`,
)

const BEAM = mixOf(beamTree, { work: 91, mpi: 9 })
const BEAM_CROWDED = mixOf(beamTree, { work: 63, mpi: 37 })
const RENDER = mixOf(renderTree, { work: 87, barrier: 10, switch: 3 })
const RANKS = 8

function startBeam(given: ShareStart): Share {
  const { cores } = given
  const processes = Array.from({ length: RANKS }, (_, r) =>
    given.spawn({
      name: 'beam',
      command: 'beam -ksp_type cg -pc_type gamg',
      tree: beamTree,
      step: '0',
      rank: r,
      threads: 4,
    }),
  )
  return {
    processes,
    spread: cores,
    tick({ stepMs, drift, crowding }, load) {
      const each = (cores / RANKS) * (crowding ? 0.52 : 0.97)
      for (const p of processes) {
        spend(p, each * (1 + 0.008 * drift.at(0)), crowding ? BEAM_CROWDED : BEAM, stepMs)
        p.memoryBytes = 4.6 * GIB
      }
      load.runnable += cores
      load.contextSwitchesPerSecond += crowding ? 52_000 : 8000
    },
  }
}

function startRender(given: ShareStart): Share {
  const { cores } = given
  const threads = cores * 4
  const process = given.spawn({
    name: 'render',
    command: `render -t ${threads} --frames 1-240 --scene harbour.scn`,
    tree: renderTree,
    threads: threads + 1,
  })
  return {
    processes: [process],
    spread: cores * 2,
    crowds: true,
    tick({ stepMs, drift }, load) {
      spend(process, cores * 1.46 * (1 + 0.008 * drift.at(1)), RENDER, stepMs)
      process.memoryBytes = 21 * GIB
      load.runnable += threads
      load.pressureCpu += 0.86 + 0.02 * drift.at(2)
      load.contextSwitchesPerSecond += 74_000
    },
  }
}

export const beam = { name: 'beam', command: 'srun beam', start: startBeam, memoryBytesPerNode: 64 * GIB }
export const render = { name: 'render', command: 'render', start: startRender, memoryBytesPerNode: 64 * GIB }
