// Range questions on the values that the ingest bench sent: what each costs the process that answers, ours beside its rivals'.
//
// Asked over HTTP by a process of its own, a window that was not asked before each time, and VictoriaMetrics without its cache.
import { spawn } from 'node:child_process'
import http from 'node:http'

const RUNS = 30
/** A node as the node page asks it: what it shows of a node on one axis. */
const SHOWN = [
  ['cpu_user', 'system_cpu_utilization', '{cpu_mode="user",node="N"}'],
  ['cpu_system', 'system_cpu_utilization', '{cpu_mode="system",node="N"}'],
  ['cpu_iowait', 'system_cpu_utilization', '{cpu_mode="iowait",node="N"}'],
  ['load_1m', 'system_cpu_load_average_1m', '{node="N"}'],
  ['memory_available', 'system_linux_memory_available', '{node="N"}'],
  ['memory_dirty', 'system_linux_memory_dirty', '{node="N"}'],
]

const range = (expression, { from, to }, stepMs) =>
  `/query_range?nocache=1&query=${encodeURIComponent(expression)}&start=${from / 1000}&end=${to / 1000}&step=${stepMs / 1000}`

/** Of each question what is asked of us, and of a Prometheus API. */
const QUESTIONS = [
  {
    name: 'six metrics of a node',
    ours: ({ from, to }, node, buckets) => [
      `/api/v1/series?node=${node}&metrics=${SHOWN.map(s => s[0]).join(',')}&buckets=${buckets}&from=${from}&to=${to}`,
    ],
    theirs: (window, node, stepMs) =>
      SHOWN.map(([, name, where]) => range(`${name}${where.replace('N', node)}`, window, stepMs)),
  },
  {
    name: 'a metric of all nodes',
    ours: ({ from, to }, _, buckets) => [
      `/api/v1/heatmap?metric=memory_available&buckets=${buckets}&from=${from}&to=${to}`,
    ],
    theirs: (window, _, stepMs) => [range('system_linux_memory_available', window, stepMs)],
  },
  {
    name: 'the mean of all nodes',
    ours: (window, _, __, stepMs) => [
      `/prometheus/api/v1${range('avg(jobsight_node_memory_available)', window, stepMs)}`,
    ],
    theirs: (window, _, stepMs) => [range('avg(system_linux_memory_available)', window, stepMs)],
  },
]

/** Prints CPU ms a question. `cpuSeconds` is the answering process's; `base` its address, and for a rival that of its Prometheus API. */
export async function measureRanges({ who, base, kind, from, to, stepMs, nodes, cpuSeconds, say }) {
  for (let q = 0; q < QUESTIONS.length; q++) {
    const asked = { base, kind, q, from, to, stepMs, nodes }
    await ask({ ...asked, runs: 3 })
    const before = cpuSeconds()
    const { ms, bytes } = await ask({ ...asked, runs: RUNS })
    const cpu = ((cpuSeconds() - before) * 1000) / RUNS
    say(
      `${who}: ${QUESTIONS[q].name}`,
      `${cpu.toFixed(1)} CPU ms, ${ms.toFixed(0)} ms, ${(bytes / 1024).toFixed(0)} KiB`,
    )
  }
}

function ask(asked) {
  const child = spawn(process.execPath, [new URL(import.meta.url).pathname, JSON.stringify(asked)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let text = ''
  child.stdout.on('data', more => {
    text += more
  })
  return new Promise((ok, no) => {
    child.on('close', code => (code === 0 ? ok(JSON.parse(text)) : no(new Error(`the asker ended with ${code}`))))
  })
}

const get = (url, agent) =>
  new Promise((ok, no) => {
    const request = http.get(url, { agent }, answer => {
      const parts = []
      answer.on('data', part => parts.push(part))
      answer.on('end', () => {
        const body = Buffer.concat(parts)
        if (answer.statusCode === 200) ok(body)
        else no(new Error(`${url}: ${answer.statusCode} ${body.toString().slice(0, 300)}`))
      })
    })
    request.on('error', no)
  })

/** The windows of a run are a tick apart, so that none is a kept answer. */
async function askAll({ base, kind, q, from, to, stepMs, nodes, runs }) {
  const agent = new http.Agent({ keepAlive: true })
  const span = to - from - (RUNS + 3) * stepMs
  let bytes = 0
  const started = performance.now()
  for (let run = 0; run < runs; run++) {
    const end = to - stepMs * (runs === RUNS ? run : RUNS + run)
    const window = { from: end - span, to: end }
    const node = `n${String(1 + ((run * 131) % nodes)).padStart(4, '0')}`
    const question = QUESTIONS[q]
    const paths =
      kind === 'ours'
        ? question.ours(window, node, Math.ceil(span / stepMs), stepMs)
        : question.theirs(window, node, stepMs)
    const bodies = await Promise.all(paths.map(path => get(base + path, agent)))
    bytes += bodies.reduce((sum, body) => sum + body.length, 0)
    if (bodies.some(body => /"result":\[\]|"series":\[\]/.test(body.subarray(0, 400))))
      throw new Error(`${paths[0]} has no values`)
  }
  agent.destroy()
  process.stdout.write(JSON.stringify({ ms: (performance.now() - started) / runs, bytes: bytes / runs }))
}

if (process.argv[1] === new URL(import.meta.url).pathname) await askAll(JSON.parse(process.argv[2]))
