// All benches, one after the other, each in a process of its own: npm run bench [-- collector ingest …]
import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'

const asked = process.argv.slice(2)
const benches = readdirSync(import.meta.dirname)
  .filter(file => file.endsWith('.mjs') && file !== 'run.mjs')
  .filter(file => asked.length === 0 || asked.includes(file.slice(0, -4)))
if (benches.length === 0) throw new Error(`no bench is called ${asked.join(', ')}`)
for (const file of benches) {
  process.stdout.write(`\n=== ${file}\n`)
  const ran = spawnSync(process.execPath, [join(import.meta.dirname, file)], { stdio: 'inherit' })
  if (ran.status !== 0) process.exitCode = 1
}
