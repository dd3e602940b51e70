/**
 * A Python training script on NumPy and OpenBLAS, one process a node and two that prepare batches. Epochs of six minutes; at
 * the end of each a short validation on few cores and a snapshot by pickle. Python frames stand above native ones, as
 * a sampler that knows the interpreter shows them.
 */
import { GIB, MINUTE, type Share, type ShareStart, type SimulatedProcess, spend } from '../model.ts'
import { graft, type Mix, mixOf, parseTree } from '../trees.ts'
import { pageFault, syscall } from './shared.ts'

const gemm = (weight: number): string => `
array_matmul @_multiarray_umath.cpython-311-x86_64-linux-gnu.so
  cblas_matrixproduct
    cblas_sgemm64_ @libopenblas64_p-r0.3.26.so
      inner_thread = blas ${weight * 0.12}
        sgemm_kernel_SKYLAKEX = blas ${weight * 0.76}
        sgemm_incopy_SKYLAKEX = blas ${weight * 0.12}
`

const tree = parseTree(
  'train.py',
  `
_start @python3.11
  __libc_start_call_main @libc.so.6
    Py_BytesMain @python3.11
      pymain_run_file_obj = start 20
        <module> @python train.py:214 = start 20
          import_model @python train.py:9 = start 30
            dlopen_doit @libc.so.6 = start 30
          main @python train.py:188
            train_epoch @python train.py:121 = python 8
              forward @python model.py:58 = python 6
                relu @python model.py:31
                  FLOAT_maximum_AVX512_SKX @_multiarray_umath.cpython-311-x86_64-linux-gnu.so = elementwise 26
                linear @python model.py:22
                  ${graft(18, gemm(14))}
              backward @python model.py:93 = python 9
                ${graft(16, gemm(20))}
                FLOAT_multiply_AVX512_SKX @_multiarray_umath.cpython-311-x86_64-linux-gnu.so = elementwise 22
                FLOAT_add_reduce @_multiarray_umath.cpython-311-x86_64-linux-gnu.so = elementwise 14
              adam_step @python optim.py:47 = python 5
                FLOAT_sqrt_AVX512_SKX @_multiarray_umath.cpython-311-x86_64-linux-gnu.so = elementwise 18
                FLOAT_divide_AVX512_SKX @_multiarray_umath.cpython-311-x86_64-linux-gnu.so = elementwise 12
                ${graft(16, pageFault('elementwise', 8))}
              next_batch @python loader.py:77 = python 4
                get @python queue.py:171
                  pthread_cond_timedwait @libc.so.6
                    ${syscall(20, '__x64_sys_futex = python 2')}
            validate @python train.py:152 = validate 20
              forward @python model.py:58 = validate 30
                ${graft(16, gemm(50)).replaceAll('= blas', '= validate')}
            save_snapshot @python train.py:170 = snapshot 10
              dump @python pickle.py:480
                _pickle_Pickler_dump @_pickle.cpython-311-x86_64-linux-gnu.so = snapshot 30
                  __write @libc.so.6
                    ${syscall(20, 'ksys_write\n  ll_file_write_iter = snapshot 60')}
__clone3 @libc.so.6
  start_thread
    blas_thread_server @libopenblas64_p-r0.3.26.so
      exec_blas_async_wait = spin 30
        __sched_yield @libc.so.6
          ${syscall(10, '__x64_sys_sched_yield = spin 20')}
      inner_thread = blas 8
        sgemm_kernel_SKYLAKEX = blas 52
        sgemm_incopy_SKYLAKEX = blas 6
`,
)

const loaderTree = parseTree(
  'loader.py',
  `
_start @python3.11
  __libc_start_call_main @libc.so.6
    Py_BytesMain @python3.11
      <module> @python loader.py:1
        worker_loop @python loader.py:112 = work 6
          decode @python loader.py:64 = work 9
            jpeg_decompress @libjpeg.so.62
              decode_mcu = work 24
              jsimd_idct_islow_avx2 = work 21
              h2v2_fancy_upsample = work 9
          augment @python loader.py:88 = work 8
            array_take @_multiarray_umath.cpython-311-x86_64-linux-gnu.so = work 11
          put @python queue.py:140 = work 2
            __write @libc.so.6
              ${syscall(14, 'pipe_write = work 10')}
`,
)

const START = mixOf(tree, { start: 1 })
const EPOCH = mixOf(tree, { blas: 62, spin: 14, elementwise: 18, python: 6 })
const VALIDATE = mixOf(tree, { validate: 1 })
const SNAPSHOT = mixOf(tree, { snapshot: 1 })
const LOAD = mixOf(loaderTree, { work: 1 })

type Phase = 'starting' | 'epoch' | 'validating' | 'saving'

function phaseAt(ageMs: number): Phase {
  if (ageMs < 30_000) return 'starting'
  const inEpoch = ageMs % (6 * MINUTE)
  if (inEpoch < 330_000) return 'epoch'
  return inEpoch < 350_000 ? 'validating' : 'saving'
}

const MIXES: Record<Phase, Mix> = { starting: START, epoch: EPOCH, validating: VALIDATE, saving: SNAPSHOT }
const CORES: Record<Exclude<Phase, 'epoch'>, number> = { starting: 1, validating: 9, saving: 0.8 }

function spawnTraining(given: ShareStart): { trainer: SimulatedProcess; loaders: SimulatedProcess[] } {
  const { job, index, cores } = given
  const common = { name: 'python3', step: '0', rank: index }
  const command = `python3 -u train.py --config ${job.name}.yaml --epochs 90`
  const trainer = given.spawn({ ...common, command, tree, threads: cores + 3 })
  const loaders = [0, 1].map(worker =>
    given.spawn({
      ...common,
      command: `python3 -u loader.py --worker ${worker}`,
      tree: loaderTree,
      threads: 2,
      parentPid: trainer.pid,
    }),
  )
  return { trainer, loaders }
}

function startTraining(given: ShareStart): Share {
  const { cores, random } = given
  const { trainer, loaders } = spawnTraining(given)
  const resident = 46 * GIB * (1 + 0.02 * random.gauss())
  return {
    processes: [trainer, ...loaders],
    spread: cores,
    tick({ ageMs, stepMs, drift }, load) {
      const phase = phaseAt(ageMs)
      const loading = phase === 'epoch' || phase === 'validating'
      const busy = phase === 'epoch' ? (cores - 4) * (0.86 + 0.02 * drift.at(0)) : CORES[phase]
      spend(trainer, busy, MIXES[phase], stepMs)
      trainer.memoryBytes = resident * (phase === 'starting' ? 0.2 : 1)
      trainer.writeBytesPerSecond = phase === 'saving' ? 1.4e8 : 900
      loaders.forEach((p, w) => {
        spend(p, loading ? 0.82 + 0.06 * drift.at(1 + w) : 0.02, LOAD, stepMs)
        p.memoryBytes = 1.1 * GIB
        p.readBytesPerSecond = loading ? 2.2e7 * (1 + 0.1 * drift.at(3 + w)) : 0
      })
      load.fabricInBytesPerSecond += loading ? 4.6e7 * (1 + 0.1 * drift.at(5)) : 1e6
      load.fabricOutBytesPerSecond += phase === 'saving' ? 1.4e8 : 3e6
      load.contextSwitchesPerSecond += phase === 'starting' ? 2000 : 95_000
      load.runnable += busy + 2
      load.cachedBytesPerSecond += 4e6
    },
  }
}

export const training = {
  name: 'train.py',
  command: 'srun python3 -u train.py',
  start: startTraining,
  memoryBytesPerNode: 64 * GIB,
}
