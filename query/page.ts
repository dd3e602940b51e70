/** The page: the files that Vite built. Any other path is a place in the page, and gets its index.html. */

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import fastifyStatic from '@fastify/static'
import type { FastifyInstance } from 'fastify'

export async function addPage(app: FastifyInstance, uiDir: string): Promise<void> {
  const built = existsSync(join(uiDir, 'index.html'))
  if (built) {
    await app.register(fastifyStatic, {
      root: uiDir,
      serve: false,
      cacheControl: false,
      setHeaders: (reply, path) => {
        // Vite puts a hash of the content into the names below assets/.
        const forever = path.includes('/assets/')
        reply.setHeader('cache-control', forever ? 'public, max-age=31536000, immutable' : 'no-cache')
      },
    })
    // Anyone gets the page: what is in it comes through the API.
    app.get<{ Params: { '*': string } }>('/*', { config: { access: 'anyone' } }, (request, reply) =>
      reply.sendFile(request.params['*'] || 'index.html'),
    )
  }
  app.setNotFoundHandler((request, reply) => {
    const page = request.method === 'GET' && !/^\/(api|v1|v1development)(\/|$)/.test(request.url.split('?')[0] ?? '')
    if (page && built) return reply.header('cache-control', 'no-cache').sendFile('index.html')
    const message = page
      ? 'the page is not built: run npm run build'
      : `${request.method} ${request.url.split('?')[0]} is no route; see /api/v1/openapi.json`
    return reply.code(404).send({ error: { code: 'not_found', message } })
  })
}
