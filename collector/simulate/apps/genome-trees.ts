/** The call trees of the exome pipeline's programs. */
import { graft } from '../trees.ts'
import { pageFault, syscall } from './shared.ts'

export const fastpText = `
__clone3 @libc.so.6
  start_thread
    ReaderThread::run() @fastp src/peprocessor.cpp:812
      FastqReader::read() src/fastqreader.cpp:190 = work 6
        igzip_inflate @libisal.so.2
          decode_huffman_code_block_stateless_04 = work 27
        __read @libc.so.6
          ${syscall(10, 'ksys_read\n  ll_file_read_iter = work 7')}
    PairEndProcessor::processPairEnd() @fastp src/peprocessor.cpp:391 = work 4
      AdapterTrimmer::trimByOverlapAnalysis() src/adaptertrimmer.cpp:57 = work 13
      Stats::statRead(Read*) src/stats.cpp:212 = work 22
      OverlapAnalysis::analyze() src/overlapanalysis.cpp:19 = work 12
      ${graft(6, pageFault('work', 9))}
`

export const bwaText = `
_start @bwa
  __libc_start_call_main @libc.so.6
    main @bwa main.c:108
      main_mem fastmap.c:391
        kt_pipeline kthread.c:166
          process fastmap.c:81
            bseq_read bwa.c:69 = io 22
              gzread @libz.so.1
                inflate_fast = io 40
            err_fputs @bwa utils.c:231
              __write @libc.so.6
                ${syscall(16, 'ksys_write\n  pipe_write = io 38')}
__clone3 @libc.so.6
  start_thread
    ktf_worker @bwa kthread.c:42
      worker1 bwamem.c:1178
        mem_align1_core bwamem.c:1081 = seed 2
          mem_chain bwamem.c:268 = seed 3
            mem_collect_intv bwamem.c:133
              bwt_smem1a bwt.c:289 = seed 8
                bwt_extend bwt.c:232 = seed 11
                  bwt_2occ4 bwt.c:187 = seed 58
              bwt_seed_strategy1 bwt.c:360 = seed 4
            bwt_sa bwt.c:94 = seed 14
          mem_chain2aln bwamem.c:655 = extend 4
            ksw_extend2 ksw.c:378 = extend 66
      worker2 bwamem.c:1195
        mem_sam_pe bwamem_pair.c:265
          mem_matesw bwamem_pair.c:142
            ksw_align2 ksw.c:347
              ksw_u8 ksw.c:111 = extend 22
          mem_reg2sam bwamem.c:1018 = extend 8
`

export const SORT = `
_start @samtools
  __libc_start_call_main @libc.so.6
    main @samtools bamtk.c:280
      main_samsort bam_sort.c:3420
        bam_sort_core_ext bam_sort.c:3105 = work 3
          sam_read1 @libhts.so.3
            sam_parse1 = work 26
          bam_merge_simple @samtools bam_sort.c:1550 = work 6
            ks_heapadjust_heap bam_sort.c:402 = work 9
__clone3 @libc.so.6
  start_thread
    worker @samtools bam_sort.c:2710
      ks_radixsort bam_sort.c:2501 = work 17
    tpool_worker @libhts.so.3
      bgzf_encode_func
        bgzf_compress
          libdeflate_deflate_compress @libdeflate.so.0
            deflate_compress_lazy = work 31
      bgzf_mt_writer @libhts.so.3
        hwrite2
          __write @libc.so.6
            ${syscall(12, 'ksys_write\n  ll_file_write_iter = work 8')}
`

export const GATK = `
__clone3 @libc.so.6 :: main
  start_thread
    ThreadJavaMain @libjli.so
      JavaMain
        jni_CallStaticVoidMethod @libjvm.so
          org.broadinstitute.hellbender.Main.main @java Main.java:289
            tools.walkers.haplotypecaller.HaplotypeCaller.apply HaplotypeCaller.java:277
              HaplotypeCallerEngine.callRegion HaplotypeCallerEngine.java:652 = call 3
                AssemblyBasedCallerUtils.assembleReads AssemblyBasedCallerUtils.java:339 = call 4
                  ReadThreadingGraph.buildGraphIfNecessary ReadThreadingGraph.java:214 = call 17
                  SmithWatermanAlignment.align SmithWatermanIntelAligner.java:40
                    runSWOnePairBT_avx512 @libgkl_smithwaterman.so = call 11
                PairHMMLikelihoodCalculationEngine.computeReadLikelihoods @java PairHMMLikelihoodCalculationEngine.java:188 = call 4
                  compute_full_prob_avx512s @libgkl_pairhmm_omp.so = call 47
                GenotypingEngine.calculateGenotypes @java GenotypingEngine.java:133 = call 14
[truncated] @truncated :: main
  GenotypingEngine.calculateGenotypes @java GenotypingEngine.java:133
    AlleleFrequencyCalculator.calculate AlleleFrequencyCalculator.java:71 = call 3
__clone3 @libc.so.6 :: GC Thread#0
  start_thread
    thread_native_entry @libjvm.so
      WorkerThread::run()
        G1ParScanThreadState::steal_and_trim_queue(G1ScannerTasksQueueSet*) = gc 60
          G1ParScanThreadState::do_copy_to_survivor_space(G1HeapRegionAttr, oop, markWord) = gc 40
__clone3 @libc.so.6 :: C2 CompilerThread0
  start_thread
    thread_native_entry @libjvm.so
      CompileBroker::compiler_thread_loop()
        C2Compiler::compile_method(ciEnv*, ciMethod*, int, bool, DirectiveSet*)
          PhaseIdealLoop::build_and_optimize() = jit 55
          PhaseChaitin::Register_Allocate() = jit 45
`

export const SHELL = `
_start @bash
  __libc_start_call_main @libc.so.6
    main @bash
      reader_loop
        execute_command_internal = work 12
          expand_word_list_internal = work 16
          make_child
            __libc_fork @libc.so.6
              ${syscall(14, '__do_sys_clone\n  kernel_clone\n    copy_process\n      dup_mm = work 31')}
          shell_execve @bash
            __execve @libc.so.6
              ${syscall(14, '__x64_sys_execve\n  do_execveat_common\n    load_elf_binary = work 23')}
      ${graft(6, pageFault('work', 18))}
`
