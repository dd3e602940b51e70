/** Subtrees that several programs share: MPI (Open MPI 5 over UCX), OpenMP (libgomp), HDF5, system calls. */
import { graft } from '../trees.ts'

/** A spin in the progress engine that yields the core: this is why waiting ranks burn CPU, part of it in the kernel. */
const progress = (group: string, weight: number): string => `
opal_progress @libopen-pal.so.80
  ucp_worker_progress @libucp.so.0
    uct_rc_mlx5_iface_progress_cyclic @libuct_ib.so.0 = ${group} ${weight * 0.34}
      mlx5_poll_cq_v1 @libmlx5.so.1 = ${group} ${weight * 0.14}
      ? @libuct_ib.so.0 = ${group} ${weight * 0.05}
    uct_mm_iface_progress @libuct.so.0 = ${group} ${weight * 0.13}
  opal_progress_yield = ${group} ${weight * 0.04}
    __sched_yield @libc.so.6 = ${group} ${weight * 0.05}
      entry_SYSCALL_64_after_hwframe @kernel
        do_syscall_64
          __x64_sys_sched_yield = ${group} ${weight * 0.06}
            schedule
              __schedule = ${group} ${weight * 0.13}
                pick_next_task_fair = ${group} ${weight * 0.06}
`

/** MPI_Allreduce that waits for the last rank. */
export const allreduce = (group: string, weight: number): string => `
PMPI_Allreduce @libmpi.so.40
  ompi_coll_tuned_allreduce_intra_dec_fixed
    ompi_coll_base_allreduce_intra_recursivedoubling = ${group} ${weight * 0.02}
      ompi_request_default_wait
        ${graft(8, progress(group, weight * 0.93))}
      ompi_op_avx_2buff_add_double_avx512 @mca_op_avx.so = ${group} ${weight * 0.05}
`

/** MPI_Waitall at the end of a halo exchange. */
export const waitall = (group: string, weight: number): string => `
PMPI_Waitall @libmpi.so.40
  ompi_request_default_wait_all = ${group} ${weight * 0.05}
    ${graft(4, progress(group, weight * 0.95))}
`

/** Sending: packing is compute's business, this is what the library does. */
export const isend = (group: string, weight: number): string => `
PMPI_Isend @libmpi.so.40
  mca_pml_ucx_isend @mca_pml_ucx.so = ${group} ${weight * 0.2}
    ucp_tag_send_nbx @libucp.so.0 = ${group} ${weight * 0.3}
      uct_rc_mlx5_ep_am_zcopy @libuct_ib.so.0 = ${group} ${weight * 0.5}
`

/** Threads of a parallel region, waiting at its end. */
export const ompBarrier = (group: string, weight: number): string => `
gomp_team_barrier_wait_end @libgomp.so.1 = ${group} ${weight * 0.8}
  do_wait = ${group} ${weight * 0.2}
`

export const syscall = (blanks: number, body: string): string =>
  graft(
    blanks,
    `
entry_SYSCALL_64_after_hwframe @kernel
  do_syscall_64
    ${graft(4, body)}
`,
  )

/** H5Dwrite of a checkpoint down to the parallel file system. */
export const checkpointWrite = (group: string, weight: number): string => `
H5Dwrite @libhdf5.so.310
  H5D__write
    H5D__chunk_write = ${group} ${weight * 0.08}
      H5VM_memcpyvv
        __memmove_avx512_unaligned_erms @libc.so.6 = ${group} ${weight * 0.17}
      H5F_shared_block_write
        H5FD__sec2_write
          __libc_pwrite64 @libc.so.6
            ${syscall(
              12,
              `
__x64_sys_pwrite64
  vfs_write
    ll_file_write_iter = ${group} ${weight * 0.05}
      cl_io_loop
        vvp_io_write_start = ${group} ${weight * 0.1}
          copy_page_from_iter_atomic = ${group} ${weight * 0.32}
          osc_queue_async_io = ${group} ${weight * 0.14}
            osc_page_cache_add = ${group} ${weight * 0.14}
`,
            )}
`

/** First touch of fresh memory. */
export const pageFault = (group: string, weight: number): string => `
asm_exc_page_fault @kernel
  exc_page_fault
    do_user_addr_fault
      handle_mm_fault = ${group} ${weight * 0.1}
        do_anonymous_page = ${group} ${weight * 0.12}
          clear_page_erms = ${group} ${weight * 0.6}
          __mod_memcg_lruvec_state = ${group} ${weight * 0.18}
`
