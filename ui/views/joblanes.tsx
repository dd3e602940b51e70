/** Jobs as bars on the time axis, the largest first when there is not room for all. */
import { useMemo, useState } from 'preact/hooks'
import type { JobBands } from '../../query/api.ts'
import { jobColour, palette } from '../colour.ts'
import { formatSpan } from '../format.ts'
import { type Lanes, laneHit, layoutLanes } from '../layout/lanes.ts'
import { timeOf, xOf } from '../layout/series.ts'
import { t, term } from '../words.ts'
import { clipped, type Draw, Picture } from './canvas.tsx'
import { drawGrid } from './chart.tsx'
import { goTo, OWN_SPAN, type Page } from './scope.ts'
import { type Frame, Row } from './stack.tsx'
import { showTip } from './tip.tsx'

const LANE = 20
const LANES_MAX = 12

type Band = JobBands['jobs'][number]

/** As many as fit into the lanes: jobs on more nodes first. */
function fitting(jobs: readonly Band[], lanesMax: number): Band[] {
  const bySize = [...jobs].sort((a, b) => b.nodes.length - a.nodes.length || b.to - b.from - (a.to - a.from))
  let count = bySize.length
  while (count > 0 && layoutLanes(bySize.slice(0, count)).count > lanesMax) count = Math.floor(count * 0.8)
  return bySize.slice(0, count)
}

export function JobLanes({ frame, bands, page }: { frame: Frame; bands: JobBands | undefined; page: Page }) {
  const { axis } = frame
  const jobs = useMemo(() => fitting(bands?.jobs ?? [], LANES_MAX), [bands])
  const lanes = useMemo(() => layoutLanes(jobs, (axis.to - axis.from) / 400), [jobs, axis.from, axis.to])
  const [over, setOver] = useState(-1)
  const left = (bands?.jobs.length ?? 0) - jobs.length
  const height = Math.max(LANE, lanes.count * LANE) + 4
  const draw: Draw = pen => {
    drawGrid(pen, axis, height)
    for (const [i, job] of jobs.entries()) drawJob(pen, job, (lanes.lane[i] ?? 0) * LANE + 2, frame, i === over)
  }
  return (
    <Row frame={frame} gutter={<Gutter left={left} />}>
      <div style={{ cursor: over >= 0 ? 'pointer' : 'crosshair' }} {...pointerOf(page, frame, jobs, lanes, setOver)}>
        <Picture
          width={axis.width}
          height={height}
          label={t('lanes.label', { count: jobs.length })}
          deps={[jobs, axis.from, axis.to, over]}
          draw={draw}
        />
      </div>
      {bands && jobs.length === 0 && (
        <div class="why">
          <span>{t('lanes.none')}</span>
        </div>
      )}
    </Row>
  )
}

const Gutter = ({ left }: { left: number }) => (
  <div class="soft">
    {t('lanes.title')}
    {left > 0 && <div class="dim">{t('lanes.more', { count: left })}</div>}
  </div>
)

/** A way for the pointer; the list of jobs is the way for keys. */
function pointerOf(page: Page, { axis }: Frame, jobs: readonly Band[], lanes: Lanes, setOver: (job: number) => void) {
  type Over = MouseEvent & { currentTarget: HTMLElement }
  const under = (event: Over): number => {
    const at = event.currentTarget.getBoundingClientRect()
    return laneHit(jobs, lanes, Math.floor((event.clientY - at.top - 2) / LANE), timeOf(axis, event.clientX - at.left))
  }
  return {
    onPointerMove: (event: PointerEvent & Over) => {
      const i = under(event)
      const job = jobs[i]
      setOver(i)
      showTip(job ? { x: event.clientX, y: event.clientY, content: <JobTip job={job} /> } : undefined)
    },
    onPointerLeave: () => {
      setOver(-1)
      showTip(undefined)
    },
    onClick: (event: Over) => {
      const job = jobs[under(event)]
      showTip(undefined)
      if (job) goTo(page, { job: job.id }, OWN_SPAN)
    },
  }
}

function drawJob(pen: CanvasRenderingContext2D, job: Band, y: number, { axis }: Frame, chosen: boolean): void {
  const x0 = Math.max(0, xOf(axis, job.from))
  const x1 = Math.min(axis.width, xOf(axis, job.to))
  const width = Math.max(2, x1 - x0)
  const p = palette()
  pen.fillStyle = jobColour(job.id)
  pen.globalAlpha = chosen ? 0.5 : 0.3
  pen.fillRect(x0, y + 1, width, LANE - 3)
  pen.globalAlpha = 1
  pen.fillRect(x0, y + 1, 3, LANE - 3)
  pen.fillStyle = p.text
  pen.textBaseline = 'middle'
  const text = clipped(pen, `${job.id} ${job.name} · ${job.user}`, width - 12)
  pen.fillText(text, x0 + 8, y + LANE / 2)
}

const JobTip = ({ job }: { job: Band }) => (
  <>
    <b>
      {job.id} {job.name}
    </b>{' '}
    <span class="soft">{job.user}</span>
    <br />
    {term('state', job.state)} · {t('crumb.nodes', { count: job.nodes.length })} · {formatSpan(job.to - job.from)}
  </>
)
