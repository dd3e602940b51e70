/**
 * An exome pipeline: every node works through samples with eight slots, and in each slot short programs follow one another -
 * fastp, bwa, samtools, gatk, and the shell's own little ones. Many processes that live for seconds: the case that tools
 * which look once a minute miss.
 */
import { GIB, type Given, type Load, MIB, type Share, type ShareStart, type SimulatedProcess, spend } from '../model.ts'
import { type Mix, mixOf, parseTree, type Tree } from '../trees.ts'
import { bwaText, fastpText, GATK, SHELL, SORT } from './genome-trees.ts'

interface Program {
  name: string
  command: (sample: string) => string
  mix: Mix
  /** Share of the slot's cores it uses. */
  busy: number
  meanSeconds: number
  memoryBytes: number
  readBytesPerSecond: number
  writeBytesPerSecond: number
  threads: number
}

const all = (tree: Tree): Mix => mixOf(tree, Object.fromEntries(tree.groups.map(g => [g, 1])))
const fastp = all(parseTree('fastp', fastpText))
const bwa = mixOf(parseTree('bwa', bwaText), { seed: 46, extend: 41, io: 13 })
const sort = all(parseTree('samtools', SORT))
const gatk = mixOf(parseTree('gatk', GATK), { call: 84, gc: 9, jit: 7 })
const shell = all(parseTree('bash', SHELL))

const bash: Program = {
  name: 'bash',
  command: s => `bash .command.sh ${s}`,
  mix: shell,
  busy: 0.08,
  meanSeconds: 6,
  memoryBytes: 9 * MIB,
  readBytesPerSecond: 4e5,
  writeBytesPerSecond: 1e4,
  threads: 1,
}

const PROGRAMS: readonly Program[] = [
  bash,
  {
    name: 'fastp',
    command: s => `fastp -w 8 -i ${s}_R1.fq.gz -I ${s}_R2.fq.gz -o ${s}.1.fq -O ${s}.2.fq`,
    mix: fastp,
    busy: 0.7,
    meanSeconds: 24,
    memoryBytes: 1.9 * GIB,
    readBytesPerSecond: 4.1e7,
    writeBytesPerSecond: 6.5e7,
    threads: 11,
  },
  {
    name: 'bwa',
    command: s => `bwa mem -t 8 -R @RG\\tID:${s} GRCh38.fa ${s}.1.fq ${s}.2.fq`,
    mix: bwa,
    busy: 0.94,
    meanSeconds: 75,
    memoryBytes: 6.2 * GIB,
    readBytesPerSecond: 2.2e7,
    writeBytesPerSecond: 1.5e7,
    threads: 10,
  },
  {
    name: 'samtools',
    command: s => `samtools sort -@ 8 -m 1G -o ${s}.bam -`,
    mix: sort,
    busy: 0.62,
    meanSeconds: 28,
    memoryBytes: 5.4 * GIB,
    readBytesPerSecond: 5e6,
    writeBytesPerSecond: 4.8e7,
    threads: 9,
  },
  {
    name: 'java',
    command: s =>
      `java -Xmx6G -jar gatk-package-4.5.0.0-local.jar HaplotypeCaller -R GRCh38.fa -I ${s}.bam -O ${s}.g.vcf.gz`,
    mix: gatk,
    busy: 0.42,
    meanSeconds: 62,
    memoryBytes: 5.1 * GIB,
    readBytesPerSecond: 8e6,
    writeBytesPerSecond: 1.1e6,
    threads: 37,
  },
]

const SLOTS = 8

interface Slot {
  step: number
  sample: string
  untilMs: number
  process: SimulatedProcess
  program: Program
}

/** Programs follow one another in a slot; a new round is a new sample. */
function openSlots(given: ShareStart): { first(startMs: number): Slot[]; next(startMs: number, last?: Slot): Slot } {
  const { random } = given
  let samples = given.index * 100
  const next = (startMs: number, last?: Slot): Slot => {
    const step = ((last?.step ?? random.integer(0, PROGRAMS.length) - 1) + 1) % PROGRAMS.length
    const program = PROGRAMS[step] ?? bash
    const sample = last && step > 0 ? last.sample : `S${String(++samples).padStart(4, '0')}`
    const { name, threads } = program
    const process = given.spawn({ name, command: program.command(sample), tree: program.mix.tree, threads, startMs })
    return { step, sample, program, process, untilMs: startMs + 1500 + 1000 * random.exponential(program.meanSeconds) }
  }
  return { next, first: startMs => Array.from({ length: SLOTS }, () => next(startMs)) }
}

function work({ process, program, untilMs }: Slot, { timeMs, stepMs, random }: Given, cores: number, load: Load): void {
  // A program that began within the tick used only the rest of it.
  const lived = Math.min(1, (Math.min(timeMs, untilMs) - process.startMs) / stepMs)
  const busy = Math.min(cores, program.busy * cores * lived * (1 + 0.06 * (random.uniform() - 0.5)))
  spend(process, busy, program.mix, stepMs)
  process.memoryBytes = program.memoryBytes * Math.min(1, 0.3 + (timeMs - process.startMs) / 15_000)
  process.readBytesPerSecond = program.readBytesPerSecond
  process.writeBytesPerSecond = program.writeBytesPerSecond
  load.fabricInBytesPerSecond += program.readBytesPerSecond
  load.fabricOutBytesPerSecond += program.writeBytesPerSecond
  load.cachedBytesPerSecond += 0.02 * program.readBytesPerSecond
  load.runnable += busy
}

function startGenome(given: ShareStart): Share {
  const each = Math.max(1, given.cores / SLOTS)
  const { first, next } = openSlots(given)
  let slots: Slot[] = []
  let processes: SimulatedProcess[] = []
  return {
    get processes() {
      return processes
    },
    spread: given.cores,
    tick(now, load) {
      const { timeMs, stepMs, drift } = now
      if (slots.length === 0) slots = first(timeMs - stepMs)
      let forks = 0
      slots = slots.map(slot => {
        if (slot.untilMs > timeMs) return slot
        forks++
        return next(Math.max(slot.untilMs, timeMs - stepMs), slot)
      })
      processes = slots.map(s => s.process)
      for (const slot of slots) work(slot, now, each, load)
      load.forksPerSecond += (forks * 18) / (stepMs / 1000) + 2 * (1 + 0.3 * drift.at(0))
      load.contextSwitchesPerSecond += 21_000
    },
  }
}

export const genome = {
  name: 'exome',
  command: 'nextflow run exome.nf -profile slurm',
  start: startGenome,
  memoryBytesPerNode: 128 * GIB,
}
