/** `/`: any node, job, user or function, by a few letters. */
import { useEffect, useState } from 'preact/hooks'
import type { Search } from '../../query/api.ts'
import { ask, useAnswer } from '../client.ts'
import { formatPlace, NOWHERE } from '../state.ts'
import { t } from '../words.ts'
import { Modal } from './keys.tsx'

type Hit = Search['hits'][number]

function hrefOf(hit: Hit): string {
  const at = { ...NOWHERE, cluster: hit.cluster }
  switch (hit.kind) {
    case 'node':
      return formatPlace({ ...at, node: hit.name })
    case 'job':
      return formatPlace({ ...at, job: hit.name })
    case 'user':
      return formatPlace({ ...at, jobs: true, query: { q: `user:${hit.name}` } })
    case 'function':
      return formatPlace({ ...at, query: { stacks: 'sandwich', fn: hit.name } })
  }
}

/** The text that is asked for: what was typed, a moment after the last key. */
function useSettled(text: string): string {
  const [asked, setAsked] = useState('')
  useEffect(() => {
    const timer = setTimeout(() => setAsked(text.trim()), 120)
    return () => clearTimeout(timer)
  }, [text])
  return asked
}

/** Enter takes the chosen hit of what stands in the box: pressed before its answer is there, it waits for it. */
export function Jump({ cluster, close }: { cluster: string; close: () => void }) {
  const [text, setText] = useState('')
  const [at, setAt] = useState(0)
  const [entered, setEntered] = useState(false)
  const asked = useSettled(text)
  const answer = useAnswer(asked === '' ? undefined : ask.search(cluster, asked))
  const hits = asked === '' ? [] : (answer.data?.hits ?? [])
  const current = answer.fresh && asked === text.trim()
  const hit = hits[at]
  useEffect(() => {
    if (!entered || !current || !hit) return
    location.hash = hrefOf(hit)
    close()
  }, [entered, current, hit])
  const keys = (event: KeyboardEvent) => {
    const step = event.key === 'ArrowDown' ? 1 : event.key === 'ArrowUp' ? -1 : 0
    if (step !== 0) setAt(Math.max(0, Math.min(hits.length - 1, at + step)))
    else if (event.key === 'Enter') setEntered(true)
    else return
    event.preventDefault()
  }
  const type = (typed: string) => {
    setText(typed)
    setAt(0)
    setEntered(false)
  }
  return (
    <Modal label={t('jump.label')} close={close}>
      {/* biome-ignore lint/a11y/noStaticElementInteractions: arrow keys of the input choose a hit */}
      <div class="jump" onKeyDown={keys}>
        <JumpInput text={text} type={type} open={hits.length > 0} />
        <Hits hits={hits} at={at} close={close} />
        <p class="title">{hintOf(asked, answer.error?.message, answer.fresh, hits.length)}</p>
      </div>
    </Modal>
  )
}

function JumpInput({ text, type, open }: { text: string; type: (typed: string) => void; open: boolean }) {
  return (
    <input
      value={text}
      placeholder={t('jump.placeholder')}
      aria-label={t('jump.label')}
      autofocus
      role="combobox"
      aria-expanded={open}
      aria-controls="hits"
      onInput={event => type(event.currentTarget.value)}
    />
  )
}

const Hits = ({ hits, at, close }: { hits: readonly Hit[]; at: number; close: () => void }) => (
  <div id="hits" role="listbox" aria-label={t('jump.label')}>
    {hits.map((hit, i) => (
      <a
        key={`${hit.kind}${hit.cluster}${hit.name}`}
        class="option"
        role="option"
        aria-selected={i === at}
        href={hrefOf(hit)}
        onClick={close}
      >
        <span class="badge">{t(`kind.${hit.kind}`)}</span>
        <span class="cut">{hit.name}</span>
        <span class="dim cut">{hit.hint}</span>
      </a>
    ))}
  </div>
)

function hintOf(asked: string, error: string | undefined, fresh: boolean, count: number): string {
  if (asked === '') return t('jump.hint')
  if (error !== undefined) return error
  if (!fresh && count === 0) return t('ask.search')
  return count === 0 ? t('jump.none', { text: asked }) : t('jump.go')
}
