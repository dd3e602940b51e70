import { describe, expect, it } from 'vitest'
import { categoryOf, classifyStacks, matchFrame, RULES, ruleOf } from '../../../collector/categories.ts'
import { WindowBuilder } from '../../../collector/window.ts'
import { drawn, frame } from './drawn.ts'

/** `leaf < caller < root -> category`; frames without @ are of the program itself, @[k] are the kernel's. */
const TABLE = `
  fft < step < main < __libc_start_call_main@libc.so.6                                        -> compute
  dgemm_kernel_ZEN@libopenblas.so.0 < dgemm_ < main                                           -> compute
  mkl_blas_avx512_dgemm_kernel@libmkl_avx512.so.2 < dgemm_ < main                             -> compute
  fftw_codelet_n1_64@libfftw3.so.3 < fftw_execute@libfftw3.so.3 < main                        -> compute
  exp@libm.so.6 < main                                                                        -> compute
  app+0x1f30 < main                                                                           -> compute
  work._omp_fn.0 < GOMP_parallel@libgomp.so.1 < main                                          -> compute
  work._omp_fn.0 < gomp_thread_start@libgomp.so.1 < start_thread@libc.so.6                    -> compute
  .omp_outlined. < __kmp_invoke_microtask@libiomp5.so < __kmp_fork_call@libiomp5.so < main    -> compute
  lj_pair < PyEval@_lj.so < _PyEval_EvalFrameDefault@libpython3.11.so.1.0 < main              -> compute
  read_table < main                                                                           -> compute
  [truncated]                                                                                 -> unknown

  opal_progress@libopen-pal.so.40 < ompi_request_default_wait@libmpi.so.40 < PMPI_Wait@libmpi.so.40 < halo < main -> mpi
  uct_mm_iface_progress@libuct.so.0 < ucp_worker_progress@libucp.so.0 < mca_pml_ucx_recv@mca_pml_ucx.so < MPI_Recv@libmpi.so.40 < main -> mpi
  MPIDI_CH4_progress@libmpi.so.12 < MPI_Allreduce@libmpi.so.12 < main                         -> mpi
  PMPI_ALLREDUCE@libmpifort.so.12 < main                                                      -> mpi
  mpi_allreduce_@libmpi_mpifh.so.40 < MAIN__ < main                                           -> mpi
  __memmove_avx512_unaligned_erms@libc.so.6 < ompi_datatype_copy@libmpi.so.40 < MPI_Send@libmpi.so.40 < main -> mpi
  futex_wait@[k] < __x64_sys_futex@[k] < syscall@libc.so.6 < psm2_mq_wait@libpsm2.so.2 < MPI_Barrier@libmpi.so.12 < main -> mpi
  clear_page_erms@[k] < asm_exc_page_fault@[k] < MPI_Win_allocate@libmpi.so.40 < main         -> mpi
  sum_op < ompi_op_reduce@libmpi.so.40 < MPI_Reduce@libmpi.so.40 < main                       -> mpi
  MPID_Progress_wait < MPI_Waitall < main                                                     -> mpi
  sched_yield@libc.so.6 < ncclGroupEnd@libnccl.so.2 < main                                    -> mpi
  cuStreamSynchronize@libcuda.so.1 < ncclAllReduce@libnccl.so.2 < main                        -> mpi
  ioctl@libc.so.6 < ibv_poll_cq@libibverbs.so.1 < main                                        -> mpi
  ucc_tl_ucp_progress@libucc_tl_ucp.so < ucc_context_progress@libucc.so.1 < main              -> mpi
  futex_wait@[k] < PMIx_Fence@libpmix.so.2 < main                                             -> mpi
  sched_yield@libc.so.6 < ccl_comm_barrier@libccl.so.1 < main                                 -> mpi
  mpi_bcast_f08_ < MAIN__ < main                                                              -> mpi

  vfs_write@[k] < __x64_sys_write@[k] < write@libc.so.6 < mca_fbtl_posix_pwritev@mca_fbtl_posix.so < MPI_File_write_all@libmpi.so.40 < main -> io
  ADIOI_LUSTRE_WriteStrided@libmpi.so.12 < MPI_File_write_at_all@libmpi.so.12 < H5Dwrite@libhdf5.so.103 < main -> io
  inflate@libz.so.1 < H5Z__filter_deflate@libhdf5.so.103 < H5Dread@libhdf5.so.103 < main      -> io
  __memcpy_avx_unaligned@libc.so.6 < NC4_put_vars@libnetcdf.so.19 < nc_put_vara@libnetcdf.so.19 < main -> io
  copy_page_to_iter@[k] < filemap_read@[k] < vfs_read@[k] < ksys_read@[k] < __libc_read@libc.so.6 < load < main -> io
  clear_page_erms@[k] < asm_exc_page_fault@[k] < _copy_to_iter@[k] < vfs_read@[k] < read@libc.so.6 < main -> io
  ll_file_io_generic@[k] < vfs_iter_write@[k] < writev@libc.so.6 < main                       -> io
  tcp_sendmsg@[k] < sock_sendmsg@[k] < __sys_sendto@[k] < send@libc.so.6 < main               -> io
  _IO_new_file_write@libc.so.6 < fprintf@libc.so.6 < main                                     -> io
  wb_workfn@[k] < process_one_work@[k] < kthread@[k] < ret_from_fork_asm@[k]                  -> io
  daos_event_poll@libdaos.so.2 < dfs_write@libdfs.so < main                                   -> io
  _gfortran_st_write@libgfortran.so.5 < MAIN__ < main                                         -> io

  cuStreamSynchronize@libcuda.so.1 < cudaDeviceSynchronize@libcudart.so.12 < main             -> gpu
  __memcpy_avx@libc.so.6 < ??@libcuda.so.550.54 < cudaMemcpy@libcudart.so.12 < main           -> gpu
  rocr::core::InterruptSignal::WaitRelaxed@libhsa-runtime64.so.1 < hipDeviceSynchronize@libamdhip64.so.6 < main -> gpu
  sched_yield@libc.so.6 < urEventWait@libur_loader.so.0 < sycl::event::wait@libsycl.so.8 < main -> gpu
  ioctl@libc.so.6 < __tgt_target_kernel@libomptarget.so.18 < main                             -> gpu
  ioctl@libc.so.6 < zeFenceHostSynchronize@libze_intel_gpu.so.1 < main                        -> gpu

  do_spin@libgomp.so.1 < gomp_team_barrier_wait_end@libgomp.so.1 < work._omp_fn.0 < main      -> wait
  gomp_thread_start@libgomp.so.1 < start_thread@libc.so.6                                     -> wait
  gomp_team_barrier_wait_end < gomp_thread_start < start_thread                               -> wait
  __kmp_wait_template@libiomp5.so < __kmp_fork_barrier@libiomp5.so < __kmp_launch_thread@libiomp5.so -> wait
  sched_yield@libc.so.6 < blas_thread_server@libopenblas.so.0 < start_thread@libc.so.6        -> wait
  do_sched_yield@[k] < __x64_sys_sched_yield@[k] < sched_yield@libc.so.6 < spin < main        -> wait
  futex_wait_queue@[k] < do_futex@[k] < __x64_sys_futex@[k] < pthread_cond_wait@libc.so.6 < consumer < main -> wait
  pthread_mutex_lock@libc.so.6 < update < main                                                -> wait
  pthread_barrier_wait@libpthread-2.28.so < update < main                                     -> wait
  __lll_lock_wait_private@libc.so.6 < malloc@libc.so.6 < push < main                          -> wait
  do_epoll_wait@[k] < __x64_sys_epoll_wait@[k] < epoll_wait@libc.so.6 < uv__io_poll@node < main -> wait
  futex_wait@[k] < do_futex@[k] < __x64_sys_futex@[k] < runtime.futex.abi0 < runtime.mstart      -> wait
  hrtimer_nanosleep@[k] < __x64_sys_clock_nanosleep@[k] < clock_nanosleep@libc.so.6 < main    -> wait

  _int_malloc@libc.so.6 < malloc@libc.so.6 < push < main                                      -> memory
  _int_free@libc.so.6 < std::vector::~vector < main                                           -> memory
  operator new(unsigned@libstdc++.so.6 < push < main                                          -> memory
  je_malloc@libjemalloc.so.2 < push < main                                                    -> memory
  __memset_avx512_unaligned_erms@libc.so.6 < init < main                                      -> memory
  clear_page_erms@[k] < get_page_from_freelist@[k] < do_anonymous_page@[k] < asm_exc_page_fault@[k] < touch < main -> memory
  unmap_page_range@[k] < exit_mmap@[k] < do_exit@[k]                                          -> memory

  finish_task_switch@[k] < schedule@[k] < kthread@[k] < ret_from_fork_asm@[k]                 -> kernel
  read_tsc@[k] < ktime_get@[k] < __x64_sys_clock_gettime@[k] < clock_gettime@libc.so.6 < main -> kernel
  hrtimer_interrupt@[k] < asm_sysvec_apic_timer_interrupt@[k] < fft < main                    -> kernel

  _PyEval_EvalFrameDefault@libpython3.11.so.1.0 < PyEval_EvalCode@libpython3.11.so.1.0 < main@python3.11 -> interpreter
  _PyEval_EvalFrameDefault@python3.12 < Py_RunMain@python3.12 < main@python3.12               -> interpreter
  _int_malloc@libc.so.6 < PyObject_Malloc@libpython3.11.so.1.0 < main@python3.11              -> memory
  fib@py < fib@py < <module>@py                                                               -> interpreter
  bcEval@libR.so < Rf_eval@libR.so < main@R                                                   -> interpreter
  execute_command_internal@bash < main@bash                                                   -> interpreter

  pv_native_safe_halt@[k] < default_idle@[k] < do_idle@[k] < cpu_startup_entry@[k]            -> idle
`
const cases = TABLE.trim()
  .split('\n')
  .filter(line => line.includes('->'))
  .map(line => {
    const [stack = '', category = ''] = line.split(/\s+->\s+/)
    return [stack.trim(), category.trim()] as const
  })

const matchesOf = (stack: string) => stack.split(/\s+<\s+/).map(cell => matchFrame(frame(cell)))

describe('categories', () => {
  it.each(cases)('%s is %s', (stack, category) => {
    expect(categoryOf(matchesOf(stack))).toBe(category)
  })

  it('of no frames is unknown', () => {
    expect(categoryOf([])).toBe('unknown')
  })

  it('come from a table in which each rule decides some stack of this test', () => {
    const used = new Set(cases.map(([stack]) => ruleOf(matchesOf(stack))?.name))
    expect(RULES.map(rule => rule.name).filter(name => !used.has(name))).toEqual([])
    expect(RULES.length).toBeLessThan(29)
  })

  it('are found for each stack of a window', () => {
    const builder = new WindowBuilder()
    for (const sample of drawn(`main main
                                step MPI_Wait@libmpi.so.40
                                1    1`))
      builder.add(sample)
    expect(classifyStacks(builder.build({ startMs: 0, endMs: 1 }))).toEqual(['compute', 'mpi'])
  })
})
