/**
 * What a stack is doing, decided while it is whole. One table of rules, read from top to bottom: the first one that
 * matches gives the category. That order is the precedence:
 *
 *   1. idle        the idle task
 *   2. mpi, io     what the program asked for, wherever in the stack it asked: a memcpy, a futex or a GPU copy under
 *                  MPI_Send is MPI; MPI-IO is io although it stands in the MPI library; NCCL and RCCL count as mpi
 *   3. gpu         any call into a GPU runtime: the CPU waits for the device or feeds it
 *   4. wait, memory, interpreter, io: what the innermost frames do, so that an OpenMP worker that computes is compute
 *                  although libgomp stands below it
 *   5. kernel      any other kernel code at the leaf
 *   6. compute     user code at the leaf; unknown where no frame has a name
 *
 * Frames that a rule looks at (`where`):
 *
 *   leaf                                                                                root
 *   clear_page  asm_exc_page_fault  __memmove_avx  │ pack   exchange   main   __libc_start_main
 *   └────────── kernel ──────────┘  └── libc ────┘ │
 *   └──────── 'inner': up to the first frame outside kernel and C library ┘ (pack is in it)
 *   └─ 'leaf': one frame                           └ 'user': that first frame alone
 *   └──────────────────────────────── 'any' ─────────────────────────────────────────┘
 */
import { type Category, FRAME_KINDS, type Frame, type FrameKind } from '../ingest/records.ts'
import type { StackWindow } from './sampler.ts'

type Where = 'any' | 'inner' | 'user' | 'leaf'

export interface Rule {
  category: Category
  /** What it recognises, for people. */
  name: string
  where: Where
  /** Matched against the base name of the module. A rule matches a frame by module or by function. */
  modules?: RegExp
  /** Matched against the function's name. */
  functions?: RegExp
  kinds?: readonly FrameKind[]
}

export const RULES: readonly Rule[] = [
  {
    category: 'idle',
    name: 'the idle task',
    where: 'any',
    functions: /^(do_idle|cpu_idle_poll|cpuidle_enter|cpu_startup_entry|swapper)$/,
    kinds: ['kernel'],
  },
  {
    category: 'io',
    name: 'MPI-IO (ROMIO, OMPIO, Lustre and GPFS drivers below them)',
    where: 'any',
    functions: /^(P?MPI_File_|P?mpi_file_|ADIOI?_|mca_(io|fs|fbtl|fcoll|sharedfp|common_ompio)_|ompi_file_)/,
  },
  {
    category: 'io',
    name: 'HDF5, NetCDF, ADIOS, SIONlib, DAOS',
    where: 'any',
    modules: /^lib(hdf5|netcdf|pnetcdf|adios|sion|silo|cgns|daos|dfs|dfuse|ioil|pil4dfs)[\w-]*\.so/,
    functions: /^(H5[A-Z]{1,2}_*[a-z]|nc_(put|get|open|create|close|sync|enddef)|ncmpii?_|adios2?_|adios2::)/,
  },
  {
    category: 'mpi',
    name: 'MPI: Open MPI, MPICH, Intel MPI, Cray MPICH, MVAPICH; C, Fortran and profiling names',
    where: 'any',
    modules:
      /^lib(mpi|mpich|mpifort|mpicxx|mpi_cray|mpi_intel|mpi_mpifh|mpi_usempi\w*|open-pal|open-rte|pmpi|oshmem)[\w-]*\.so/,
    functions:
      /^(P?MPI_[A-Z]|p?mpi_[a-z]+_(f08_?)?$|MPID[IU]?_|MPIR_|MPIDI_|ompi_|opal_progress|mca_(pml|btl|coll|mtl|osc|part)_)/,
  },
  {
    category: 'mpi',
    name: 'transports and collectives below or beside MPI: UCX, UCC, libfabric, PSM, verbs, XPMEM, PMIx, NCCL, RCCL, oneCCL',
    where: 'any',
    modules:
      /^(lib(uc[cpstm]|fabric|psm2?|psm3|ibverbs|mlx[45]|efa|rdmacm|xpmem|hcoll|sharp\w*|pmix?2?|nccl|rccl|ccl|cxi|portals)[\w-]*\.so|.*-fi\.so)/,
    functions:
      /^(uc[pt]_(worker|ep|tag|request|iface)_|ucc_collective_|fi_(cq|ep|tsend|trecv)_|ibv_|psm[23]?_|nccl[A-Z]|PMIx_[A-Z]|pmi[x2]?_)/,
  },
  {
    category: 'gpu',
    name: 'GPU runtimes: CUDA, HIP/ROCm, Level Zero, SYCL, OpenCL, OpenACC, OpenMP offload',
    where: 'any',
    modules:
      /^(lib(cuda|cudart|cuda_driver|nvidia-\w+|amdhip64|hsa-runtime64|rocr\w*|ze_(loader|intel)\w*|sycl|ur_(loader|adapter)\w*|omptarget|OpenCL|acchost|cupti)[\w-]*\.so|\[?nvidia(_uvm)?\]?$|\[?amdgpu\]?$)/,
    functions:
      /^(cu(da)?(Stream|Event|Ctx|Device)\w*Synchronize|cudaMemcpy|cuMemcpy|hip(Stream|Event|Device)Synchronize|hipMemcpy|zeCommandQueueSynchronize|clFinish)/,
  },
  {
    category: 'wait',
    name: 'OpenMP: a thread at a barrier, or without work (libgomp, libiomp5, libomp, Cray)',
    where: 'user',
    functions:
      /^(gomp_(team_barrier|barrier|simple_barrier|team_end|sem_wait|mutex_lock|ptrlock|thread_start)|do_(spin|wait)$|GOMP_(barrier|parallel_end|critical_start|taskwait)|__kmp_\w*(barrier|wait|release|yield|suspend|launch_worker|launch_thread|acquire|join|fork|lock)|__kmpc_(barrier|critical|reduce)|kmp_flag|_?__kmp_hyper|omp_set_(nest_)?lock|cray_omp_\w*wait|mp_barrier|_mp_pcpu)/,
    modules: /^lib(gomp|iomp5|omp|craymp|nvomp)[\w-]*\.so/,
  },
  {
    category: 'wait',
    name: 'threads of BLAS and TBB that spin for work',
    where: 'user',
    functions:
      /^(blas_thread_server|exec_blas_async_wait|tbb::detail::r1::\w*(wait|steal)|mkl_serv_\w*(lock|wait)|goto_?blas_thread)/,
  },
  {
    category: 'wait',
    name: 'pthreads and the C library: locks, conditions, barriers, sleeps, polls',
    where: 'inner',
    functions:
      /^_*(pthread_(barrier_wait|cond_(timed|clock)?wait|mutex_(timed|clock)?lock|spin_lock|rwlock_\w*lock|join|clockjoin_ex|timedjoin)|GI___pthread\w*lock|lll_(lock_wait|wait_tid)\w*|futex_\w*wait\w*|sem_(timed|clock)?wait\w*|new_sem_wait\w*|sched_yield|(clock_)?nanosleep\w*|u?sleep|(p?poll|p?select|epoll_p?wait)(64|_time64|_2)?|wait4|waitpid|waitid|pause|sigtimedwait|sigsuspend)$/,
    kinds: ['native'],
  },
  {
    category: 'wait',
    name: 'the kernel side of the same',
    where: 'inner',
    functions:
      /^(do_futex|futex_(wait|wake|lock_pi|q_lock)\w*|(__)?x64_sys_(futex|sched_yield|nanosleep|clock_nanosleep|poll|ppoll|select|pselect6|epoll_wait|epoll_pwait\w*|wait4|pause)|do_(nanosleep|epoll_wait|sys_poll|sched_yield|wait)|hrtimer_nanosleep|ep_poll|core_sys_select|__do_sys_(sched_yield|epoll_wait)|__arm64_sys_(futex|sched_yield|nanosleep|clock_nanosleep|ppoll|pselect6|epoll_pwait\w*))$/,
    kinds: ['kernel'],
  },
  {
    category: 'io',
    name: 'files and sockets, by the kernel: VFS, block layer, NFS, Lustre, GPFS, BeeGFS, network',
    where: 'inner',
    modules:
      /^\[?(nfsv?[34]?|nfs_\w+|sunrpc|lustre|ptlrpc|ksocklnd|ko2iblnd|lnet|osc|mdc|lov|mmfs(26|linux)|beegfs|ceph|libceph|fuse|cifs|gfs2|9p)\]?$/,
    functions:
      /^(vfs_(read|write|fsync|iter|open|statx?|getattr|readdir|unlink|rename)\w*|ksys_(read|write|pread|pwrite|sync)\w*|do_(iter_(read|write)|sys_openat2|filp_open|fsync|sendfile|splice\w*|syslog)\w*|generic_file_(read|write)\w*|filemap_(read|write)\w*|iomap_\w+|(ext4|xfs|btrfs|nfs4?|ll|fuse|ceph|gpfs)_\w+|submit_bio\w*|blk_\w+|io_(submit|uring)\w*|wb_(workfn|writeback)|(__)?sock_(send|recv|read|write)\w*|__sys_(send|recv)\w*|tcp_(send|recv)msg\w*|udp_(send|recv)msg|net_rx_action|__x64_sys_(p?readv?(64)?|p?writev?(64)?|fsync|fdatasync|openat?|close|newfstat\w*|statx|getdents(64)?|sendto|recvfrom|sendmsg|recvmsg)|pipe_(read|write)|tty_(read|write))$/,
    kinds: ['kernel'],
  },
  {
    category: 'io',
    name: 'files and sockets, by the C library and runtimes',
    where: 'inner',
    functions:
      /^_*(libc_)?(p?readv?|p?writev?|pread64|pwrite64|fsync|fdatasync|open(at)?|close|f?write|f?read|fputs|fgets|fflush|fopen|fclose|new_file_(write|read|xsputn|underflow)|IO_\w*(file|write|read|getline|putn)\w*|sendto?|recv(from)?|sendmsg|recvmsg|getdents(64)?)(64)?$|^_gfortran_(st|transfer)_/,
  },
  {
    category: 'memory',
    name: 'allocation',
    where: 'inner',
    modules: /^lib(tcmalloc|jemalloc|tbbmalloc|mimalloc)[\w-]*\.so/,
    functions:
      /^_*(libc_)?(malloc\w*|calloc|realloc|free|cfree|memalign|aligned_alloc|posix_memalign|int_(malloc|free|realloc|memalign)\w*|unlink_chunk\w*|sysmalloc|systrim\w*|malloc_consolidate|tcache_\w+|arena_get2\w*|mmap(64)?|munmap|madvise|mremap|brk|sbrk)$|^operator (new|delete)/,
  },
  {
    category: 'memory',
    name: 'copying and clearing',
    where: 'inner',
    functions: /^_*(mem(cpy|move|set|cmp|pcpy)|bcopy|bzero)(_\w+)?$|^__wmemset_/,
  },
  {
    category: 'memory',
    name: 'page faults and maps, by the kernel',
    where: 'inner',
    functions:
      /^((asm_)?exc_page_fault|do_user_addr_fault|handle_mm_fault|__handle_mm_fault|do_(anonymous_page|fault\w*|wp_page|huge_pmd\w*|numa_page|mmap|munmap|brk_flags|madvise)|clear_(huge_)?page\w*|copy_page\w*|vm_mmap_pgoff|unmap_(region|vmas|page_range)|zap_p\w+|exit_mmap|free_pgtables|__x64_sys_(mmap|munmap|madvise|mremap|brk|mprotect)|do_page_fault|do_mem_abort|try_to_free_pages|shrink_\w+|kswapd|balance_pgdat|compact_zone|khugepaged\w*|migrate_pages\w*|task_numa_work|change_prot_numa)$/,
    kinds: ['kernel'],
  },
  {
    category: 'interpreter',
    name: 'interpreters: CPython, R, Perl, Ruby, Lua, Julia, Octave, Tcl, shells',
    where: 'user',
    modules:
      /^(libpython[\d.]+\w*\.so|python[\d.]*\w*$|libR\.so|libperl\.so|perl[\d.]*$|libruby|ruby[\d.]*$|liblua|lua[\d.]*$|liboctinterp\.so|libtcl|tclsh|(ba|da|z|k|tc)?sh$)/,
    functions:
      /^(_?Py(Eval_|Object_|Obj|Type_|Dict_|List_|Tuple_|Long_|Unicode_|Float_|Frame|Gen_|Number_|Iter_)|_PyEval_|v8::internal::(Interpreter|interpreter|Ignition)|Builtins_Interpreter|Interpreter::|jl_interpret)/,
    kinds: ['native'],
  },
  { category: 'interpreter', name: 'frames of an interpreted language', where: 'leaf', kinds: ['python'] },
  { category: 'kernel', name: 'anything else in the kernel', where: 'leaf', kinds: ['kernel'] },
]

/** The C library and the loader: wrappers around what the program asked for. */
const C_LIBRARY =
  /^(libc|libpthread|librt|libdl|ld-linux[\w-]*|ld-musl[\w-]*|libc-[\d.]+|ld-[\d.]+|libpthread-[\d.]+)\.(so|so\.\d.*)$|^\[vdso\]$/

/** matchFrame gives one bit a rule, and above them: a kernel or C library frame; a frame of which nothing is known. */
const WRAPPER = 1 << 30
const NAMELESS = 1 << 29

export function matchFrame(frame: Pick<Frame, 'function' | 'module' | 'kind'>): number {
  const module = frame.module.slice(frame.module.lastIndexOf('/') + 1)
  if (frame.kind === 'truncated' || (module === '' && /^\[|^$/.test(frame.function))) return NAMELESS
  let bits = frame.kind === 'kernel' || C_LIBRARY.test(module) ? WRAPPER : 0
  RULES.forEach((rule, at) => {
    if (rule.kinds && !rule.kinds.includes(frame.kind)) return
    const named = rule.functions?.test(frame.function) || rule.modules?.test(module)
    if (named || (!rule.functions && !rule.modules)) bits |= 1 << at
  })
  return bits
}

/** The first rule that a stack matches. `matches`: matchFrame() of each frame, leaf first. */
export function ruleOf(matches: readonly number[]): Rule | undefined {
  return firstRule(lookAtAll(matches))
}

export function categoryOf(matches: readonly number[]): Category {
  return categoryBy(lookAtAll(matches))
}

/** What each `where` sees of a stack, and whether any frame of it is known. */
type Seen = Record<Where, number> & { known: boolean }

/** `frames`, of these those `from` .. `to`: which of `matches` the stack is made of, leaf first. */
function look(matches: ArrayLike<number>, frames: ArrayLike<number>, from: number, to: number): Seen {
  const leaf = from < to ? (matches[frames[from] ?? -1] ?? 0) : 0
  const seen: Seen = { any: 0, inner: 0, user: 0, leaf, known: false }
  let outside = false
  for (let at = from; at < to; at++) {
    const bits = matches[frames[at] ?? -1] ?? 0
    seen.any |= bits
    if (bits !== NAMELESS) seen.known = true
    if (outside) continue
    seen.inner |= bits
    outside = (bits & WRAPPER) === 0
    if (outside) seen.user = bits
  }
  return seen
}

function lookAtAll(matches: readonly number[]): Seen {
  const frames = matches.map((_, at) => at)
  return look(matches, frames, 0, frames.length)
}

function firstRule(seen: Seen): Rule | undefined {
  return RULES.find((rule, at) => (seen[rule.where] & (1 << at)) !== 0)
}

function categoryBy(seen: Seen): Category {
  return seen.known ? (firstRule(seen)?.category ?? 'compute') : 'unknown'
}

/** Category of each stack of a window. */
export function classifyStacks(window: StackWindow): Category[] {
  const { offsets, frames } = window.stacks
  const matches = matchFrames(window)
  const categories: Category[] = []
  for (let stack = 0; stack + 1 < offsets.length; stack++)
    categories.push(categoryBy(look(matches, frames, offsets[stack] ?? 0, offsets[stack + 1] ?? 0)))
  return categories
}

/**
 * Most frames of a window were in the one before: what the rules said of them is kept, by kind, module and function. Three looks
 * by names that are there cost less than one by a name that is put together of them, and hashed, for each frame of each window.
 */
const MOST_KNOWN = 1 << 15
let known: Map<string, Map<string, number>>[] = []
let knownFrames = 0

function matchFrames({ frames, strings }: StackWindow): Int32Array {
  if (knownFrames > MOST_KNOWN) {
    known = []
    knownFrames = 0
  }
  return Int32Array.from(frames.function, (name, at) =>
    bitsOf(frames.kind[at] ?? 0, strings[frames.module[at] ?? 0] ?? '', strings[name] ?? ''),
  )
}

function bitsOf(kind: number, module: string, name: string): number {
  const byModule = known[kind] ?? new Map<string, Map<string, number>>()
  const byName = byModule.get(module) ?? new Map<string, number>()
  const bits = byName.get(name)
  if (bits !== undefined) return bits
  const matched = matchFrame({ function: name, module, kind: FRAME_KINDS[kind] ?? 'native' })
  known[kind] = byModule.set(module, byName.set(name, matched))
  knownFrames++
  return matched
}
