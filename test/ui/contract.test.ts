/** What the page asks is what the server takes, and what the mock answers is what the server would. */
import type { TSchema } from 'typebox'
import { Value } from 'typebox/value'
import { describe, expect, it } from 'vitest'
import * as api from '../../query/api.ts'
import * as asks from '../../query/asks.ts'
import { ask, type Question, type Scope } from '../../ui/client.ts'
import { answerTo } from './mock/server.ts'

const END = Date.parse('2024-11-23T18:00:00Z')
const scope: Scope = { cluster: 'mock', from: END - 3_600_000, to: END }
const onNode = { ...scope, node: 'n07' }
const process = { ...onNode, pid: 4000, start: END - 5_000_000 }

const QUESTIONS: [string, Question<unknown>, TSchema, TSchema][] = [
  ['clusters', ask.clusters(), asks.Nothing, api.Clusters],
  ['catalogue', ask.catalogue('mock'), asks.OfCluster, api.Catalogue],
  ['nodes', ask.nodes('mock'), asks.NodesAsk, api.Nodes],
  ['node', ask.node(scope, 'n64'), asks.NodeAsk, api.NodeDetail],
  ['heatmap', ask.heatmap(scope, 'cpu_busy', 'job', 250), asks.HeatmapAsk, api.Heatmap],
  ['series', ask.series(onNode, ['cpu_user', 'disk.read_bytes'], 250), asks.SeriesAsk, api.Series],
  ['band', ask.series({ ...scope, job: '1003' }, ['cpu_busy'], 250, true), asks.SeriesAsk, api.Series],
  ['processes', ask.processes({ ...onNode, job: '1003' }, 'read', 15), asks.ProcessesAsk, api.Processes],
  ['process', ask.process(process, 250), asks.ProcessAsk, api.ProcessDetail],
  ['flame', ask.flame(process, 'topdown'), asks.FlameAsk, api.Flame],
  ['sandwich', ask.flame(scope, 'bottomup', 'opal_progress'), asks.FlameAsk, api.Flame],
  ['functions', ask.functions(scope, 'total', 'mpi', 150), asks.FunctionsAsk, api.Functions],
  [
    'compare',
    ask.compare({ ...scope, job: '1003' }, { otherJob: '1002', otherNode: 'n01', otherRank: 0 }),
    asks.CompareAsk,
    api.Comparison,
  ],
  ['categories', ask.categories({ ...scope, job: '1003' }, 250), asks.CategoriesAsk, api.Categories],
  ['jobs', ask.jobs('mock', { user: 'ann', state: 'running,queued', minNodes: 8, limit: 50 }), asks.JobsAsk, api.Jobs],
  ['job', ask.job('mock', '1003'), asks.OfCluster, api.JobDetail],
  ['jobNodes', ask.jobNodes(scope, '1003', 'cpu_busy', 250), asks.JobNodesAsk, api.JobNodes],
  ['jobRanks', ask.jobRanks(scope, '1003'), asks.JobRanksAsk, api.JobRanks],
  ['bands', ask.bands(onNode), asks.BandsAsk, api.JobBands],
  ['bursts', ask.bursts(process, 8), asks.BurstsAsk, api.Bursts],
  ['burst', ask.burst('mock', 'm1-0badcafe'), asks.OfCluster, api.Burst],
  ['flame of a burst', ask.flame({ cluster: 'mock', burst: 'm1-0badcafe' }, 'topdown'), asks.FlameAsk, api.Flame],
  ['alerts', ask.alerts('mock'), api.AlertsAsk, api.Alerts],
  ['alert history', ask.alertHistory(onNode, 60), api.HistoryAsk, api.AlertHistory],
  ['alert rules', ask.alertRules(), asks.Nothing, api.AlertRules],
  ['silences', ask.silences(), asks.Nothing, api.Silences],
  ['deliveries', ask.deliveries(), asks.Nothing, api.Deliveries],
  ['search', ask.search('mock', 'n0'), asks.SearchAsk, api.Search],
]

describe.each(QUESTIONS)('%s', (_name, question, asked, answered) => {
  const url = new URL(question.url, 'http://mock/')

  it('is a question the server takes', () => {
    const query = Value.Convert(asked, Object.fromEntries(url.searchParams))
    expect([...Value.Errors(asked, query)].map(e => `${e.instancePath} ${e.message}`)).toEqual([])
  })

  it('is answered by the mock as by the server', () => {
    const answer = answerTo({ end: END }, url)
    expect([...Value.Errors(answered, answer)].slice(0, 3).map(e => `${e.instancePath} ${e.message}`)).toEqual([])
  })

  it('says in words what it asks', () => {
    expect(question.words).toMatch(/…$/)
  })
})
