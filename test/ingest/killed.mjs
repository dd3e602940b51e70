// Ingest in a process that is going to be killed: sends the bodies of a file, four at a time, and says which the database has.
//   node killed.mjs DIST DATA BODIES FIRST
import { readFileSync, writeSync } from 'node:fs'
import { pathToFileURL } from 'node:url'

const [dist, path, bodies, first] = process.argv.slice(2)
const { openStore } = await import(pathToFileURL(`${dist}/ingest/store.js`).href)
const { openIngest } = await import(pathToFileURL(`${dist}/ingest/index.js`).href)
const log = { info() {}, warn() {}, error: (...what) => console.error(...what) }
const store = await openStore({ path }, { log })
const ingest = await openIngest({ store, log, defaultCluster: 'c', config: { flushMs: 5 } })
writeSync(1, 'open\n')

const requests = JSON.parse(readFileSync(bodies, 'utf8'))
let next = Number(first)
async function send() {
  while (next < requests.length) {
    const i = next++
    const { door, base64 } = requests[i]
    const receipt = await ingest.receive(door, Buffer.from(base64, 'base64'))
    if (receipt.status === 200) writeSync(1, `${i}\n`)
    else throw new Error(`request ${i}: ${receipt.status} ${receipt.message}`)
  }
}
await Promise.all([send(), send(), send(), send()])
writeSync(1, 'all\n')
setInterval(() => {}, 1000)
