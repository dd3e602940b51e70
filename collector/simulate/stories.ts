/**
 * The jobs of the simulated cluster. The first ones are planted: each has a fault (or a merit) that the page must show. What
 * comes after them is drawn at random from healthy programs. Times are shares of the history: 0 its begin, 1 its end.
 */
import { cfd } from './apps/cfd.ts'
import { genome } from './apps/genome.ts'
import { molecular } from './apps/molecular.ts'
import { beam, render } from './apps/neighbours.ts'
import { postprocess } from './apps/postprocess.ts'
import { fit, join, notebook } from './apps/serial.ts'
import { training } from './apps/training.ts'
import type { App, SimulatedJob } from './model.ts'

export type StoryKind =
  | 'straggler'
  | 'idle'
  | 'memory_hog'
  | 'io_bound'
  | 'single_core'
  | 'noisy_victim'
  | 'noisy_neighbour'
  | 'healthy_mpi'
  | 'training'
  | 'pipeline'
  | 'earlier_run'
  | 'queued'

export interface Plan {
  kind: StoryKind
  name: string
  user: string
  account: string
  queue?: string
  app: App
  /** Nodes wanted on a cluster of this many. */
  nodes: (cluster: number) => number
  /** Shares of the history; no end: it still runs. */
  submit: number
  begin: number
  end?: number
  ending?: SimulatedJob['state']
  exitCode?: number
  signal?: number
  coresPerNode?: number
  besides?: StoryKind
  timeLimitHours: number
}

const share =
  (part: number, least = 1) =>
  (cluster: number): number =>
    Math.max(least, Math.round(cluster * part))

export const PLANS: readonly Plan[] = [
  {
    kind: 'straggler',
    name: 'channel-les',
    user: 'amara',
    account: 'turbulence',
    app: cfd,
    nodes: share(1 / 8, 4),
    submit: -0.2,
    begin: 0.008,
    timeLimitHours: 24,
  },
  {
    kind: 'idle',
    name: 'interactive',
    user: 'peter',
    account: 'climate',
    app: notebook,
    nodes: share(1 / 8),
    submit: 0.01,
    begin: 0.03,
    timeLimitHours: 12,
  },
  {
    kind: 'memory_hog',
    name: 'census-join',
    user: 'yuki',
    account: 'demography',
    app: join,
    nodes: share(0),
    submit: 0.1,
    begin: 0.12,
    end: 0.93,
    ending: 'out_of_memory',
    exitCode: 0,
    signal: 125,
    timeLimitHours: 8,
  },
  {
    kind: 'io_bound',
    name: 'wake-slices',
    user: 'tomas',
    account: 'turbulence',
    app: postprocess,
    nodes: share(1 / 16),
    submit: 0.02,
    begin: 0.05,
    timeLimitHours: 10,
  },
  {
    kind: 'single_core',
    name: 'glm-fit',
    user: 'ines',
    account: 'demography',
    app: fit,
    nodes: share(0),
    submit: -0.05,
    begin: 0.02,
    timeLimitHours: 48,
  },
  {
    kind: 'noisy_victim',
    name: 'bridge-modes',
    user: 'noor',
    account: 'structures',
    queue: 'shared',
    app: beam,
    nodes: share(0),
    submit: -0.02,
    begin: 0.02,
    coresPerNode: 32,
    timeLimitHours: 24,
  },
  {
    kind: 'noisy_neighbour',
    name: 'harbour-render',
    user: 'kofi',
    account: 'outreach',
    queue: 'shared',
    app: render,
    nodes: share(0),
    submit: 0.3,
    begin: 0.35,
    coresPerNode: 32,
    besides: 'noisy_victim',
    timeLimitHours: 24,
  },
  {
    kind: 'healthy_mpi',
    name: 'lysozyme-npt',
    user: 'liwei',
    account: 'biophysics',
    app: molecular,
    nodes: share(3 / 16),
    submit: -0.01,
    begin: 0.06,
    timeLimitHours: 24,
  },
  {
    kind: 'training',
    name: 'wordvec-small',
    user: 'sofia',
    account: 'language',
    app: training,
    nodes: share(1 / 16),
    submit: 0.1,
    begin: 0.15,
    timeLimitHours: 24,
  },
  {
    kind: 'pipeline',
    name: 'exome-cohort-7',
    user: 'daniel',
    account: 'genomics',
    app: genome,
    nodes: share(6 / 64),
    submit: 0.01,
    begin: 0.04,
    end: 0.78,
    ending: 'failed',
    exitCode: 1,
    timeLimitHours: 12,
  },
  {
    kind: 'earlier_run',
    name: 'channel-les',
    user: 'amara',
    account: 'turbulence',
    app: cfd,
    nodes: share(1 / 8, 4),
    submit: -0.3,
    begin: 0.01,
    end: 0.42,
    ending: 'completed',
    timeLimitHours: 24,
  },
  {
    kind: 'queued',
    name: 'global-ocean',
    user: 'mei',
    account: 'climate',
    app: cfd,
    nodes: share(3 / 4),
    submit: 0.5,
    begin: 0.5,
    timeLimitHours: 24,
  },
]
