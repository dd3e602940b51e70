// Ingest in a process that is going to be killed: sends the bodies of a file, four at a time, and says which the store has.
//   node killed.mjs DIST DATA BODIES NUMBERS     NUMBERS: of the bodies, in the order in which they are sent
import { readFileSync, writeSync } from 'node:fs'
import { pathToFileURL } from 'node:url'

const [dist, path, bodies, numbers] = process.argv.slice(2)
const { openStore } = await import(pathToFileURL(`${dist}/ingest/store.js`).href)
const { openIngest } = await import(pathToFileURL(`${dist}/ingest/index.js`).href)
const log = { info() {}, warn() {}, error: (...what) => console.error(...what) }
const store = await openStore({ path }, { log })
const ingest = await openIngest({ store, log, defaultCluster: 'c', config: { flushMs: 5 } })
writeSync(1, 'open\n')

const requests = JSON.parse(readFileSync(bodies, 'utf8'))
const waiting = JSON.parse(readFileSync(numbers, 'utf8'))
async function send() {
  for (let i = waiting.shift(); i !== undefined; i = waiting.shift()) {
    const { door, base64 } = requests[i]
    const receipt = await ingest.receive(door, Buffer.from(base64, 'base64'), undefined, `sender-${i % 20}-${i}`)
    if (receipt.status === 200) writeSync(1, `${i}\n`)
    else throw new Error(`request ${i}: ${receipt.status} ${receipt.message}`)
  }
}
await Promise.all([send(), send(), send(), send()])
writeSync(1, 'all\n')
setInterval(() => {}, 1000)
