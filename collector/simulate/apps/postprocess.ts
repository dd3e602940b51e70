/**
 * vtkextract: post-processing that reads compressed time steps from the local scratch disk and writes slices back. Sixteen
 * readers share one NVMe disk: the disk is full, the cores wait (iowait), the little CPU there is goes to inflate and the
 * kernel's read path.
 */
import { GIB, type Load, type Share, type ShareStart, type SimulatedProcess, spend } from '../model.ts'
import type { Drift } from '../random.ts'
import { mixOf, parseTree } from '../trees.ts'
import { syscall } from './shared.ts'

const readPath = `
__x64_sys_pread64
  vfs_read
    xfs_file_read_iter
      xfs_file_buffered_read
        filemap_read = kernel 4
          copy_page_to_iter = kernel 17
          filemap_get_pages = kernel 3
            page_cache_ra_unbounded = kernel 2
              filemap_add_folio = kernel 6
              xfs_vm_readahead
                iomap_readahead = kernel 3
                  submit_bio_noacct_nocheck
                    blk_mq_submit_bio = kernel 4
                      nvme_queue_rqs = kernel 5
            folio_wait_bit_common
              io_schedule
                schedule
                  __schedule = kernel 8
`
const writePath = `
__x64_sys_pwrite64
  vfs_write
    xfs_file_buffered_write
      iomap_file_buffered_write = kernel 4
        iomap_write_begin = kernel 3
          shrink_folio_list = kernel 6
        balance_dirty_pages_ratelimited_flags
          balance_dirty_pages = kernel 5
`

const tree = parseTree(
  'vtkextract',
  `
_start @vtkextract
  __libc_start_call_main @libc.so.6
    main @vtkextract src/extract.cpp:310
      extract_steps(std::vector<Step> const&) src/extract.cpp:241 = user 2
        read_field(Step const&, char const*) src/reader.cpp:88 = user 1
          H5Dread @libhdf5.so.310
            H5D__read
              H5D__chunk_read = user 4
                H5Z_pipeline
                  H5Z__filter_deflate
                    inflate @libz.so.1 = user 12
                      inflate_fast = user 34
                  H5Z__filter_shuffle @libhdf5.so.310 = user 11
                H5F_shared_block_read @libhdf5.so.310
                  H5FD__sec2_read
                    __libc_pread64 @libc.so.6
                      ${syscall(22, readPath)}
        slice_plane(Field const&, Plane const&) @vtkextract src/slice.cpp:52 = user 14
          interpolate_cell src/slice.cpp:19 = user 9
        write_slice(Slice const&) @vtkextract src/writer.cpp:71 = user 3
          deflate_fast @libz.so.1 = user 8
          __libc_pwrite64 @libc.so.6
            ${syscall(12, writePath)}
`,
)

const flushTree = parseTree(
  'kworker',
  `
ret_from_fork_asm @kernel
  ret_from_fork
    kthread
      worker_thread
        process_one_work
          wb_workfn
            wb_writeback
              writeback_sb_inodes
                do_writepages
                  xfs_vm_writepages
                    iomap_writepages = flush 20
                      xfs_map_blocks = flush 14
                      submit_bio_noacct_nocheck
                        blk_mq_submit_bio = flush 24
                          nvme_queue_rq = flush 18
                    folio_clear_dirty_for_io = flush 24
`,
)

const WORK = mixOf(tree, { user: 58, kernel: 42 })
const START = mixOf(tree, { user: 1 })
const FLUSH = mixOf(flushTree, { flush: 1 })
const READERS = 16

const spawnReaders = (given: ShareStart): SimulatedProcess[] =>
  Array.from({ length: READERS }, (_, r) =>
    given.spawn({
      name: 'vtkextract',
      command: `vtkextract --steps ${r * 40}-${r * 40 + 39} --field vorticity --scratch /scratch/${given.job.id}`,
      tree,
      step: '0',
      rank: given.index * READERS + r,
      threads: 2,
    }),
  )

/** The disk gives what it can, most readers wait for it. */
function addSaturation(load: Load, drift: Drift): void {
  load.cachedBytesPerSecond += 6e8
  load.dirtyBytes += 1.1 * GIB * (1 + 0.1 * drift.at(3))
  load.iowait += 10.4 * (1 + 0.05 * drift.at(4))
  load.blocked += READERS * 0.68
  load.runnable += READERS * 0.32
  load.pressureIo += 0.92
  load.pressureIoFull += 0.71 + 0.03 * drift.at(5)
}

function startPostprocess(given: ShareStart): Share {
  const readers = spawnReaders(given)
  const flusher = given.spawn({ name: 'kworker/u128:3', command: '', tree: flushTree, kernel: true, threads: 1 })
  const resident = 1.6 * GIB * (1 + 0.1 * given.random.gauss())
  return {
    processes: [...readers, flusher],
    spread: given.cores,
    tick({ ageMs, stepMs, drift }, load) {
      const starting = ageMs < 20_000
      const read = starting ? 2e7 : 2.95e9 * (1 + 0.04 * drift.at(0))
      const write = starting ? 0 : 3.4e8 * (1 + 0.15 * drift.at(1))
      readers.forEach((p, r) => {
        spend(p, starting ? 0.9 : 0.31 * (1 + 0.08 * drift.at(2 + (r % 8))), starting ? START : WORK, stepMs)
        p.state = starting ? 'R' : 'D'
        p.memoryBytes = resident
        p.readBytesPerSecond = read / READERS
        p.writeBytesPerSecond = write / READERS
      })
      spend(flusher, starting ? 0 : 0.34, FLUSH, stepMs)
      load.scratchReadBytesPerSecond += read
      load.scratchWriteBytesPerSecond += write
      load.contextSwitchesPerSecond += 46_000
      if (!starting) addSaturation(load, drift)
    },
  }
}

export const postprocess = {
  name: 'vtkextract',
  command: 'srun vtkextract',
  start: startPostprocess,
  memoryBytesPerNode: 96 * GIB,
}
