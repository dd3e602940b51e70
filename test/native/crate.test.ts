import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const native = fileURLToPath(new URL('../../native/', import.meta.url))
const cargo = spawnSync('cargo', ['--version']).status === 0

describe('the crate', () => {
  it("passes its own tests: parsers, hostile files (each part's beside it)", context => {
    if (!cargo) context.skip('cargo is not installed (https://rustup.rs)')
    const command = ['-n', '10', 'cargo', 'test', '--locked', '--no-default-features']
    const ran = spawnSync('nice', command, { cwd: native, encoding: 'utf8' })
    expect(ran.status, `${ran.stdout}\n${ran.stderr}`).toBe(0)
    expect(ran.stdout).toMatch(/test result: ok\. \d{2,} passed/)
  }, 600_000)
})

const AARCH64 = 'aarch64-unknown-linux-gnu'

describe('on another processor', () => {
  it('compiles for aarch64', context => {
    const library = spawnSync('rustc', ['--print', 'target-libdir', '--target', AARCH64], { encoding: 'utf8' })
    if (!existsSync(library.stdout?.trim() ?? '')) context.skip(`to check it: rustup target add ${AARCH64}`)
    const ran = spawnSync('cargo', ['check', '--locked', '--target', AARCH64], { cwd: native, encoding: 'utf8' })
    expect(ran.status, ran.stderr).toBe(0)
  }, 600_000)
})

describe('npm install builds the addon where it can, and goes on where it cannot', () => {
  let place = ''
  beforeAll(() => {
    place = mkdtempSync(join(tmpdir(), 'jobsight-build-'))
    for (const name of ['build.mjs', 'Cargo.toml', 'Cargo.lock', 'src'])
      cpSync(join(native, name), join(place, name), { recursive: true })
  })
  afterAll(() => rmSync(place, { recursive: true, force: true }))

  /** Runs the build with nothing on the PATH but `programs`, each a shell script. */
  function build(programs: Record<string, string>) {
    const path = join(place, 'bin')
    rmSync(path, { recursive: true, force: true })
    mkdirSync(path)
    symlinkSync('/bin/sh', join(path, 'sh'))
    for (const [name, script] of Object.entries(programs))
      writeFileSync(join(path, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 })
    return spawnSync(process.execPath, [join(place, 'build.mjs')], { env: { PATH: path }, encoding: 'utf8' })
  }

  it('without cargo: one line that says so, and what to do', () => {
    const ran = build({})
    expect(ran.status).toBe(0)
    expect(ran.stderr.trim().split('\n')).toHaveLength(1)
    expect(ran.stderr).toMatch(/cargo is not installed.*perf\(1\).*rustup\.rs.*npm install/)
  })

  it('without the registry: cargo says why, and the last line what follows from it', () => {
    const ran = build({
      cargo: 'case $1 in --version) echo cargo 1.95;; *) echo "error: no registry" >&2; exit 101;; esac',
    })
    expect(ran.status).toBe(0)
    expect(ran.stderr.trim().split('\n').at(-1)).toMatch(/cargo could not build it.*perf\(1\)/)
  })

  it('with cargo: the artefact, once', () => {
    const library = join(place, 'target/release/libjobsight.so')
    const builds = `mkdir -p ${join(place, 'target/release')}; echo built >> ${join(place, 'log')}; echo addon > ${library}`
    const script = { cargo: `PATH=/bin:/usr/bin; case $1 in build) ${builds};; esac` }
    for (let time = 0; time < 2; time++) expect(build(script).status).toBe(0)
    expect(readFileSync(join(place, 'jobsight.node'), 'utf8')).toBe('addon\n')
    expect(readFileSync(join(place, 'log'), 'utf8')).toBe('built\n')
  })
})
