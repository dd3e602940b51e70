/**
 * GROMACS, mdrun with MPI and OpenMP: 4 ranks of 16 threads a node. Pair forces, PME with its 3D FFT (all-to-all),
 * constraints; load balancing every few minutes; an OpenMP barrier ends each region. The paths are those of libgromacs 2023.
 */
import { GIB, MINUTE, type Share, type ShareStart, spend } from '../model.ts'
import { graft, mixOf, parseTree } from '../trees.ts'
import { allreduce, checkpointWrite, isend, ompBarrier, waitall } from './shared.ts'

const alltoall = (group: string, weight: number): string => `
fft5d_execute @libgromacs_mpi.so.8
  fftwf_execute @libfftw3f.so.3
    n1_64 = pme ${weight * 0.24}
    t1_32 = pme ${weight * 0.18}
  PMPI_Alltoall @libmpi.so.40
    ompi_coll_base_alltoall_intra_pairwise = ${group} ${weight * 0.06}
      ${graft(6, waitall(group, weight * 0.3)).replace('PMPI_Waitall', 'ompi_request_wait_all')}
`

const tree = parseTree(
  'gromacs',
  `
_start @gmx_mpi
  __libc_start_call_main @libc.so.6
    main @gmx_mpi
      gmx::CommandLineModuleManager::run(int, char**) @libgromacs_mpi.so.8
        gmx::gmx_mdrun(int, char**)
          gmx::Mdrunner::mdrunner() = setup 30
            init_forcerec = setup 40
            gmx::init_domain_decomposition = setup 30
            gmx::LegacySimulator::do_md() = pair 0.5
              do_force
                do_nb_verlet
                  nbnxn_kernel_ElecEwTwinCut_VdwLJ_F_4xm = pair 3
                gmx_pme_do = pme 1
                  ${graft(18, alltoall('transfer', 8))}
                  gmx::solve_pme_yzx = pme 0.7
                dd_move_x = transfer 0.5
                  ${graft(18, isend('transfer', 2))}
                  ${graft(18, waitall('transfer', 4))}
              gmx::dd_partition_system = neighbour 3
                gmx::nbnxn_put_on_grid = neighbour 5
                  gmx::sort_columns_supersub = neighbour 4
              compute_globals
                global_stat
                  gmx_sumd
                    ${graft(20, allreduce('mpi', 10))}
              write_checkpoint = checkpoint 5
                ${graft(16, checkpointWrite('checkpoint', 95))}
__clone3 @libc.so.6
  start_thread
    gomp_thread_start @libgomp.so.1
      nonbonded_verlet_t::dispatchNonbondedKernel._omp_fn.0 @libgromacs_mpi.so.8
        nbnxn_kernel_ElecEwTwinCut_VdwLJ_F_4xm = pair 54
        nbnxn_kernel_ElecEwTwinCut_VdwLJ_VF_4xm = pair 4
      gmx::ListedForces::calculate._omp_fn.1 @libgromacs_mpi.so.8
        calc_listed
          bonds = pair 1.2
          angles<gmx::BondedKernelFlavor> = pair 2.8
          pdihs = pair 2.5
      spread_on_grid._omp_fn.2 @libgromacs_mpi.so.8
        spread_coefficients_bsplines_thread = pme 9
      gather_f_bsplines._omp_fn.5 @libgromacs_mpi.so.8 = pme 8
      gmx::Constraints::Impl::apply._omp_fn.3 @libgromacs_mpi.so.8
        do_lincs = pair 4
          do_lincsp = pair 2.4
        gmx::settle<true> = pair 2
      gmx::nbnxm_pairlist_set_t::constructPairlists._omp_fn.4 @libgromacs_mpi.so.8
        makePairlist<gmx::NbnxnPairlistCpu> = neighbour 14
          makeClusterListSimd4xm = neighbour 9
      ${graft(6, ompBarrier('barrier', 10))}
`,
)

const SETUP = mixOf(tree, { setup: 1 })
const RUN = mixOf(tree, { pair: 58, pme: 19, neighbour: 6, transfer: 4, mpi: 2, barrier: 11 })
const BALANCE = mixOf(tree, { pair: 40, pme: 14, neighbour: 28, transfer: 5, mpi: 5, barrier: 8 })
const CHECKPOINT = mixOf(tree, { checkpoint: 55, barrier: 45 })
const RANKS = 4

function startMolecular(given: ShareStart): Share {
  const { job, index, cores, random } = given
  const threads = Math.max(1, Math.floor(cores / RANKS))
  const processes = Array.from({ length: Math.min(RANKS, cores) }, (_, r) =>
    given.spawn({
      name: 'gmx_mpi',
      command: `gmx_mpi mdrun -deffnm ${job.name} -ntomp ${threads} -cpi state.cpt -maxh 23.5`,
      tree,
      step: '0',
      rank: index * RANKS + r,
      threads: threads + 4,
    }),
  )
  const resident = 9 * GIB * (1 + 0.03 * random.gauss())
  return {
    processes,
    spread: cores,
    tick({ ageMs, stepMs, drift }, load) {
      const setup = ageMs < 40_000
      const writing = !setup && ageMs % (15 * MINUTE) < 10_000
      const balancing = !setup && ageMs % (4 * MINUTE) < 20_000
      const mix = setup ? SETUP : writing ? CHECKPOINT : balancing ? BALANCE : RUN
      const busy = setup ? 0.12 : writing ? 0.4 : 0.97 + 0.006 * drift.at(0)
      processes.forEach((p, r) => {
        spend(p, threads * Math.min(0.995, busy + 0.004 * drift.at(1 + r)), mix, stepMs)
        p.memoryBytes = (resident / processes.length) * (setup ? 0.5 : 1)
        p.writeBytesPerSecond = writing && index === 0 && r === 0 ? 5.2e7 : r === 0 && index === 0 ? 2.4e5 : 0
      })
      const exchange = (setup ? 3e6 : 1.3e9) * (1 + 0.04 * drift.at(6))
      load.fabricInBytesPerSecond += exchange
      load.fabricOutBytesPerSecond += exchange * (1 + 0.01 * drift.at(7))
      load.contextSwitchesPerSecond += 14_000 * (1 + 0.1 * drift.at(5))
      load.runnable += cores * busy
      if (writing && index === 0) load.blocked += 1
    },
  }
}

export const molecular = {
  name: 'gromacs',
  command: 'srun --mpi=pmix gmx_mpi mdrun',
  start: startMolecular,
  memoryBytesPerNode: 32 * GIB,
}
