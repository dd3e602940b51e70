/**
 * Builds the stack sampler (native/jobsight.node) with cargo when its sources are newer than the artefact. Part of
 * `npm install`, so it never fails one: without the addon the same stacks come from perf(1), at a higher cost.
 */
import { spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, readdirSync, renameSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const here = fileURLToPath(new URL('.', import.meta.url))
const artefact = join(here, 'jobsight.node')

/** Says in one line what is missing and what to do, and ends well. */
function without(reason, advice) {
  console.error(`jobsight: no stack sampler addon: ${reason}. Stacks will come from perf(1) instead. ${advice}`)
  process.exit(0)
}

function newestMs(path) {
  const entry = statSync(path)
  if (!entry.isDirectory()) return entry.mtimeMs
  return Math.max(...readdirSync(path).map(name => newestMs(join(path, name))))
}

function cargo(args, stdio) {
  const command = ['cargo', ...args]
  const nice = spawnSync('nice', ['-n', '10', 'true']).status === 0 ? ['nice', '-n', '10'] : []
  const [program, ...rest] = [...nice, ...command]
  return spawnSync(program, rest, { cwd: here, stdio })
}

if (process.platform !== 'linux') without(`it samples Linux kernels, this is ${process.platform}`, 'Nothing to do.')
if (spawnSync('cargo', ['--version']).status !== 0)
  without(
    'cargo is not installed',
    'To have it: install Rust 1.88 or newer (https://rustup.rs) and run `npm install` again.',
  )

const sources = ['src', 'Cargo.toml', 'Cargo.lock', 'build.mjs'].map(name => join(here, name))
if (existsSync(artefact) && Math.max(...sources.map(newestMs)) <= statSync(artefact).mtimeMs) process.exit(0)

console.error('jobsight: building the stack sampler addon (a few minutes the first time)')
// Where CARGO_TARGET_DIR is set, cargo would put it elsewhere.
const build = ['build', '--release', '--locked', '--target-dir', 'target']
if (cargo(build, ['ignore', 'inherit', 'inherit']).status !== 0)
  without(
    'cargo could not build it (its message is above; it needs Rust 1.88 and the crates.io registry)',
    'To have it: mend that and run `node native/build.mjs`.',
  )
// Renamed into place, so that a process which has the old one loaded keeps it whole.
copyFileSync(join(here, 'target/release/libjobsight.so'), `${artefact}.new`)
renameSync(`${artefact}.new`, artefact)
