/**
 * Brings what the tests need, once a run: the built program (some tests start it as users do), Rust's library for another
 * processor and, where we are root on Debian, the packages of the real components. What is missing all the same is said here, and the tests that need it say
 * that they were skipped; with CI=true nothing may be missing.
 */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'

/** Debian package -> a file that shows it is there. */
const PACKAGES: Record<string, string> = {
  chromium: '/usr/bin/chromium',
  gcc: '/usr/bin/gcc',
  'g++': '/usr/bin/g++',
  gfortran: '/usr/bin/gfortran',
  'libc6-dev': '/usr/include/stdio.h',
  iproute2: '/usr/bin/nstat',
  openssl: '/usr/bin/openssl',
  'openmpi-bin': '/usr/bin/mpirun',
  'libopenmpi-dev': '/usr/bin/mpicc',
  'linux-perf': '/usr/bin/perf',
  procps: '/usr/bin/ps',
  prometheus: '/usr/bin/prometheus',
  'prometheus-node-exporter': '/usr/bin/prometheus-node-exporter',
  python3: '/usr/bin/python3',
  'stress-ng': '/usr/bin/stress-ng',
  sysstat: '/usr/bin/iostat',
  'xz-utils': '/usr/bin/xz',
  munge: '/usr/sbin/munged',
  slurmctld: '/usr/sbin/slurmctld',
  slurmd: '/usr/sbin/slurmd',
  'slurm-client': '/usr/bin/squeue',
  'prometheus-alertmanager': '/usr/bin/prometheus-alertmanager',
}

/** Another processor than most: test/native/crate.test.ts has the addon compiled for it. */
const TARGET = 'aarch64-unknown-linux-gnu'

export default function setup(): void {
  build()
  addTarget()
  const missing = Object.keys(PACKAGES).filter(name => !existsSync(PACKAGES[name] ?? ''))
  if (missing.length === 0) return
  if (process.getuid?.() === 0 && existsSync('/usr/bin/apt-get')) install(missing)
  const still = missing.filter(name => !existsSync(PACKAGES[name] ?? ''))
  if (still.length === 0) return
  const said = `missing packages: ${still.join(' ')}; run: apt-get install ${still.join(' ')}`
  if (process.env.CI) throw new Error(said)
  console.error(`${said}\nThe tests that need them are skipped.`)
}

function build(): void {
  const built = spawnSync('npm', ['run', '--silent', 'build'], { encoding: 'utf8' })
  if (built.status === 0) return
  const said = `npm run build failed, so tests that start the program would run an old one:\n${built.stdout}${built.stderr}`
  if (process.env.CI) throw new Error(said)
  console.error(said)
}

/** Where rustup can bring it; the test that needs it says so otherwise. */
function addTarget(): void {
  const listed = spawnSync('rustup', ['target', 'list', '--installed'], { encoding: 'utf8' })
  if (listed.status !== 0 || listed.stdout.includes(TARGET)) return
  console.error(`adding Rust's library for ${TARGET}`)
  const ran = spawnSync('rustup', ['target', 'add', TARGET], { encoding: 'utf8', timeout: 120_000 })
  if (ran.status !== 0) console.error(`rustup target add failed:\n${ran.stderr.slice(-2000)}`)
}

function install(packages: string[]): void {
  console.error(`installing ${packages.join(' ')}`)
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  // Daemons that come with the packages must not start on their own: the tests start their own ones.
  const policy = '/usr/sbin/policy-rc.d'
  const script = `set -e
    if [ ! -e ${policy} ]; then printf '#!/bin/sh\\nexit 101\\n' > ${policy}; chmod 755 ${policy}; trap 'rm -f ${policy}' EXIT; fi
    apt-get -qq update
    apt-get -qq -o DPkg::Lock::Timeout=300 install -y --no-install-recommends ${packages.join(' ')}`
  const ran = spawnSync('sh', ['-c', script], { env, encoding: 'utf8' })
  if (ran.status !== 0) console.error(`apt-get failed:\n${ran.stderr.slice(-2000)}`)
}
