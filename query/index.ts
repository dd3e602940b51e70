/**
 * The query service: a Fastify plugin with the API under /api/v1, its description at /api/v1/openapi.json, and the page.
 * Each route has the schema of what it may be asked (asks.ts) and what it answers (api.ts).
 */
import cookie from '@fastify/cookie'
import swagger from '@fastify/swagger'
import type { FastifyInstance, FastifyPluginAsync } from 'fastify'
import type { Logger } from 'pino'
import { webSocket } from '../ingest/controldoor.ts'
import type { Latest } from '../ingest/latest.ts'
import type { Store } from '../ingest/store.ts'
import { type Access, addGate, openToAll } from './access/gate.ts'
import { addHeaders } from './access/headers.ts'
import { addSessionRoutes } from './access/routes.ts'
import { EVERYONE } from './access/who.ts'
import { ALERTS_DEFAULTS, type AlertsConfig } from './alerts/config.ts'
import { addAlertRoutes } from './alerts/routes.ts'
import { type AlertDesk, openAlerts, startAlerts } from './alerts/service.ts'
import { addAnswers } from './answers.ts'
import { type BurstsDeps, openBursts } from './bursts.ts'
import { addCompression } from './compress.ts'
import { openRoom, type Room } from './desk.ts'
import { addLive, type OnWritten } from './live.ts'
import { addPage } from './page.ts'
import { addPrometheus } from './promql/routes.ts'
import { addRoutes } from './routes.ts'

export interface QueryOptions {
  store: Store
  ingest: { latest: Latest; onWritten: OnWritten; control: BurstsDeps['control']; keepBurst: BurstsDeps['keepBurst'] }
  log: Logger
  now?: () => number
  /** Who is who; absent: everyone may see everything. */
  access?: Access
  /** Absent: rules can be read and tried, nobody evaluates them. */
  alerts?: AlertsConfig
  /** Where the built page is; absent: the API alone. */
  uiDir?: string
}

export const query: FastifyPluginAsync<QueryOptions> = async (app, options) => {
  const now = options.now ?? Date.now
  await app.register(webSocket)
  addCompression(app)
  const access = options.access ?? openToAll
  await app.register(cookie)
  addHeaders(app)
  addGate(app, access)
  const { latest, control, keepBurst, onWritten } = options.ingest
  const bursts = openBursts({ control, keepBurst, log: options.log, now })
  app.addHook('onClose', async () => bursts.close())
  const room = openRoom(options.store, latest, bursts, now)
  await app.register(
    async api => {
      addAnswers(api, options.log)
      await api.register(swagger, {
        openapi: {
          info: {
            title: 'Jobsight',
            version: '1',
            description:
              'Where the time went: cluster, job and node, process, function. Times are ms since the epoch, UTC.',
          },
        },
      })
      addRoutes(api, room)
      addSessionRoutes(api, access)
      const alerts = addAlerts(api, room, options, now)
      await addLive(api, room, { onWritten, onBurst: bursts.onChange, alerts })
      api.get('/openapi.json', { config: { access: 'reader' }, schema: { hide: true } }, () => api.swagger())
    },
    { prefix: '/api/v1' },
  )
  await app.register(async api => addPrometheus(api, room, options.log), { prefix: '/prometheus/api/v1' })
  if (options.uiDir !== undefined) await addPage(app, options.uiDir)
}

/** Rounds begin when the server is ready, and the last one is over before the store closes. */
function addAlerts(api: FastifyInstance, room: Room, options: QueryOptions, now: () => number): AlertDesk {
  const config = options.alerts ?? { ...ALERTS_DEFAULTS, enabled: false }
  const openDesk = () => room.desk({ who: EVERYONE, signal: undefined })
  const alerts = openAlerts({ store: options.store, config, log: options.log, now, openDesk })
  addAlertRoutes(api, room, alerts)
  let stop = async () => {}
  api.addHook('onReady', async () => {
    stop = startAlerts(alerts)
  })
  api.addHook('onClose', () => stop())
  return alerts
}
