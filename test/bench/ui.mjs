// The page at scale: bytes of script, first paint, and what a redraw costs with 100,000 boxes and 10,000 nodes.
// node test/bench/ui.mjs   (needs chromium; builds the page first)
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { gzipSync } from 'node:zlib'
import { chromium } from 'playwright-core'
import { build, createServer } from 'vite'

const say = (what, value) => process.stdout.write(`${what.padEnd(64)} ${value}\n`)
if (!existsSync('/usr/bin/chromium')) {
  say('skipped', 'no /usr/bin/chromium: apt-get install chromium')
  process.exit(0)
}
const root = 'dist/ui'
await build({ root: 'ui', logLevel: 'error' })
const assets = readdirSync(`${root}/assets`)
for (const kind of ['js', 'css']) {
  const bytes = assets
    .filter(f => f.endsWith(`.${kind}`))
    .reduce((n, f) => n + gzipSync(readFileSync(`${root}/assets/${f}`)).length, 0)
  say(`${kind}, gzip`, `${(bytes / 1000).toFixed(1)} kB`)
}

const vite = await createServer({
  configFile: false,
  server: { middlewareMode: true, hmr: false, ws: false },
  appType: 'custom',
})
const { startMock } = await vite.ssrLoadModule('/test/ui/mock/server.ts')
const { layoutFlame, pixelRow } = await vite.ssrLoadModule('/ui/layout/flame.ts')
const { parseTree } = await vite.ssrLoadModule('/ui/layout/tree.ts')
const { transformTree } = await vite.ssrLoadModule('/ui/layout/transform.ts')

/** 100,000 boxes, 60 deep: wide near the root, slivers below. */
function bigFlame(boxes) {
  const tree = { parent: [-1], function: [0], module: [0], kind: [0], self: [0], total: [1], samples: [1e6] }
  const depth = [0]
  const strings = ['all', ...Array.from({ length: 5000 }, (_, i) => `function_number_${i}(int, char**)`)]
  const open = [0]
  let seed = 1
  const random = () => {
    seed = (seed * 48271) % 2147483647
    return seed / 2147483647
  }
  for (let i = 1; i < boxes; i++) {
    const p = open[Math.floor(open.length * (1 - random() ** 3))] ?? 0
    const total = tree.total[p] * (0.2 + 0.6 * (((i * 31) % 97) / 97)) * (depth[p] < 3 ? 0.3 : 0.9)
    tree.parent.push(p)
    tree.function.push(1 + ((i * 17) % 5000))
    tree.module.push(1 + ((i * 3) % 40))
    tree.kind.push(i % 11 === 0 ? 1 : 0)
    tree.self.push(total * 0.1)
    tree.total.push(total)
    tree.samples.push(Math.round(total * 1e6))
    depth.push(depth[p] + 1)
    if (depth[i] < 60) open.push(i)
  }
  return {
    cluster: 'mock',
    direction: 'topdown',
    strings,
    kinds: ['native', 'kernel'],
    tree,
    seconds: 1,
    coverage: { from: 0, to: 1, samples: 1e6, lost: 0, truncatedShare: 0, unnamedShare: 0, idleSeconds: 0 },
  }
}

function timed(runs, work) {
  const start = performance.now()
  for (let i = 0; i < runs; i++) work()
  return `${((performance.now() - start) / runs).toFixed(2)} ms`
}
const flame = bigFlame(100_000)
const tree = parseTree(flame)
const boxes = layoutFlame(tree)
say(
  'layout of 100,000 boxes, once an answer',
  timed(3, () => layoutFlame(tree)),
)
say(
  'focus transform of 100,000 boxes',
  timed(3, () => transformTree(tree, [{ kind: 'focus', fn: 'function_number_18(int, char**)' }])),
)
say(
  `pixels of all ${boxes.rows.length} rows at 1400 px`,
  timed(20, () => boxes.rows.map((_, d) => pixelRow(boxes, { zoom: 0, width: 1400 }, d))),
)

const mock = await startMock({ root })
const args = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]
const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args })

/** Mean script and task time of a redraw, while the pointer moves over a picture. */
async function redraw(page, selector) {
  const cdp = await page.context().newCDPSession(page)
  await cdp.send('Performance.enable')
  const read = async () =>
    Object.fromEntries((await cdp.send('Performance.getMetrics')).metrics.map(m => [m.name, m.value]))
  const at = await page.locator(selector).first().boundingBox()
  await page.mouse.move(at.x + 5, at.y + 5)
  await page.waitForTimeout(500)
  const before = await read()
  const MOVES = 150
  for (let i = 0; i < MOVES; i++)
    await page.mouse.move(
      at.x + 10 + (i * (at.width - 40)) / MOVES,
      at.y + 20 + ((i * 13) % Math.max(1, at.height - 40)),
    )
  const after = await read()
  const ms = name => (((after[name] - before[name]) * 1000) / MOVES).toFixed(2)
  return `${ms('ScriptDuration')} ms script, ${ms('TaskDuration')} ms in all, a move`
}

async function open(hash, routes) {
  const page = await browser.newPage({ viewport: { width: 1440, height: 900 } })
  for (const [glob, body] of routes) await page.route(glob, route => route.fulfill({ json: body }))
  await page.goto(mock.url + hash)
  return page
}

const first = await open('#/mock', [])
await first.locator('.hot-node').first().waitFor()
say(
  'first contentful paint',
  `${Math.round(await first.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0].startTime))} ms`,
)
say('64 nodes x 1 h heat map', await redraw(first, '.stack canvas >> nth=1'))
await first.close()

const burning = await open('#/mock/node/n07/process/4000', [['**/api/v1/flame?*', flame]])
await burning.locator('.flame canvas').waitFor()
say('flame graph of 100,000 boxes', await redraw(burning, '.flame canvas'))
await burning.close()

const names = Array.from({ length: 10_000 }, (_, i) => `n${String(i).padStart(5, '0')}`)
const end = Date.now()
const heat = {
  cluster: 'mock',
  metric: 'cpu_busy',
  unit: 'ratio',
  from: end - 3_600_000,
  to: end,
  bucketMs: 180_000,
  nodes: names,
  mean: names.map((_, i) => (i % 100) / 100),
  rows: names.map((_, i) => Array.from({ length: 20 }, (_x, t) => ((i * 7 + t * 13) % 100) / 100)),
}
for (const map of ['grid', 'rows']) {
  const many = await open(`#/mock?map=${map}`, [['**/api/v1/heatmap?*', heat]])
  await many.locator('.hot-node').first().waitFor()
  say(
    `10,000 nodes as ${map}`,
    await redraw(many, map === 'grid' ? 'section canvas >> nth=0' : '.stack canvas >> nth=1'),
  )
  await many.close()
}
await browser.close()
await mock.stop()
await vite.close()
