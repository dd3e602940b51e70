/**
 * What one would run in place of our collector, each as its packagers set it up, with its process table: started, its process
 * tree named, and ended. One that is not installed is told, with the command that installs it.
 *
 *   apt-get install prometheus-node-exporter collectd-core pcp      (without systemd pcp stays half configured: enough for this)
 */
import { spawn, spawnSync } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { existsSync, writeFileSync } from 'node:fs'
import { get } from 'node:http'
import { join } from 'node:path'

const quiet = { stdio: ['ignore', 'ignore', 'ignore'] }
const pause = ms => new Promise(resolve => setTimeout(resolve, ms))

/** Scraped each interval over a new connection, packed, as Prometheus does. */
async function startNodeExporter(intervalMs) {
  const port = 19_100 + intervalMs / 1000
  const child = spawn(
    '/usr/bin/prometheus-node-exporter',
    [`--web.listen-address=127.0.0.1:${port}`, '--collector.processes', '--log.level=error'],
    quiet,
  )
  const timer = setInterval(() => {
    const options = { port, path: '/metrics', agent: false, headers: { 'accept-encoding': 'gzip' } }
    get(options, response => response.resume()).on('error', () => {})
  }, intervalMs)
  return {
    pids: [child.pid],
    stop() {
      clearInterval(timer)
      child.kill('SIGKILL')
    },
  }
}

/** Debian's list of plugins, with the network plugin in place of rrdtool: it sends, as we do, and stores nothing. */
const COLLECTD = (seconds, port, directory) => `
BaseDir "${directory}"
PIDFile "${directory}/collectd.pid"
Interval ${seconds}
${['cpu', 'df', 'disk', 'entropy', 'interface', 'irq', 'load', 'memory', 'processes', 'swap', 'users'].map(name => `LoadPlugin ${name}`).join('\n')}
LoadPlugin network
<Plugin network>
  Server "127.0.0.1" "${port}"
</Plugin>
`

async function startCollectd(intervalMs, directory) {
  const socket = createSocket('udp4')
  await new Promise(resolve => socket.bind(0, '127.0.0.1', resolve))
  const file = join(directory, `collectd-${intervalMs}.conf`)
  writeFileSync(file, COLLECTD(intervalMs / 1000, socket.address().port, directory))
  const child = spawn('/usr/sbin/collectd', ['-f', '-C', file], quiet)
  return {
    pids: [child.pid],
    stop() {
      child.kill('SIGKILL')
      socket.close()
    },
  }
}

/** pmcd with the agents of its package, and pmlogger with the configuration that pmlogconf makes of what there is. */
async function startPcp(intervalMs, directory) {
  const names = '/var/lib/pcp/pmns'
  if (!existsSync(join(names, 'root'))) spawnSync('sh', [join(names, 'Rebuild'), '-u'], { cwd: names })
  const port = String(44_500 + intervalMs / 1000)
  const env = { ...process.env, PMCD_PORT: port }
  const at = name => join(directory, `pcp-${intervalMs}-${name}`)
  const pmcd = spawn(
    '/usr/lib/pcp/bin/pmcd',
    ['-f', '-A', '-U', 'root', '-p', port, '-l', at('pmcd.log'), '-s', at('socket')],
    // its agents write their logs where it was started
    { ...quiet, env, cwd: directory },
  )
  await pause(5000)
  spawnSync('/usr/lib/pcp/bin/pmlogconf', ['-c', '-h', '127.0.0.1', at('config')], { env, timeout: 60_000 })
  const log = ['-c', at('config'), '-t', `${intervalMs / 1000}s`, '-U', 'root', '-l', at('log'), '-h', '127.0.0.1']
  const pmlogger = spawn('/usr/bin/pmlogger', [...log, at('archive')], { ...quiet, env })
  return {
    pids: [pmcd.pid, pmlogger.pid],
    stop() {
      pmlogger.kill('SIGKILL')
      pmcd.kill('SIGTERM')
    },
  }
}

export const RIVALS = [
  {
    name: 'node_exporter',
    needs: ['/usr/bin/prometheus-node-exporter'],
    debian: 'prometheus-node-exporter',
    start: startNodeExporter,
  },
  { name: 'collectd', needs: ['/usr/sbin/collectd'], debian: 'collectd-core', start: startCollectd },
  { name: 'PCP', needs: ['/usr/lib/pcp/bin/pmcd', '/usr/bin/pmlogger'], debian: 'pcp', start: startPcp },
]
