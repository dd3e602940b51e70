/** Look at the page without a server: `npx vite build ui && node test/ui/mock/start.mjs [PORT] [DELAY_MS]`. */
import { createServer } from 'vite'

const vite = await createServer({
  configFile: false,
  server: { middlewareMode: true, hmr: false, ws: false },
  appType: 'custom',
})
const { startMock } = await vite.ssrLoadModule('/test/ui/mock/server.ts')
const [port = '4173', delayMs = '0'] = process.argv.slice(2)
const mock = await startMock({ root: 'dist/ui', port: Number(port), delayMs: Number(delayMs) })
process.stdout.write(`${mock.url}\n`)
