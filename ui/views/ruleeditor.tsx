/** A rule in a form, or as JSON where the form has no field; tried on the past before it is saved. */
import { useState } from 'preact/hooks'
import type { AlertRules, RuleTest } from '../../query/api.ts'
import { AskError, order } from '../client.ts'
import { formatSpan } from '../format.ts'
import { nameOf } from '../ready.ts'
import { go, placeWith } from '../state.ts'
import { RANGES } from '../time.ts'
import { type Key, t } from '../words.ts'
import { Refusal } from './alertquiet.tsx'
import { AlertTable } from './alerttable.tsx'
import { Panel } from './panel.tsx'
import { changed, Fields, type Rule } from './rulefields.tsx'
import type { Page } from './scope.ts'

export const NEW_RULE: Rule = { name: '', scope: 'node', metric: 'cpu_busy', above: 0.9, window: '5m', for: '5m' }

interface Props {
  page: Page
  given: Rule
  entry: AlertRules['rules'][number] | undefined
  known: AlertRules
  again: () => void
}

export function RuleEditor({ page, given, entry, known, again }: Props) {
  const { rule, setRule, text, setText, refusal, attempt, written, turn } = useRule(given)
  const back = () => go(placeWith(page.place, { rule: undefined }))
  const done = async (asked: Promise<unknown>) => {
    await asked
    again()
    back()
  }
  const save = () =>
    attempt(() => {
      const asked = written()
      const name = typeof asked === 'object' && asked !== null && 'name' in asked ? String(asked.name) : ''
      return done(order.saveRule(name, asked))
    })
  const drop = () => attempt(() => done(order.dropRule(rule.name)))
  const submit = (event: Event) => {
    event.preventDefault()
    void save()
  }
  return (
    <Panel title={nameOf(given.name) || t('rule.new')} name={`rule-${given.name}`}>
      <form class="alert-form wide" onSubmit={submit}>
        {text === undefined ? (
          <Fields page={page} rule={rule} known={known} set={more => setRule(changed(rule, more))} />
        ) : (
          <AsJson text={text} set={setText} />
        )}
        <Buttons {...{ asJson: text !== undefined, turn, back }} drop={entry?.origin === 'page' ? drop : undefined} />
        <div class="all">
          <Refusal text={refusal} />
        </div>
      </form>
      <Trial page={page} written={written} />
    </Panel>
  )
}

/** What is being written, in the form or as JSON, and why the last attempt was refused. */
function useRule(given: Rule) {
  const [rule, setRule] = useState<Rule>(given)
  const [text, setText] = useState<string | undefined>(undefined)
  const [refusal, setRefusal] = useState('')
  const attempt = async (what: () => unknown) => {
    setRefusal('')
    try {
      await what()
    } catch (error) {
      setRefusal(error instanceof AskError || error instanceof SyntaxError ? error.message : String(error))
    }
  }
  const turn = () =>
    attempt(() => {
      if (text === undefined) return setText(JSON.stringify(rule, null, 2))
      setRule(parseRule(text))
      setText(undefined)
    })
  const written = (): unknown => (text === undefined ? rule : JSON.parse(text))
  return { rule, setRule, text, setText, refusal, attempt, written, turn }
}

const AsJson = ({ text, set }: { text: string; set: (text: string) => void }) => (
  <textarea
    class="field mono all"
    aria-label={t('rule.advanced')}
    value={text}
    spellcheck={false}
    onInput={event => set(event.currentTarget.value)}
  />
)

interface ButtonsProps {
  asJson: boolean
  turn: () => void
  back: () => void
  /** Given where there is something to take back. */
  drop: (() => void) | undefined
}

const Buttons = ({ asJson, turn, back, drop }: ButtonsProps) => (
  <div class="alert-buttons all">
    <button type="submit" class="button">
      {t('rule.save')}
    </button>
    <button type="button" class="button plain" aria-pressed={asJson} onClick={turn}>
      {t('rule.advanced')}
    </button>
    {drop && (
      <button type="button" class="button plain" title={t('rule.dropWhy')} onClick={drop}>
        {t('rule.drop')}
      </button>
    )}
    <button type="button" class="button plain" onClick={back}>
      {t('close')}
    </button>
  </div>
)

/** The server checks what it is when it is saved or tried. */
const parseRule = (text: string): Rule => JSON.parse(text) as Rule

const TRIED = ['1h', '1d', '7d', '30d'] as const

/** Would it have fired? */
function Trial({ page, written }: { page: Page; written: () => unknown }) {
  const [range, setRange] = useState<(typeof TRIED)[number]>('1d')
  const [state, setState] = useState<RuleTest | Key | { refusal: string } | undefined>(undefined)
  const attempt = async () => {
    setState('rule.trying')
    try {
      const to = Date.now()
      setState(await order.testRule({ cluster: page.cluster, rule: written(), from: to - (RANGES[range] ?? 0), to }))
    } catch (error) {
      setState({ refusal: error instanceof AskError || error instanceof SyntaxError ? error.message : String(error) })
    }
  }
  return (
    <div class="pad">
      <div class="alert-buttons">
        <span class="dim">{t('rule.try')}</span>
        <span class="choices">
          {TRIED.map(length => (
            <button
              key={length}
              type="button"
              class="button"
              aria-pressed={range === length}
              onClick={() => setRange(length)}
            >
              {length}
            </button>
          ))}
        </span>
        <button type="button" class="button" disabled={state === 'rule.trying'} onClick={attempt}>
          {t('rule.tryGo')}
        </button>
      </div>
      <div role="status">
        {typeof state === 'string' && <p class="dim">{t(state)}</p>}
        {typeof state === 'object' && 'refusal' in state && <Refusal text={state.refusal} />}
        {typeof state === 'object' && 'fired' in state && <Tried page={page} tested={state} />}
      </div>
    </div>
  )
}

function Tried({ page, tested }: { page: Page; tested: RuleTest }) {
  const words = {
    count: tested.fired,
    firing: tested.firing,
    range: formatSpan(tested.to - tested.from),
    step: formatSpan(tested.step),
  }
  return (
    <>
      <p>
        <b>{t(tested.fired === 0 ? 'rule.triedNone' : 'rule.tried', words)}</b>
      </p>
      {tested.alerts.length > 0 && <AlertTable page={page} alerts={tested.alerts} />}
    </>
  )
}
