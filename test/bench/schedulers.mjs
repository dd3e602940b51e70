/**
 * What knowing the jobs costs: a poll of a large queue (the captured jobs, repeated to --jobs on --nodes nodes) in every form
 * that is read; whether memory stays as it is while --churn polls see a tenth of 1000 jobs end and as many begin; and pid -> job
 * for every process of this machine.
 *
 *   npm run build && node test/bench/schedulers.mjs [--jobs 10000] [--nodes 1000] [--polls 5] [--churn 2000]
 *
 * The commands are `cat`s of files of the right size, so what the controller itself takes is not in it; facts measured on a
 * real Slurm 22.05 with 520 jobs: 118 ms and 2 ms of slurmctld's CPU for JSON, 16 ms for text.
 */
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

const { values } = parseArgs({
  options: {
    jobs: { type: 'string', default: '10000' },
    nodes: { type: 'string', default: '1000' },
    polls: { type: 'string', default: '5' },
    churn: { type: 'string', default: '2000' },
  },
})
const [JOBS, NODES, POLLS, CHURN] = [values.jobs, values.nodes, values.polls, values.churn].map(Number)
const dist = name => import(new URL(`../../dist/collector/${name}.js`, import.meta.url))
const fixture = name => readFileSync(new URL(`../fixtures/${name}`, import.meta.url), 'utf8')
const log = { info() {}, warn: console.error, error: console.error }

const directory = mkdtempSync(join(tmpdir(), 'bench-'))
const file = (name, text) => {
  writeFileSync(join(directory, name), text)
  return join(directory, name)
}
const command = (name, script) => chmodSync(file(name, `#!/bin/sh\n${script}\n`), 0o755)
setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc')
const say = line => process.stdout.write(`${line}\n`)
const times = (count, make) => Array.from({ length: count }, (_, i) => make(i))

function slurm() {
  const queue = JSON.parse(fixture('slurm/22.05/squeue.json'))
  const live = queue.jobs.filter(job => job.job_state === 'RUNNING')
  const jobs = times(JOBS, i => ({
    ...live[i % live.length],
    job_id: 1000 + i,
    array_job_id: 0,
    array_task_id: null,
    array_task_string: '',
    het_job_id: 0,
  }))
  const [node] = JSON.parse(fixture('slurm/22.05/sinfo.json')).nodes
  const nodes = times(NODES, i => ({ ...node, name: `n${i}`, hostname: `n${i}` }))
  file('squeue.json', JSON.stringify({ ...queue, jobs }, null, 1))
  file('sinfo.json', JSON.stringify({ meta: {}, errors: [], nodes }, null, 1))
  const cells = fixture('slurm/22.05/squeue.marked').split('\x1fMARK\x1f')
  const rows = times((cells.length - 1) / 24, i => cells.slice(24 * i, 24 * i + 24))
  const row = rows.find(r => r[2] === 'N/A' && r[3] === 'N/A' && r[5] === 'RUNNING')
  file('squeue.text', times(JOBS, i => [String(1000 + i), ...row.slice(1)].map(cell => `${cell}@`).join('')).join('\n'))
  file(
    'sinfo.text',
    times(NODES, i => [`n${i}`, `n${i}`, `n${i}`, 'idle', '8', 'main', 'none'].map(cell => `${cell}@`).join('')).join(
      '\n',
    ),
  )
  // The mark of the poll stands in the arguments; the file has @ for it.
  const marked = name =>
    `mark=$(printf %s "$*" | sed 's/.*:\\(.[0-9a-f]*.\\).*/\\1/'); exec sed "s/@/$mark/g" ${directory}/${name}.text`
  for (const name of ['squeue', 'sinfo'])
    command(
      name,
      `case "$*" in --version) echo slurm 22.05.8;; --json) exec cat ${directory}/${name}.json;; *) ${marked(name)};; esac`,
    )
}

function pbs() {
  const head = fixture('pbs/running.qstat-tf.json')
  const [, body = ''] = /"Jobs":\t\{\n(.*?\n\t\t\}),\n/s.exec(head) ?? []
  const jobs = times(JOBS, i => body.replace(/^\t\t"[^"]+"/, `\t\t"${i}.pbs01"`)).join(',\n')
  file('qstat.json', `{\n\t"timestamp":\t1,\n\t"pbs_server":\t"pbs01",\n\t"Jobs":\t{\n${jobs}\n\t}\n}\n`)
  const nodes = times(
    NODES,
    i =>
      `\t\t"n${i}":\t{\n\t\t\t"state":\t"free",\n\t\t\t"resources_available":\t{\n\t\t\t\t"host":\t"n${i}",\n\t\t\t\t"ncpus":\t8\n\t\t\t}\n\t\t}`,
  )
  file('pbsnodes.json', `{\n\t"nodes":\t{\n${nodes.join(',\n')}\n\t}\n}\n`)
  command('qstat', `case "$*" in --version) echo pbs_version = 23.06.06;; *) exec cat ${directory}/qstat.json;; esac`)
  command('pbsnodes', `exec cat ${directory}/pbsnodes.json`)
}

function gridengine() {
  const row = i =>
    `<job_list state="running"><JB_job_number>${i}</JB_job_number><JB_name>job</JB_name><JB_owner>alice</JB_owner><state>r</state><JAT_start_time>2026-11-23T14:59:51</JAT_start_time><queue_name>all.q@n${i % NODES}</queue_name><master>MASTER</master><slots>1</slots><full_job_name>job</full_job_name><binding>NONE</binding></job_list>`
  file(
    'qstat.xml',
    `<job_info><queue_info>\n${times(JOBS, i => row(i + 1)).join('\n')}\n</queue_info><job_info></job_info></job_info>`,
  )
  file(
    'qhost.xml',
    `<qhost>${times(NODES, i => `<host name='n${i}'><hostvalue name='num_proc'>8</hostvalue><hostvalue name='load_avg'>1</hostvalue></host>`).join('')}</qhost>`,
  )
  command(
    'qstat',
    `case "$*" in -help) echo SGE 8.1.9;; -j*) echo '<d><djob_info>'; echo "$2" | tr , '\\n' | sed 's#.*#<element><JB_job_number>&</JB_job_number><JB_submission_time>1795445991</JB_submission_time></element>#'; echo '</djob_info></d>';; *) exec cat ${directory}/qstat.xml;; esac`,
  )
  command('qhost', `exec cat ${directory}/qhost.xml`)
}

async function measure(name, kind, format) {
  const { openScheduler } = await dist('schedulers/scheduler')
  const { Ledger } = await dist('schedulers/ledger')
  const env = { PATH: `${directory}:/usr/bin:/bin` }
  const scheduler = await openScheduler({ kind, log, env, timeoutMs: 60_000, format })
  if ('absent' in scheduler) throw new Error(scheduler.absent)
  const ledger = new Ledger({ cluster: 'bench', resendEveryMs: 600_000, graceMs: 120_000 })
  let sent = 0
  for (let poll = 0; poll <= POLLS; poll++) {
    const [cpu, wall] = [process.cpuUsage(), performance.now()]
    const answer = await scheduler.poll()
    if (poll > 0) for (let i = 0; i < JOBS / 100; i++) answer.jobs[i] = { ...answer.jobs[i], reason: `changed ${poll}` }
    const nowMs = Date.now() + poll
    ledger.seen(answer, nowMs)
    const due = ledger.due(nowMs)
    ledger.sent(due, nowMs)
    const used = process.cpuUsage(cpu)
    sent = due.jobs.length
    const ms = [performance.now() - wall, (used.user + used.system) / 1000].map(v => v.toFixed(0).padStart(6))
    if (poll === 0 || poll === POLLS)
      say(
        `${name.padEnd(18)} poll ${poll}: ${ms[0]} ms, ${ms[1]} ms CPU of the collector; ${answer.jobs.length} jobs, ${answer.nodes.length} nodes, ${sent} + ${due.nodes.length} records sent; RSS ${(process.memoryUsage.rss() / 2 ** 20).toFixed(0)} MiB`,
      )
  }
  scheduler.close()
}

/** A poller whose scheduler is played in this process; a poll is 15 s of a clock that it is given. */
async function churn() {
  const { startPoller } = await dist('schedulers/poller')
  const [live, ended] = [1000, 100]
  let [polls, nowMs, sent] = [0, 1.8e12, 0]
  const job = (n, atMs) => ({
    ...{
      id: String(n),
      rawId: String(n),
      scheduler: 'slurm',
      name: `run_${n}`,
      user: `user${n % 97}`,
      queue: 'main',
      cores: 64,
    },
    ...{ submitMs: atMs, startMs: atMs, nodeCount: 1, allocations: [{ node: `n${n % NODES}`, cores: 64 }] },
  })
  const began = n => 1.8e12 + Math.floor((n - live) / ended) * 15_000
  const between = (from, to) => times(to - from, i => job(from + i, began(from + i)))
  const scheduler = {
    kind: 'slurm',
    version: 'played',
    poll: async () => {
      polls++
      // When the round is over, which waits for nothing: what a poll takes decides when the next one comes.
      setImmediate(() => {
        nowMs += 15_000
      })
      const first = polls * ended
      return { jobs: between(first, first + live).map(one => ({ ...one, state: 'running' })), nodes: [] }
    },
    finished: async sinceMs => {
      const from = Math.max(0, polls * ended - Math.ceil((nowMs - sinceMs) / 15_000) * ended)
      return between(from, polls * ended).map(one => ({
        ...one,
        state: 'completed',
        endMs: one.startMs + (live / ended) * 15_000,
      }))
    },
    close() {},
  }
  const send = async (_, body) => {
    sent += JSON.parse(Buffer.from(body).toString()).jobs.length
    return { ok: true }
  }
  const poller = await startPoller(scheduler, { cluster: 'bench', pollEveryMs: 1 }, { log, send, now: () => nowMs })
  const line = () => {
    const { rss, heapUsed } = process.memoryUsage()
    const mib = bytes => (bytes / 2 ** 20).toFixed(0)
    say(
      `churn, poll ${String(polls).padStart(5)}: RSS ${mib(rss)} MiB, heap ${mib(heapUsed)} MiB; ${polls * ended} jobs came and went, ${poller.status().jobs} known, ${sent} records sent`,
    )
  }
  for (const part of [0.1, 0.25, 0.5, 0.75, 1]) {
    while (polls < CHURN * part) await new Promise(done => setTimeout(done, 5))
    collectGarbage()
    line()
  }
  await poller.stop()
}

async function attribution() {
  const { openAttribution } = await dist('attribution')
  const { readBoot, startMsOf } = await dist('starttime')
  const boot = readBoot({ proc: '/proc' })
  let own = openAttribution({ roots: { proc: '/proc' }, log, boot })
  const processes = readdirSync('/proc').flatMap(name => {
    try {
      const fields = readFileSync(`/proc/${name}/stat`, 'latin1').replace(/.*\) /, '').split(' ')
      return /^\d+$/.test(name) ? [{ pid: Number(name), startMs: startMsOf(boot, Number(fields[19])) }] : []
    } catch {
      return []
    }
  })
  for (const round of ['first', 'anew, warm', 'again']) {
    if (round === 'anew, warm') own = openAttribution({ roots: { proc: '/proc' }, log, boot })
    const [cpu, rounds] = [process.cpuUsage(), round === 'again' ? 1000 : 1]
    for (let i = 0; i < rounds; i++) for (const { pid, startMs } of processes) own.charge(pid, startMs)
    const used = process.cpuUsage(cpu)
    const each = (used.user + used.system) / rounds / processes.length
    say(`attribution, ${round}: ${each.toFixed(2)} us CPU a process (${processes.length} processes)`)
  }
  own.close()
}

slurm()
await measure('Slurm, JSON', 'slurm', 'json')
await measure('Slurm, text', 'slurm', 'text')
pbs()
await measure('PBS', 'pbs')
gridengine()
await measure('Grid Engine', 'gridengine')
await churn()
await attribution()
rmSync(directory, { recursive: true })
