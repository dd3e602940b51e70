/** A real Prometheus and a real node_exporter (Debian's packages), on ports of their own, gone with the test. */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'

export const hasPrometheus = existsSync('/usr/bin/prometheus') && existsSync('/usr/bin/prometheus-node-exporter')

export interface Running {
  /** host:port */
  address: string
  stop(): Promise<void>
}

export async function startNodeExporter(): Promise<Running> {
  const address = `127.0.0.1:${await freePort()}`
  return started(spawn('/usr/bin/prometheus-node-exporter', [`--web.listen-address=${address}`]), address, '/metrics')
}

/** `config` as JSON, which is YAML; takes remote writes itself, too. */
export async function startPrometheus(config: object): Promise<Running> {
  const path = mkdtempSync(join(tmpdir(), 'jobsight-prometheus-'))
  const address = `127.0.0.1:${await freePort()}`
  writeFileSync(join(path, 'prometheus.yml'), JSON.stringify(config))
  const child = spawn('/usr/bin/prometheus', [
    `--config.file=${path}/prometheus.yml`,
    `--storage.tsdb.path=${path}/data`,
    `--web.listen-address=${address}`,
    '--web.enable-remote-write-receiver',
  ])
  const running = await started(child, address, '/-/ready')
  return {
    address,
    stop: async () => {
      await running.stop()
      rmSync(path, { recursive: true, force: true })
    },
  }
}

async function started(child: ChildProcess, address: string, path: string): Promise<Running> {
  let said = ''
  child.stderr?.on('data', chunk => {
    said = `${said}${chunk}`.slice(-4000)
  })
  const stop = async (): Promise<void> => {
    if (child.exitCode !== null) return
    const ended = new Promise(done => child.once('exit', done))
    child.kill()
    await ended
  }
  for (let tries = 0; tries < 300; tries++) {
    if (child.exitCode !== null) throw new Error(`${child.spawnfile} ended: ${said}`)
    const ready = await fetch(`http://${address}${path}`).then(
      answer => answer.ok,
      () => false,
    )
    if (ready) return { address, stop }
    await wait(100)
  }
  await stop()
  throw new Error(`${child.spawnfile} does not answer: ${said}`)
}

const freePort = (): Promise<number> =>
  new Promise((done, failed) => {
    const server = createServer()
    server.once('error', failed)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => done(typeof address === 'object' && address !== null ? address.port : 0))
    })
  })
