/**
 * Jobs of one process, each with a fault that a page should show:
 *   join     a pandas merge that grows until the kernel kills it (the memory hog)
 *   fit      an R model fit that keeps one core of a whole node busy
 *   notebook an interactive session that nobody types into (the idle job)
 */
import { clamp, GIB, MIB, type Share, type ShareStart, spend } from '../model.ts'
import { graft, mixOf, parseTree } from '../trees.ts'
import { pageFault, syscall } from './shared.ts'

const joinTree = parseTree(
  'join.py',
  `
_start @python3.11
  __libc_start_call_main @libc.so.6
    Py_BytesMain @python3.11
      <module> @python join.py:41
        read_parquet @python join.py:12
          parquet_read_row_group @libparquet.so.1500 = work 6
            snappy::RawUncompress @libsnappy.so.1 = work 9
        merge @python merge.py:170
          _get_join_info @python merge.py:1151
            hashjoin_factorize @join.cpython-311-x86_64-linux-gnu.so = work 24
              kh_put_int64 = work 17
          take_nd @python take.py:117
            take_2d_axis0_float64 @algos.cpython-311-x86_64-linux-gnu.so = work 13
              ${graft(14, pageFault('work', 26))}
          __malloc_mmap @libc.so.6
            ${syscall(12, '__x64_sys_mmap = work 2')}
`,
)
const reclaimTree = parseTree(
  'kswapd0',
  `
ret_from_fork_asm @kernel
  ret_from_fork
    kthread
      kswapd
        balance_pgdat
          shrink_node = reclaim 20
            shrink_lruvec = reclaim 30
              shrink_folio_list = reclaim 50
`,
)
const fitTree = parseTree(
  'fit.R',
  `
_start @R
  __libc_start_call_main @libc.so.6
    Rf_mainloop @libR.so
      R_ReplFile
        Rf_eval = fit 3
          bcEval = fit 19
            do_matprod = fit 2
              dgemm_ @libRblas.so = fit 41
            do_qr @libR.so
              dqrdc2_ @stats.so = fit 22
          R_gc_internal = fit 9
            mark_phase = fit 4
`,
)
const notebookTree = parseTree(
  'jupyter',
  `
_start @python3.11
  __libc_start_call_main @libc.so.6
    Py_BytesMain @python3.11
      <module> @python ipykernel_launcher.py:18
        run_forever @python base_events.py:603 = poll 30
          select @python selectors.py:468
            __epoll_wait @libc.so.6
              ${syscall(14, '__x64_sys_epoll_wait\n  do_epoll_wait = poll 70')}
`,
)

const JOIN = mixOf(joinTree, { work: 1 })
const RECLAIM = mixOf(reclaimTree, { reclaim: 1 })
const FIT = mixOf(fitTree, { fit: 1 })
const POLL = mixOf(notebookTree, { poll: 1 })

function startJoin(given: ShareStart): Share {
  const { job, memoryBytes } = given
  const python = given.spawn({ name: 'python3', command: 'python3 join.py --left census.parquet', tree: joinTree })
  const kswapd = given.spawn({ name: 'kswapd0', command: '', tree: reclaimTree, kernel: true, threads: 1 })
  return {
    processes: [python, kswapd],
    spread: 4,
    tick({ ageMs, stepMs, drift }, load) {
      const part = clamp(ageMs / job.runMs, 0, 1)
      // Stepwise: every merged table is larger than the last; the kernel kills what passes all of the memory.
      const step = Math.floor(part * 12) / 12
      const used = memoryBytes * (0.03 + 0.94 * (0.35 * part + 0.65 * step ** 1.4))
      const full = clamp((used / memoryBytes - 0.86) / 0.1, 0, 1)
      spend(python, 1.9 + 0.5 * drift.at(0) * 0.3, JOIN, stepMs)
      spend(kswapd, full * 0.92, RECLAIM, stepMs)
      python.memoryBytes = used
      python.threads = 9
      python.readBytesPerSecond = 3.1e7 * (1 + 0.2 * drift.at(1))
      load.fabricInBytesPerSecond += python.readBytesPerSecond
      load.runnable += 2 + full
      load.pressureMemory += 0.65 * full
      load.pressureMemoryFull += 0.38 * full
      load.majorFaultsPerSecond += 900 * full
      load.contextSwitchesPerSecond += 1800
      if (ageMs >= job.runMs && job.ending === 'out_of_memory') load.oomKills += 1
    },
  }
}

function startFit(given: ShareStart): Share {
  const r = given.spawn({ name: 'R', command: 'R --no-echo --no-restore --file=fit.R', tree: fitTree, threads: 1 })
  return {
    processes: [r],
    spread: 1,
    tick({ stepMs, drift }, load) {
      spend(r, 0.995, FIT, stepMs)
      r.memoryBytes = 3.4 * GIB + 60 * MIB * drift.at(0)
      load.runnable += 1
      load.contextSwitchesPerSecond += 60
    },
  }
}

function startNotebook(given: ShareStart): Share {
  const kernel = given.spawn({
    name: 'python3',
    command: 'python3 -m ipykernel_launcher -f kernel-7c1.json',
    tree: notebookTree,
    step: given.index === 0 ? 'batch' : '0',
    threads: 12,
  })
  return {
    processes: [kernel],
    spread: 1,
    tick({ stepMs }, load) {
      spend(kernel, 0.002, POLL, stepMs)
      kernel.memoryBytes = 164 * MIB
      load.contextSwitchesPerSecond += 40
    },
  }
}

export const join = { name: 'join.py', command: 'python3 join.py', start: startJoin, memoryBytesPerNode: undefined }
export const fit = { name: 'fit.R', command: 'Rscript fit.R', start: startFit, memoryBytesPerNode: 16 * GIB }
export const notebook = {
  name: 'jupyter',
  command: 'jupyter lab --no-browser',
  start: startNotebook,
  memoryBytesPerNode: 64 * GIB,
}
