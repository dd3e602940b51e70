/** Stacks of the mock applications, as folded text with shares, and the trees of the API made from them. */
import type { Flame } from '../../../query/api.ts'
import type { Tree } from '../../../ui/layout/flame.ts'
import { callers, invert, transformTree } from '../../../ui/layout/transform.ts'
import type { App } from './world.ts'

const LIBC = 'libc.so.6'
const MPI = 'libmpi.so.40'
const K = '[kernel.kallsyms]'

/** `frame@module;frame@module share`; frames of [kernel…] are kind kernel, of python modules kind python. */
const STACKS: Readonly<Record<App, readonly string[]>> = {
  md: [
    `_start@gmx;main@gmx;mdrunner@gmx;do_md@gmx;do_force@gmx;nbnxn_kernel_ElecEw_VdwLJ_F_4xM@gmx 38`,
    `_start@gmx;main@gmx;mdrunner@gmx;do_md@gmx;do_force@gmx;nbnxn_kernel_ElecEw_VdwLJ_VF_4xM@gmx 6`,
    `_start@gmx;main@gmx;mdrunner@gmx;do_md@gmx;do_force@gmx;gmx_pme_do@gmx;gmx_parallel_3dfft_execute@gmx;fftwf_execute@libfftw3f.so.3;n1fv_64@libfftw3f.so.3 9`,
    `_start@gmx;main@gmx;mdrunner@gmx;do_md@gmx;do_force@gmx;gmx_pme_do@gmx;gmx_parallel_3dfft_execute@gmx;fft5d_execute@gmx;MPI_Alltoall@${MPI};ompi_coll_base_alltoall@${MPI};ompi_request_default_wait_all@${MPI};opal_progress@libopen-pal.so.40;uct_mm_iface_progress@libuct.so.0 8`,
    `_start@gmx;main@gmx;mdrunner@gmx;do_md@gmx;do_force@gmx;gmx_pme_do@gmx;spread_q_bsplines@gmx 7`,
    `_start@gmx;main@gmx;mdrunner@gmx;do_md@gmx;do_force@gmx;gmx_pme_do@gmx;gather_f_bsplines@gmx 5`,
    `_start@gmx;main@gmx;mdrunner@gmx;do_md@gmx;update_constraints@gmx;csettle@gmx 4`,
    `_start@gmx;main@gmx;mdrunner@gmx;do_md@gmx;update_constraints@gmx;do_lincs@gmx;GOMP_barrier@libgomp.so.1;futex_wait@libgomp.so.1 3`,
    `_start@gmx;main@gmx;mdrunner@gmx;do_md@gmx;global_stat@gmx;MPI_Allreduce@${MPI};ompi_coll_tuned_allreduce@${MPI};opal_progress@libopen-pal.so.40 7`,
    `_start@gmx;main@gmx;mdrunner@gmx;do_md@gmx;nbnxn_make_pairlist@gmx;make_cluster_list_simple@gmx 6`,
    `_start@gmx;main@gmx;mdrunner@gmx;do_md@gmx;write_traj@gmx;fwrite@${LIBC};write@${LIBC};entry_SYSCALL_64@${K};ksys_write@${K};vfs_write@${K};xfs_file_write_iter@${K};copy_from_iter@${K} 1`,
    `_start@gmx;main@gmx;mdrunner@gmx;do_md@gmx;gmx+0x3fa21c@gmx 1`,
  ],
  cfd: [
    `main@simpleFoam;Foam::fvMatrix::solve@libfiniteVolume.so;Foam::GAMGSolver::solve@libOpenFOAM.so;Foam::GAMGSolver::Vcycle@libOpenFOAM.so;Foam::GaussSeidelSmoother::smooth@libOpenFOAM.so 31`,
    `main@simpleFoam;Foam::fvMatrix::solve@libfiniteVolume.so;Foam::GAMGSolver::solve@libOpenFOAM.so;Foam::GAMGSolver::Vcycle@libOpenFOAM.so;Foam::lduMatrix::Amul@libOpenFOAM.so 17`,
    `main@simpleFoam;Foam::fvMatrix::solve@libfiniteVolume.so;Foam::GAMGSolver::solve@libOpenFOAM.so;Foam::UPstream::waitRequests@libPstream.so;MPI_Waitall@${MPI};opal_progress@libopen-pal.so.40 13`,
    `main@simpleFoam;Foam::incompressible::turbulence::correct@libturbulence.so;Foam::fvc::grad@libfiniteVolume.so 15`,
    `main@simpleFoam;Foam::incompressible::turbulence::correct@libturbulence.so;Foam::kOmegaSST::F1@libturbulence.so;pow@libm.so.6 9`,
    `main@simpleFoam;Foam::fvm::div@libfiniteVolume.so;Foam::surfaceInterpolation::weights@libfiniteVolume.so 8`,
    `main@simpleFoam;Foam::Time::write@libOpenFOAM.so;deflate@libz.so.1 4`,
    `main@simpleFoam;operator new@libstdc++.so.6;malloc@${LIBC};sysmalloc@${LIBC};brk@${LIBC};do_brk_flags@${K};clear_page_erms@${K} 3`,
  ],
  io: [
    `main@regrid;nc_get_vara_float@libnetcdf.so.19;H5Dread@libhdf5.so.200;H5D__chunk_read@libhdf5.so.200;H5Z_filter_deflate@libhdf5.so.200;inflate@libz.so.1 41`,
    `main@regrid;nc_get_vara_float@libnetcdf.so.19;H5Dread@libhdf5.so.200;H5FD_sec2_read@libhdf5.so.200;pread64@${LIBC};ksys_pread64@${K};vfs_read@${K};copy_page_to_iter@${K} 27`,
    `main@regrid;interpolate@regrid 19`,
    `main@regrid;nc_put_vara_float@libnetcdf.so.19;H5Dwrite@libhdf5.so.200;deflate@libz.so.1 13`,
  ],
  ml: [
    `_start@python3.11;<module>@train.py;main@train.py;train_epoch@train.py;__next__@dataloader.py;fetch@fetch.py;__getitem__@dataset.py;decode@image.py;jpeg_read_scanlines@libjpeg.so.62 44`,
    `_start@python3.11;<module>@train.py;main@train.py;train_epoch@train.py;forward@resnet.py;conv2d@functional.py;cudaLaunchKernel@libcudart.so.12 12`,
    `_start@python3.11;<module>@train.py;main@train.py;train_epoch@train.py;backward@autograd.py;cudaStreamSynchronize@libcudart.so.12;sched_yield@${LIBC} 26`,
    `_start@python3.11;<module>@train.py;main@train.py;train_epoch@train.py;collate@dataloader.py;memcpy@${LIBC} 18`,
  ],
  hog: [
    `main@spades;build_graph@spades;kmer_count@spades;insert@spades;page_fault@${K};clear_page_erms@${K} 37`,
    `main@spades;build_graph@spades;kmer_count@spades;hash_kmer@spades 48`,
    `main@spades;read_fastq@spades;inflate@libz.so.1 15`,
  ],
  idle: [`main@bash;readline@libreadline.so.8;select@${LIBC} 3`],
  post: [
    `_start@python3.11;<module>@plot.py;render@plot.py;draw@figure.py;agg_draw_path@_agg.so 61`,
    `_start@python3.11;<module>@plot.py;load@plot.py;read_csv@pandas.py;parse@parsers.so 39`,
  ],
}

const kindOf = (module: string) =>
  module.startsWith('[kernel') ? 'kernel' : module.endsWith('.py') ? 'python' : 'native'

interface Growing {
  strings: string[]
  kinds: string[]
  nodes: { parent: number; fn: number; module: number; kind: number; self: number; samples: number }[]
  children: Map<string, number>
}
const word = (list: string[], s: string) => (list.includes(s) ? list.indexOf(s) : list.push(s) - 1)

function addStack(g: Growing, folded: string, scale: number, hz: number): void {
  const cut = folded.lastIndexOf(' ')
  const seconds = Number(folded.slice(cut + 1)) * scale
  let at = 0
  for (const frame of folded.slice(0, cut).split(';')) {
    const split = frame.lastIndexOf('@')
    const [fn, module] = [word(g.strings, frame.slice(0, split)), word(g.strings, frame.slice(split + 1))]
    const key = `${at} ${fn} ${module}`
    let child = g.children.get(key)
    if (child === undefined) {
      const kind = word(g.kinds, kindOf(frame.slice(split + 1)))
      child = g.nodes.push({ parent: at, fn, module, kind, self: 0, samples: 0 }) - 1
      g.children.set(key, child)
    }
    at = child
  }
  const leaf = g.nodes[at]
  if (leaf) {
    leaf.self += seconds
    leaf.samples += seconds > 0 ? Math.max(1, Math.round(seconds * hz)) : 0
  }
}

/** `apps`: CPU seconds spent by each application in the scope. */
export function treeOf(apps: Partial<Record<App, number>>): Tree {
  const g: Growing = { strings: ['all', ''], kinds: ['native'], nodes: [], children: new Map() }
  g.nodes.push({ parent: -1, fn: 0, module: 1, kind: 0, self: 0, samples: 0 })
  for (const [app, seconds] of Object.entries(apps) as [App, number][]) {
    const all = STACKS[app].reduce((sum, s) => sum + Number(s.slice(s.lastIndexOf(' '))), 0)
    for (const s of STACKS[app]) addStack(g, s, seconds / all, 19)
  }
  const column = (pick: (n: Growing['nodes'][number]) => number) => g.nodes.map(pick)
  const total = column(n => n.self)
  const samples = column(n => n.samples)
  for (let i = g.nodes.length - 1; i > 0; i--) {
    const p = g.nodes[i]?.parent ?? 0
    total[p] = (total[p] ?? 0) + (total[i] ?? 0)
    samples[p] = (samples[p] ?? 0) + (samples[i] ?? 0)
  }
  const tree: Tree = {
    parent: Int32Array.from(column(n => n.parent)),
    fn: Int32Array.from(column(n => n.fn)),
    module: Int32Array.from(column(n => n.module)),
    kind: Int32Array.from(column(n => n.kind)),
    self: Float64Array.from(column(n => n.self)),
    total: Float64Array.from(total),
    samples: Float64Array.from(samples),
    strings: g.strings,
    kinds: g.kinds,
  }
  return transformTree(tree, [])
}

/** The flat arrays of GET /flame. */
export function flameArrays(tree: Tree, direction: 'topdown' | 'bottomup', fn: string | undefined) {
  let t = tree
  if (fn !== undefined) t = direction === 'topdown' ? transformTree(tree, [{ kind: 'focus', fn }]) : callers(tree, fn)
  else if (direction === 'bottomup') t = invert(tree)
  const arrays: Flame['tree'] = {
    parent: [...t.parent],
    function: [...t.fn],
    module: [...t.module],
    kind: [...t.kind],
    self: [...t.self],
    total: [...t.total],
    samples: [...t.samples],
  }
  return { strings: [...t.strings], kinds: [...t.kinds], tree: arrays, seconds: t.total[0] ?? 0 }
}
