/** `jobsight import FILE` into a running server: the functions of the file are what the API answers. */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { Functions } from '../../query/api.ts'
import { ask, MAIN, type Program, startProgram } from './program.ts'

const run = promisify(execFile)
const FIXTURES = join(import.meta.dirname, '..', 'fixtures', 'profiles')
let program: Program

beforeAll(async () => {
  program = await startProgram('serve')
})
afterAll(async () => {
  await program?.stop()
})

const imported = (file: string, ...flags: string[]) =>
  run(process.execPath, [MAIN, 'import', join(FIXTURES, file), '--endpoint', program.url, '--node', 'lab', ...flags])

it.each([
  ['split.txt', 'perf script', 'job-a'],
  ['fib-go.pb.gz', 'pprof', 'job-b'],
  ['fib-python.folded', 'folded', 'job-c'],
  ['fib-python.speedscope.json', 'speedscope', 'job-d'],
])('%s, a file of %s, is charged to the job that was named', async (file, format, job) => {
  const { stdout } = await imported(file, '--job', job)
  expect(stdout).toContain(`${format} stored`)
  const window = /from=(\d+)&to=(\d+)/.exec(stdout)
  const scope = `job=${job}&from=${Number(window?.[1]) - 60_000}&to=${Number(window?.[2]) + 60_000}`
  const answer = await ask<Functions>(program.url, `functions?${scope}&sort=self`)
  expect(answer.seconds).toBeGreaterThan(0)
  expect(answer.functions[0]?.function).not.toBe('')
})

it('a file that is none says what it may be', async () => {
  await expect(imported('capture.sh')).rejects.toThrow(/perf script|folded|pprof/)
})
