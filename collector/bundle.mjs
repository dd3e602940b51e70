/**
 * typebox as a few files in dist/node_modules, where dist's own modules find it first: npm run build.
 *
 * Its 250 small modules cost a process 25 MiB, which every compute node would pay; as one bundle they cost 3
 * (node -e 'import("typebox/value").then(() => console.log(process.memoryUsage().rss))').
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { rolldown } from 'rolldown'

const to = join(import.meta.dirname, '../dist/node_modules/typebox')
const entries = { index: 'typebox', value: 'typebox/value', compile: 'typebox/compile' }
const input = Object.fromEntries(
  Object.entries(entries).map(([file, name]) => [file, fileURLToPath(import.meta.resolve(name))]),
)
const bundle = await rolldown({ input, treeshake: false })
mkdirSync(dirname(to), { recursive: true })
await bundle.write({ dir: to, format: 'esm', minify: true, chunkFileNames: '[name].js' })
await bundle.close()
const exports = Object.fromEntries(
  Object.entries(entries).map(([file, name]) => [name.replace('typebox', '.'), `./${file}.js`]),
)
writeFileSync(join(to, 'package.json'), JSON.stringify({ name: 'typebox', type: 'module', exports }))
