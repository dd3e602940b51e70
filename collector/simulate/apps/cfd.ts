/**
 * swirl3d: a large-eddy simulation in Fortran; MPI, 8 ranks a node, each thread of a rank has its own subdomain and its own
 * communicator (MPI_THREAD_MULTIPLE). It reads its mesh (ramp-up), then iterates: momentum, pressure by multigrid with an
 * allreduce for the residual, halo exchange. Every ten minutes it writes a checkpoint.
 *
 * One slow node slows all: the others finish their part early and spin in MPI_Allreduce until it arrives.
 *
 *   all healthy   compute compute compute compute mpi        straggler   compute compute compute compute compute
 *                                                            beside it   compute compute mpi     mpi     mpi
 */
import { clamp, GIB, type Load, MINUTE, type Share, type ShareStart, type SimulatedJob, spend } from '../model.ts'
import { graft, type Mix, mixOf, parseTree } from '../trees.ts'
import { allreduce, checkpointWrite, isend, pageFault, waitall } from './shared.ts'

const timeStep = `
time_step_ @swirl3d src/timestep.f90:61
  compute_momentum_rhs_ src/momentum.f90:112 = compute 2
    advect_weno5_ src/advection.f90:204 = compute 24
      weno5_weights_ src/advection.f90:71 = compute 8
    viscous_flux_ src/viscous.f90:58 = compute 11
    sgs_wale_ src/sgs.f90:33 = compute 5
      __pow_fma @libm.so.6 = compute 2
  solve_pressure_ @swirl3d src/pressure.f90:77
    mg_vcycle_ src/multigrid.f90:310
      mg_smooth_redblack_ src/multigrid.f90:141 = compute 29
      mg_restrict_ src/multigrid.f90:205 = compute 6
      mg_prolong_ src/multigrid.f90:233 = compute 7
      residual_norm_ src/multigrid.f90:270 = compute 3
        mpi_allreduce_ @libmpi_mpifh.so.40
          ${graft(10, allreduce('mpi', 100))}
  halo_exchange_ @swirl3d src/halo.f90:54
    pack_faces_ src/halo.f90:101 = compute 3
    mpi_isend_ @libmpi_mpifh.so.40
      ${graft(6, isend('transfer', 40))}
    mpi_waitall_ @libmpi_mpifh.so.40
      ${graft(6, waitall('transfer', 60))}
`

const tree = parseTree(
  'swirl3d',
  `
_start @swirl3d
  __libc_start_call_main @libc.so.6
    main @swirl3d src/main.f90:12
      MAIN__ src/main.f90:88
        read_mesh_ src/mesh.f90:40 = setup 6
          parse_connectivity_ src/mesh.f90:97 = setup 40
            _gfortran_st_read @libgfortran.so.5 = setup 22
          partition_ @swirl3d src/mesh.f90:180
            METIS_PartGraphKway @libmetis.so = setup 18
          ${graft(10, pageFault('setup', 14))}
        write_checkpoint_ @swirl3d src/checkpoint.f90:29 = checkpoint 4
          ${graft(10, checkpointWrite('checkpoint', 96))}
__clone3 @libc.so.6
  start_thread
    subdomain_thread_ @swirl3d src/threads.f90:47
      ${graft(6, timeStep)}
`,
)

const SETUP = mixOf(tree, { setup: 1 })
const CHECKPOINT = mixOf(tree, { checkpoint: 85, mpi: 15 })
const HEALTHY = mixOf(tree, { compute: 82, transfer: 7, mpi: 11 })
const STRAGGLER = mixOf(tree, { compute: 94, transfer: 5, mpi: 1 })

const RANKS = 8
const SETUP_MS = 90_000
const CHECKPOINT_EVERY_MS = 10 * MINUTE
const CHECKPOINT_MS = 40_000

/** While others run at `speed`, a healthy node computes for speed x 82 % of the time and waits for the rest. */
const beside = (speed: number) => mixOf(tree, { compute: 82 * speed, transfer: 6, mpi: 94 - 82 * speed })

/** What one tick is, on this node. */
interface Phase {
  doing: 'setup' | 'writing' | 'solving'
  slowed: boolean
  straggles: boolean
  mix: Mix
  /** Share of its cores that a rank keeps busy. */
  busy: number
}

function phaseAt(ageMs: number, index: number, job: SimulatedJob, waiting: Mix, threads: number): Phase {
  const slow = job.throttle !== undefined && ageMs >= job.throttle.afterMs
  const straggles = slow && job.throttle?.index === index
  const of = { slowed: slow, straggles }
  if (ageMs < SETUP_MS) return { ...of, doing: 'setup', mix: SETUP, busy: 1 / threads }
  if (ageMs % CHECKPOINT_EVERY_MS < CHECKPOINT_MS) return { ...of, doing: 'writing', mix: CHECKPOINT, busy: 0.3 }
  if (!slow) return { ...of, doing: 'solving', mix: HEALTHY, busy: 0.985 }
  // Long waits end in short sleeps between the polls.
  return { ...of, doing: 'solving', mix: straggles ? STRAGGLER : waiting, busy: straggles ? 0.985 : 0.94 }
}

function addLoad(load: Load, { doing, slowed, straggles, busy }: Phase, speed: number, cores: number): void {
  const halo = doing === 'solving' ? 2.1e9 * speed : 2e6
  load.fabricInBytesPerSecond += halo + (doing === 'setup' ? 7.4e7 : 0)
  load.fabricOutBytesPerSecond += halo + (doing === 'writing' ? 3.1e8 : 0)
  load.contextSwitchesPerSecond += doing === 'setup' ? 3000 : straggles ? 9000 : slowed ? 240_000 : 60_000
  load.runnable += doing === 'setup' ? RANKS : cores * busy
  if (doing !== 'writing') return
  load.blocked += RANKS * 0.5
  load.pressureIo += 0.12
  load.pressureIoFull += 0.05
  load.cachedBytesPerSecond += 2.5e7
}

function startCfd(given: ShareStart): Share {
  const { job, index, cores, memoryBytes, random } = given
  const threads = Math.max(1, Math.floor(cores / RANKS))
  const processes = Array.from({ length: RANKS }, (_, r) =>
    given.spawn({
      name: 'swirl3d',
      command: `/sw/swirl3d/4.2/bin/swirl3d -in ${job.name}.nml -restart auto`,
      tree,
      step: '0',
      rank: index * RANKS + r,
      threads: threads + 3,
    }),
  )
  // Subdomains are never equal: a few per cent of difference that stays.
  const weights = processes.map(() => 1 + 0.02 * random.gauss())
  const waiting = beside(job.throttle?.speed ?? 1)
  const resident = (memoryBytes * (0.34 + 0.02 * random.gauss())) / RANKS
  return {
    processes,
    spread: cores,
    tick({ ageMs, stepMs, drift }, load) {
      const phase = phaseAt(ageMs, index, job, waiting, threads)
      processes.forEach((p, r) => {
        const weight = weights[r] ?? 1
        const jitter = (1 + 0.004 * drift.at(r)) * (phase.doing === 'writing' ? weight : 1)
        spend(p, threads * clamp(phase.busy * jitter, 0, 0.996), phase.mix, stepMs)
        p.memoryBytes = resident * clamp(ageMs / SETUP_MS, 0.15, 1) * weight
        p.writeBytesPerSecond = phase.doing === 'writing' ? 38e6 * weight : 0
        p.readBytesPerSecond = phase.doing === 'setup' ? 9e6 : 0
      })
      if (phase.straggles) load.speed = job.throttle?.speed ?? 1
      addLoad(load, phase, (phase.slowed ? (job.throttle?.speed ?? 1) : 1) * (1 + 0.05 * drift.at(8)), cores)
    },
  }
}

export const cfd = {
  name: 'swirl3d',
  command: 'srun --mpi=pmix /sw/swirl3d/4.2/bin/swirl3d',
  start: startCfd,
  memoryBytesPerNode: 120 * GIB,
}
