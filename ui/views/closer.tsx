/** A closer look (burst) at what the stacks are of: asked for, watched, found again. Its id is in the address. */
import { useEffect, useState } from 'preact/hooks'
import type { Burst } from '../../query/api.ts'
import { AskError, ask, order, type Scope, useAnswer } from '../client.ts'
import { formatCount, formatTime } from '../format.ts'
import { mayAct, session } from '../session.ts'
import { formatPlace, go, place, placeWith, useStore } from '../state.ts'
import { t } from '../words.ts'
import { newestBurst } from './live.ts'
import { Popover } from './popover.tsx'

const RATES = [99, 499, 997, 1999] as const
const LENGTHS = [10, 30, 60, 120, 300] as const
const SHOWN_BEFORE = 8
/** Zoom, search and transforms belong to the profile that they were made on. */
const FRESH = { zoom: undefined, box: undefined } as const

const showBurst = (id: string | undefined) => go(placeWith(place.get(), { ...FRESH, burst: id }, []))
const isOpen = (burst: Burst): boolean => burst.state === 'asked' || burst.state === 'running'

/** What a scope of stacks can be looked at closer: of the whole cluster nothing is. */
export const canLookCloser = (scope: Scope): boolean => scope.job !== undefined || scope.node !== undefined

export function CloserButton({ scope }: { scope: Scope }) {
  if (!mayAct(useStore(session))) return null
  return (
    <Popover label={t('burst.why')} class="button" face={t('burst.open')}>
      {close => <CloserSheet scope={scope} close={close} />}
    </Popover>
  )
}

function CloserSheet({ scope, close }: { scope: Scope; close: () => void }) {
  const [hz, setHz] = useState(499)
  const [seconds, setSeconds] = useState(30)
  const [rank, setRank] = useState(scope.rank)
  const [asking, setAsking] = useState(false)
  const [refusal, setRefusal] = useState('')
  const start = async () => {
    setAsking(true)
    setRefusal('')
    try {
      const { cluster, job, node, pid, start } = scope
      showBurst((await order.startBurst(defined({ cluster, job, node, pid, start, rank, hz, seconds }))).id)
      close()
    } catch (error) {
      setRefusal(error instanceof AskError ? error.message : String(error))
      setAsking(false)
    }
  }
  return (
    <div class="closer">
      <p class="soft">{t('burst.why')}</p>
      <Choice name={t('burst.rate')} values={RATES} chosen={hz} set={setHz} word={value => `${value} Hz`} />
      <Choice
        name={t('burst.length')}
        values={LENGTHS}
        chosen={seconds}
        set={setSeconds}
        word={value => `${value} s`}
      />
      {scope.job !== undefined && scope.pid === undefined && <Ranks scope={scope} chosen={rank} set={setRank} />}
      <button type="button" class="button" disabled={asking} onClick={start}>
        {t(asking ? 'burst.starting' : 'burst.start')}
      </button>
      {refusal !== '' && (
        <p class="refusal" role="alert">
          {refusal}
        </p>
      )}
      <Before scope={scope} close={close} />
    </div>
  )
}

/** The same without what is not there: what is sent has no undefined. */
function defined<T extends object>(asked: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(asked).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]: Exclude<T[K], undefined>
  }
}

interface ChoiceProps {
  name: string
  values: readonly number[]
  chosen: number
  set: (value: number) => void
  word: (value: number) => string
}

function Choice({ name, values, chosen, set, word }: ChoiceProps) {
  return (
    <label>
      <span class="dim">{name}</span>
      <select class="field" aria-label={name} value={chosen} onChange={event => set(Number(event.currentTarget.value))}>
        {values.map(value => (
          <option key={value} value={value}>
            {word(value)}
          </option>
        ))}
      </select>
    </label>
  )
}

/** The ranks whose processes were seen, where the job has any. */
function Ranks(props: { scope: Scope; chosen: number | undefined; set: (rank: number | undefined) => void }) {
  const { cluster, job, node } = props.scope
  const seen = useAnswer(ask.processes({ cluster, job, node }, 'cpu', 1000), job)
  const ranks = new Map<number, string>()
  for (const p of seen.data?.processes ?? []) if (p.rank !== null && !ranks.has(p.rank)) ranks.set(p.rank, p.node)
  if (ranks.size === 0) return null
  const sorted = [...ranks].sort((a, b) => a[0] - b[0])
  return (
    <label>
      <span class="dim">{t('burst.rank')}</span>
      <select
        class="field"
        aria-label={t('burst.rank')}
        value={props.chosen ?? ''}
        onChange={event => props.set(event.currentTarget.value === '' ? undefined : Number(event.currentTarget.value))}
      >
        <option value="">{t('burst.allRanks')}</option>
        {sorted.map(([rank, on]) => (
          <option key={rank} value={rank}>
            {rank} ({on})
          </option>
        ))}
      </select>
    </label>
  )
}

function Before({ scope, close }: { scope: Scope; close: () => void }) {
  const before = useAnswer(ask.bursts(scope, SHOWN_BEFORE))
  const here = useStore(place)
  if (before.error) return null
  return (
    <>
      <p class="title">{t('burst.before')}</p>
      {before.data?.bursts.length === 0 && <p class="dim">{t('burst.none')}</p>}
      {before.data?.bursts.map(b => (
        <a key={b.id} class="option" href={formatPlace(placeWith(here, { ...FRESH, burst: b.id }, []))} onClick={close}>
          <span class="cut">
            {formatTime(b.from)} · {b.hz} Hz{b.rank === undefined ? '' : ` · ${t('burst.ofRank', { rank: b.rank })}`}
          </span>
          <span class="dim">{stateOf(b, b.updatedMs)}</span>
        </a>
      ))}
    </>
  )
}

function stateOf(burst: Burst, nowMs: number): string {
  const { state, seconds: length } = burst
  if (state === 'lost') return t('burst.isLost')
  if (state !== 'running') return t(`burst.${state}`, { length })
  return t('burst.running', { seconds: secondsOf(burst, nowMs), length })
}

const secondsOf = (burst: Burst, nowMs: number): number =>
  Math.max(0, Math.min(burst.seconds, Math.round((nowMs - burst.from) / 1000)))

/** The burst of the address: from the line as it changes, else asked for. `tick` moves while it may bring more. */
export function useBurst(cluster: string, id: string | undefined, tick: number): Burst | undefined {
  const answer = useAnswer(id === undefined ? undefined : ask.burst(cluster, id), id, tick)
  const heard = useStore(newestBurst)
  const told = heard?.id === id ? heard : undefined
  const asked = answer.data?.id === id ? answer.data : undefined
  const burst = (told?.updatedMs ?? 0) > (asked?.updatedMs ?? 0) ? told : asked
  return id === undefined ? undefined : burst
}

const ASK_EVERY_MS = 2000
/** The last samples may come to the store later than the end is told; or be of other processes than are shown. */
const ASK_AFTER_MS = 60_000

/** Asks again while a burst runs, and soon after its end until all its samples are there. Returns whether more may come. */
export function useMore(burst: Burst | undefined, samples: number, again: (tick: number) => void): boolean {
  const open = burst !== undefined && isOpen(burst)
  const fresh = burst !== undefined && Date.now() - burst.updatedMs < ASK_AFTER_MS
  const more = open || (fresh && samples < burst.samples)
  useEffect(() => {
    if (!more) return
    const timer = setInterval(() => again(Date.now()), ASK_EVERY_MS)
    return () => {
      clearInterval(timer)
      // The other views of it were perhaps answered a moment earlier than the one that showed all.
      again(Date.now())
    }
  }, [burst?.id, more])
  return more
}

/** What is shown in place of the continuous profile, and how it goes. */
export function CloserStrip({ burst }: { burst: Burst }) {
  const open = isOpen(burst)
  return (
    <div class="closer-strip" role="status">
      <b>{t('burst.shown', { hz: burst.hz })}</b>
      {burst.rank !== undefined && <span>{t('burst.ofRank', { rank: burst.rank })}</span>}
      <span>{stateOf(burst, Date.now())}</span>
      {open && <progress max={burst.seconds} value={secondsOf(burst, Date.now())} aria-label={t('burst.progress')} />}
      <span class="soft">{t('burst.samples', { count: formatCount(burst.samples) })}</span>
      {burst.lost > 0 && <span class="badge warn">{t('burst.lost', { count: formatCount(burst.lost) })}</span>}
      {burst.reason && <span class="badge alert">{burst.reason}</span>}
      <span class="space" />
      {open && (
        <button type="button" class="button" onClick={() => order.stopBurst(burst.cluster, burst.id).catch(() => {})}>
          {t('burst.stop')}
        </button>
      )}
      <button type="button" class="button" onClick={() => showBurst(undefined)}>
        {t('burst.back')}
      </button>
    </div>
  )
}
