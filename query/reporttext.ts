/**
 * A job's report as text of 80 columns, for someone who was woken by it: what it asked and used, what stands out, where its time
 * went, its nodes and ranks against each other, and how much of the truth this is.
 */
import { bytes } from './advice.ts'
import type { JobReport } from './report.ts'

const WIDTH = 80
const BAR = 24
const SHOWN_NODES = 8
const SHOWN_RANKS = 8

/** Marks up text; without colours each gives it back as it is. */
interface Paint {
  bold(text: string): string
  dim(text: string): string
  bad(text: string): string
  good(text: string): string
}

const plain: Paint = { bold: text => text, dim: text => text, bad: text => text, good: text => text }
const inCode = (code: number) => (text: string) => `\x1b[${code}m${text}\x1b[0m`
const coloured: Paint = { bold: inCode(1), dim: inCode(2), bad: inCode(31), good: inCode(32) }

/** Lines without an end of line. */
export function layoutReport(report: JobReport, options: { colours: boolean; nowMs: number }): string[] {
  const paint = options.colours ? coloured : plain
  const sections = [
    head(report, paint, options.nowMs),
    used(report, paint, options.nowMs),
    findings(report, paint),
    categories(report, paint),
    functions(report, paint),
    nodes(report, paint),
    ranks(report, paint),
    coverage(report, paint),
  ]
  return sections.filter(lines => lines.length > 0).flatMap((lines, i) => (i === 0 ? lines : ['', ...lines]))
}

const BAD_STATES = new Set(['failed', 'timeout', 'out_of_memory', 'node_fail', 'cancelled', 'preempted'])

function head({ detail }: JobReport, paint: Paint, nowMs: number): string[] {
  const { job, record, cluster } = detail
  const state = job.state.replaceAll('_', ' ')
  const exit =
    job.end === null
      ? ''
      : record.signal !== undefined
        ? `, signal ${record.signal}`
        : record.exitCode
          ? `, exit code ${record.exitCode}`
          : ''
  const left = `job ${job.id}  ${shown(job.name)}`
  const right = `${state}${exit}`
  const title = cut(left, WIDTH - right.length - 2)
  const gap = ' '.repeat(Math.max(2, WIDTH - width(title) - right.length))
  const said = (BAD_STATES.has(job.state) ? paint.bad : paint.good)(right)
  const who = [job.user, job.account, job.queue && `queue ${job.queue}`, cluster].filter(Boolean).map(shown)
  const why = record.reason && record.reason !== 'None' ? [`reason: ${shown(record.reason)}`] : []
  const lines = [who.join(' · '), asked(detail), times(detail, nowMs), ...why]
  return [paint.bold(title) + gap + said, ...lines.map(line => cut(line, WIDTH))]
}

function asked({ job, record }: JobReport['detail']): string {
  const plural = (count: number, noun: string) => `${count} ${noun}${count === 1 ? '' : 's'}`
  return [
    plural(job.nodeCount, 'node'),
    plural(job.cores, 'core'),
    job.gpus > 0 ? plural(job.gpus, 'GPU') : '',
    record.memoryBytes ? `${bytes(record.memoryBytes)} of memory` : '',
  ]
    .filter(Boolean)
    .join(', ')
}

function times({ job, record }: JobReport['detail'], nowMs: number): string {
  if (job.start === null) {
    return job.submit === null
      ? 'not started'
      : `waits for ${span((nowMs - job.submit) / 1000)}, since ${clock(job.submit)}`
  }
  const seconds = ((job.end ?? nowMs) - job.start) / 1000
  const limit = record.timeLimitSeconds ? ` of at most ${span(record.timeLimitSeconds)}` : ''
  const ran = job.end === null ? 'runs for' : 'ran for'
  const end = job.end === null ? '' : ` to ${clock(job.end)}`
  return `${ran} ${span(seconds)}${limit}, ${clock(job.start)}${end}`
}

function used({ detail }: JobReport, paint: Paint, nowMs: number): string[] {
  const { job, record, coreSecondsUsed, coreSecondsAllocated, memoryPeakBytes, gpuUtilization, energyJoules } = detail
  if (job.start === null) return []
  const seconds = ((job.end ?? nowMs) - job.start) / 1000
  const mean = coreSecondsUsed === null || seconds <= 0 ? null : coreSecondsUsed / seconds
  const cpu =
    mean === null
      ? ''
      : `${number(mean)} of ${job.cores} cores, ${hours(coreSecondsUsed)} of ${hours(coreSecondsAllocated)} core h`
  const memory =
    memoryPeakBytes === null
      ? ''
      : `${bytes(memoryPeakBytes)}${record.memoryBytes ? ` of ${bytes(record.memoryBytes)}` : ''} at its peak`
  const rows = [bar('CPU', job.cpuEfficiency, cpu, paint), bar('memory', job.memoryEfficiency, memory, paint)]
  if (job.gpus > 0) rows.push(bar('GPU', gpuUtilization, `mean of its ${job.gpus}`, paint))
  if (energyJoules !== null) rows.push(`energy   ${(energyJoules / 3.6e6).toFixed(3)} kWh (CPUs and their memory)`)
  return rows
}

/** `CPU      [######                        ]  21 %  4.2 of 20 cores`; what could not be measured is said, not drawn as 0. */
function bar(name: string, share: number | null, words: string, paint: Paint): string {
  if (share === null) return cut(`${name.padEnd(9)}${paint.dim('not measured')} ${words}`, WIDTH)
  const full = Math.round(Math.min(1, share) * BAR)
  const drawn = `[${'#'.repeat(full)}${' '.repeat(BAR - full)}]`
  return cut(`${name.padEnd(9)}${drawn} ${percent(share)}  ${words}`, WIDTH)
}

function findings({ detail }: JobReport, paint: Paint): string[] {
  if (detail.job.start === null) return []
  if (detail.findings.length === 0) {
    const seen = (detail.coverage ?? 0) >= 0.5
    return [
      paint.bold('What stands out'),
      seen ? '  nothing' : '  nothing can be said: less than half of it was measured',
    ]
  }
  const told = detail.findings.flatMap(({ severity, text }) => {
    const [first = '', ...rest] = wrap(shown(text), WIDTH - 4)
    const mark = severity === 'warning' ? paint.bad('!') : '-'
    return [`  ${mark} ${first}`, ...rest.map(line => `    ${line}`)]
  })
  return [paint.bold('What stands out'), ...told]
}

function categories({ categories: spent }: JobReport, paint: Paint): string[] {
  const total = spent.reduce((sum, c) => sum + c.seconds, 0)
  if (total === 0) return []
  const rows = spent.map(({ category, seconds }) => {
    const length = Math.round((seconds / total) * BAR)
    return `  ${category.padEnd(12)}${percent(seconds / total)} ${'#'.repeat(length)}`
  })
  return [
    paint.bold(`Where ${total < 360 ? `${number(total)} core s` : `${hours(total)} core h`} of samples went`),
    ...rows,
  ]
}

function functions({ functions: table }: JobReport, paint: Paint): string[] {
  const own = table?.functions.filter(f => f.self > 0) ?? []
  if (own.length === 0) return []
  const rows = own.map(({ function: name, module, selfShare, totalShare }) => {
    const place = cut(shown(module), 20)
    return `  ${percent(selfShare)} ${percent(totalShare)}  ${cut(shown(name), WIDTH - 18 - width(place) - 2)}  ${paint.dim(place)}`
  })
  return [paint.bold('Top functions'), paint.dim('    self   total  function  module'), ...rows]
}

function nodes({ nodes: all }: JobReport, paint: Paint): string[] {
  if (all.length < 2) return []
  const busy = (n: (typeof all)[number]) =>
    n.jobCores === null ? Number.POSITIVE_INFINITY : n.jobCores / (n.cores ?? 1)
  const sorted = [...all].sort((a, b) => busy(a) - busy(b))
  const rows = sorted.slice(0, SHOWN_NODES).map(n => {
    const cores =
      n.jobCores === null ? 'not measured' : `${number(n.jobCores)}${n.cores === null ? '' : ` of ${n.cores}`} cores`
    return `  ${cut(n.node, 24).padEnd(25)}${cores.padEnd(20)} ${cut(shown(n.topFunction ?? ''), WIDTH - 50)}`
  })
  return [paint.bold('Nodes, the least busy first'), ...rows, ...others(all.length - SHOWN_NODES, 'node', paint)]
}

function ranks({ ranks: all }: JobReport, paint: Paint): string[] {
  if (all.length < 2) return []
  const least = [...all].sort((a, b) => a.seconds * (1 - a.waitShare) - b.seconds * (1 - b.waitShare))
  const rows = least.slice(0, SHOWN_RANKS).map(r => {
    const where = `${String(r.rank).padStart(6)}  ${cut(r.node, 20).padEnd(21)}`
    return `${where}${`${number(r.seconds)} s`.padStart(10)} ${percent(r.waitShare)} waits  ${cut(shown(r.topFunction ?? ''), WIDTH - 57)}`
  })
  const title = paint.bold('Ranks, those that worked least first')
  return [title, ...rows, ...others(all.length - SHOWN_RANKS, 'rank', paint)]
}

const others = (count: number, noun: string, paint: Paint): string[] =>
  count > 0 ? [paint.dim(`  and ${count} ${noun}${count === 1 ? '' : 's'} more`)] : []

function coverage({ detail, functions: table }: JobReport, paint: Paint): string[] {
  if (detail.job.start === null) return []
  const told = table?.coverage
  const measured =
    detail.coverage == null
      ? 'its nodes were not measured'
      : `${percent(detail.coverage).trim()} of its node time was measured`
  const samples =
    told === undefined || told.samples === 0
      ? 'no stacks'
      : `${told.samples.toLocaleString('en')} samples, ${told.lost.toLocaleString('en')} lost on its nodes, ${percent(told.truncatedShare).trim()} cut, ${percent(told.unnamedShare).trim()} unnamed`
  return wrap(`${measured}; ${samples}`, WIDTH).map(line => paint.dim(line))
}

/** Names come from users: what would move the cursor or change colours is shown as a question mark. */
const shown = (text: string): string => text.replace(/\p{C}+/gu, '?')

/** What a terminal shows of it: colours take no room. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: that is what colours begin with
const width = (text: string): number => [...text.replace(/\x1b\[\d+m/g, '')].length
const cut = (text: string, columns: number): string =>
  width(text) <= columns ? text : `${[...text].slice(0, Math.max(1, columns - 1)).join('')}…`

function wrap(text: string, columns: number): string[] {
  const lines: string[] = []
  for (const word of text.split(' ')) {
    const last = lines.at(-1)
    if (last !== undefined && width(last) + 1 + width(word) <= columns) lines[lines.length - 1] = `${last} ${word}`
    else lines.push(cut(word, columns))
  }
  return lines
}

const percent = (share: number): string => `${(share * 100).toFixed(share < 0.0995 && share > 0 ? 1 : 0).padStart(4)} %`
const number = (value: number): string => (value < 10 ? value.toFixed(1) : Math.round(value).toString())
const hours = (seconds: number | null): string => (seconds === null ? '?' : number(seconds / 3600))
const clock = (ms: number): string => new Date(ms).toISOString().slice(0, 19).replace('T', ' ')

function span(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds))
  if (whole < 120) return `${whole} s`
  const [d, h, m] = [Math.floor(whole / 86_400), Math.floor(whole / 3600) % 24, Math.floor(whole / 60) % 60]
  return d > 0 ? `${d} d ${h} h` : h > 0 ? `${h} h ${m} min` : `${m} min`
}
