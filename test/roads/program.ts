/** Starts the built program as a user does, in a folder of its own, and waits until it says where the page is. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

export interface Program {
  url: string
  folder: string
  child: ChildProcess
  /** What it wrote on stderr so far. */
  log(): string
  /** SIGTERM; resolves with the exit code when it has written what it had. */
  stop(): Promise<number | null>
}

export const MAIN = join(import.meta.dirname, '..', '..', 'dist', 'main.js')

export async function startProgram(role: string, flags: readonly string[] = []): Promise<Program> {
  const folder = mkdtempSync(join(tmpdir(), 'jobsight-road-'))
  const child = spawn(
    process.execPath,
    [MAIN, role, '--listen', '127.0.0.1:0', '--data', join(folder, 'data'), ...flags],
    {
      cwd: folder,
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  )
  let log = ''
  child.stderr?.on('data', chunk => {
    log += String(chunk)
  })
  const ended = new Promise<number | null>(resolve => child.once('exit', resolve))
  const url = await Promise.race([said(child, /http:\/\/127\.0\.0\.1:\d+/), ended.then(() => undefined)])
  if (url === undefined) throw new Error(`jobsight ${role} ended before it listened:\n${log}`)
  return {
    url,
    folder,
    child,
    log: () => log,
    async stop() {
      child.kill('SIGTERM')
      const code = await ended
      rmSync(folder, { recursive: true, force: true })
      return code
    },
  }
}

function said(child: ChildProcess, pattern: RegExp): Promise<string> {
  return new Promise(resolve => {
    if (!child.stdout) return
    createInterface({ input: child.stdout }).on('line', line => {
      const found = pattern.exec(line)
      if (found) resolve(found[0])
    })
  })
}

/** Asks until the answer is what is waited for; the last answer is in the error. */
export async function until<T>(
  ask: () => Promise<T>,
  done: (answer: T) => boolean,
  what: string,
  withinMs = 60_000,
): Promise<T> {
  const deadline = Date.now() + withinMs
  for (;;) {
    const answer = await ask()
    if (done(answer)) return answer
    if (Date.now() > deadline)
      throw new Error(`waited for ${what}; last answer: ${JSON.stringify(answer).slice(0, 2000)}`)
    await new Promise(resolve => setTimeout(resolve, 500))
  }
}

/** GET under /api/v1. The schema of the answer is the route's own business and tested there. */
export async function ask<T>(url: string, path: string): Promise<T> {
  const response = await fetch(`${url}/api/v1/${path}`)
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`)
  return (await response.json()) as T
}
