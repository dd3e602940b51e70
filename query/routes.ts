/** The table of routes: path, what it may be asked, what it answers, who answers it. */
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance, FastifyReply } from 'fastify'
import type { TSchema } from 'typebox'
import * as api from './api.ts'
import * as asks from './asks.ts'
import { readBurst, readBursts, startBurst, stopBurst } from './burstplan.ts'
import { readCategories } from './categories.ts'
import { readCatalogue, readClusters } from './clusters.ts'
import { readComparison } from './compare.ts'
import type { Room } from './desk.ts'
import { type Export, readStacks } from './export.ts'
import { readFlame } from './flame.ts'
import { readFunctions } from './functions.ts'
import { writeHeatmap } from './heatmap.ts'
import { readJob } from './job.ts'
import { readJobNodes } from './jobnodes.ts'
import { readBands, readJobs } from './jobs.ts'
import { readNode, readNodes } from './nodes.ts'
import { readProcess } from './process.ts'
import { readProcesses } from './processes.ts'
import { readRanks } from './ranks.ts'
import { readSearch } from './search.ts'
import { readSeries } from './series.ts'

const refusals = { '4xx': api.ErrorAnswer, '5xx': api.ErrorAnswer }

/** Whoever is signed in may ask them; the answers are kept to the reader's own rows. */
const config = { access: 'rows' } as const

/** One route's schema: what is asked, what is answered, and in a line what for. */
const question = <A extends TSchema, T extends TSchema>(summary: string, querystring: A, answer: T) => ({
  config,
  schema: { summary, querystring, response: { 200: answer, ...refusals } },
})
const about = <P extends TSchema, A extends TSchema, T extends TSchema>(
  summary: string,
  params: P,
  querystring: A,
  answer: T,
) => ({ config, schema: { summary, params, querystring, response: { 200: answer, ...refusals } } })

export function addRoutes(app: FastifyInstance, room: Room): void {
  addClusterRoutes(app, room)
  addStackRoutes(app, room)
  addJobRoutes(app, room)
  addBurstRoutes(app, room)
}

function addClusterRoutes(app: FastifyInstance, { desk }: Room): void {
  const route = app.withTypeProvider<TypeBoxTypeProvider>()
  route.get('/clusters', question('Clusters and how full they are', asks.Nothing, api.Clusters), r =>
    readClusters(desk(r)),
  )
  route.get('/catalogue', question('Metrics that can be asked for', asks.OfCluster, api.Catalogue), r =>
    readCatalogue(desk(r), r.query.cluster),
  )
  route.get('/nodes', question('Newest values of every node, hottest first', asks.NodesAsk, api.Nodes), r =>
    readNodes(desk(r), r.query),
  )
  route.get('/nodes/:node', about('One node', asks.NodeName, asks.NodeAsk, api.NodeDetail), r =>
    readNode(desk(r), r.params.node, r.query),
  )
  route.get(
    '/heatmap',
    question('A metric, nodes down and time across', asks.HeatmapAsk, api.Heatmap),
    async (r, reply) => {
      await sendJson(reply, await writeHeatmap(desk(r), r.query))
    },
  )
  route.get('/series', question('Many metrics on one time axis', asks.SeriesAsk, api.Series), r =>
    readSeries(desk(r), r.query),
  )
  route.get('/processes', question('Top processes of a window', asks.ProcessesAsk, api.Processes), r =>
    readProcesses(desk(r), r.query),
  )
  route.get('/process', question('One process over time', asks.ProcessAsk, api.ProcessDetail), r =>
    readProcess(desk(r), r.query),
  )
  route.get('/search', question('Nodes, jobs, users and functions by name', asks.SearchAsk, api.Search), r =>
    readSearch(desk(r), r.query),
  )
}

function addStackRoutes(app: FastifyInstance, { desk }: Room): void {
  const route = app.withTypeProvider<TypeBoxTypeProvider>()
  route.get('/flame', question('A flame graph of any scope', asks.FlameAsk, api.Flame), r =>
    readFlame(desk(r), r.query),
  )
  route.get('/functions', question('The function table of any scope', asks.FunctionsAsk, api.Functions), r =>
    readFunctions(desk(r), r.query),
  )
  route.get('/categories', question('CPU time by what it was spent on', asks.CategoriesAsk, api.Categories), r =>
    readCategories(desk(r), r.query),
  )
  route.get('/compare', question('Two scopes side by side', asks.CompareAsk, api.Comparison), r =>
    readComparison(desk(r), r.query),
  )
  const file = question('Every stack of any scope as a file: folded, speedscope or pprof', asks.StacksAsk, api.Stacks)
  route.get('/stacks', file, async (r, reply) => sendFile(reply, await readStacks(desk(r), r.query)))
}

/** What is JSON already. */
const sendJson = (reply: FastifyReply, text: string): FastifyReply =>
  reply.type('application/json; charset=utf-8').send(text)

const sendFile = (reply: FastifyReply, { contentType, fileName, body }: Export): FastifyReply =>
  reply
    .header('content-type', contentType)
    .header('content-disposition', `attachment; filename="${fileName}"`)
    .send(body)

function addJobRoutes(app: FastifyInstance, { desk }: Room): void {
  const route = app.withTypeProvider<TypeBoxTypeProvider>()
  route.get('/jobs', question('Jobs, newest first', asks.JobsAsk, api.Jobs), r => readJobs(desk(r), r.query))
  route.get('/bands', question('Jobs as bands over time', asks.BandsAsk, api.JobBands), r =>
    readBands(desk(r), r.query),
  )
  // Who tells of a job (a prolog) reads first what is known of it.
  const told = { config: { access: ['rows', 'collector'] } as const }
  route.get('/jobs/:id', { ...about('One job', asks.JobId, asks.OfCluster, api.JobDetail), ...told }, r =>
    readJob(desk(r), r.params.id, r.query.cluster),
  )
  route.get(
    '/jobs/:id/nodes',
    about("A job's nodes against each other", asks.JobId, asks.JobNodesAsk, api.JobNodes),
    r => readJobNodes(desk(r), r.params.id, r.query),
  )
  route.get(
    '/jobs/:id/ranks',
    about("A job's ranks against each other", asks.JobId, asks.JobRanksAsk, api.JobRanks),
    r => readRanks(desk(r), r.params.id, r.query),
  )
  route.get('/jobs/:id/functions', about('Functions of a job', asks.JobId, asks.FunctionsAsk, api.Functions), r =>
    readFunctions(desk(r), { ...r.query, job: r.params.id }),
  )
  route.get('/jobs/:id/flame', about('Flame graph of a job', asks.JobId, asks.FlameAsk, api.Flame), r =>
    readFlame(desk(r), { ...r.query, job: r.params.id }),
  )
  const file = about("A job's stacks as a file", asks.JobId, asks.JobFileAsk, api.Stacks)
  route.get('/jobs/:id/stacks', file, async (r, reply) =>
    sendFile(reply, await readStacks(desk(r), { ...r.query, job: r.params.id })),
  )
  route.get('/jobs/:id/processes', about('Processes of a job', asks.JobId, asks.ProcessesAsk, api.Processes), r =>
    readProcesses(desk(r), { ...r.query, job: r.params.id }),
  )
  route.get(
    '/jobs/:id/categories',
    about("A job's time by category", asks.JobId, asks.CategoriesAsk, api.Categories),
    r => readCategories(desk(r), { ...r.query, job: r.params.id }),
  )
}

function addBurstRoutes(app: FastifyInstance, { desk }: Room): void {
  const route = app.withTypeProvider<TypeBoxTypeProvider>()
  const started = { body: api.BurstAsk, response: { 201: api.Burst, ...refusals } }
  route.post(
    '/bursts',
    {
      config: { access: 'act' },
      schema: {
        summary: 'Look closer: sample a process, a rank, a job or nodes at a high rate for a while',
        ...started,
      },
    },
    async (r, reply) =>
      reply.code(201).send(await startBurst(desk({ who: r.who, signal: undefined }), r.body, r.who?.user ?? '')),
  )
  route.get('/bursts', question('Closer looks, newest first', asks.BurstsAsk, api.Bursts), r =>
    readBursts(desk(r), r.query),
  )
  route.get('/bursts/:id', about('One closer look', asks.BurstId, asks.OfCluster, api.Burst), r =>
    readBurst(desk(r), r.params.id, r.query.cluster),
  )
  const stopping = about('Stop a closer look', asks.BurstId, asks.OfCluster, api.Burst)
  route.delete('/bursts/:id', { ...stopping, config: { access: 'act' } }, r =>
    stopBurst(desk({ who: r.who, signal: undefined }), r.params.id, r.query.cluster),
  )
}
