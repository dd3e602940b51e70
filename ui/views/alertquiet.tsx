/** Silences, and messages that did not arrive yet. */
import { useState } from 'preact/hooks'
import type { Alert, Deliveries, Silences as SilenceList } from '../../query/api.ts'
import { AskError, ask, order, useAnswer } from '../client.ts'
import { formatAgo, formatSpan, formatTime } from '../format.ts'
import { t } from '../words.ts'
import { Panel } from './panel.tsx'
import { Popover } from './popover.tsx'
import type { Page } from './scope.ts'
import { Empty, Shown } from './states.tsx'

const LENGTHS = ['1h', '4h', '1d', '7d', '30d'] as const
const MS: Readonly<Record<string, number>> = { h: 3_600_000, d: 86_400_000 }
const msOf = (text: string): number => Number(text.slice(0, -1)) * (MS[text.slice(-1)] ?? 0)
/** What tells an alert from others, and may be left out one by one. */
const NAMES = ['rule', 'node', 'job', 'user', 'instance', 'pid'] as const

export function SilenceButton({ alert, again }: { alert: Alert; again: () => void }) {
  return (
    <Popover label={t('silence.why')} class="button plain" face={t('silence.open')} right>
      {close => <SilenceSheet alert={alert} close={close} again={again} />}
    </Popover>
  )
}

function SilenceSheet({ alert, close, again }: { alert: Alert; close: () => void; again: () => void }) {
  const given = NAMES.flatMap(name =>
    alert.labels[name] === undefined ? [] : [[name, alert.labels[name] ?? ''] as const],
  )
  const [match, setMatch] = useState<Record<string, string>>(Object.fromEntries(given.slice(0, 2)))
  const [length, setLength] = useState<string>('4h')
  const [comment, setComment] = useState('')
  const [author, setAuthor] = useState('')
  const [refusal, setRefusal] = useState('')
  const toggle = (name: string, value: string) => {
    const { [name]: had, ...rest } = match
    setMatch(had === undefined ? { ...match, [name]: value } : rest)
  }
  const silence = async () => {
    try {
      await order.silence({ match, until: Date.now() + msOf(length), comment, author })
      again()
      close()
    } catch (error) {
      setRefusal(error instanceof AskError ? error.message : String(error))
    }
  }
  return (
    <form
      class="alert-form"
      onSubmit={event => {
        event.preventDefault()
        void silence()
      }}
    >
      <p class="soft">{t('silence.why')}</p>
      {given.map(([name, value]) => (
        <label key={name} class="check">
          <input type="checkbox" checked={match[name] !== undefined} onChange={() => toggle(name, value)} />
          <span class="dim">{name}</span> {value}
        </label>
      ))}
      <label>
        <span class="dim">{t('silence.for')}</span>
        <select class="field" value={length} onChange={event => setLength(event.currentTarget.value)}>
          {LENGTHS.map(text => (
            <option key={text} value={text}>
              {text}
            </option>
          ))}
        </select>
      </label>
      <Line name={t('silence.comment')} value={comment} set={setComment} />
      <Line name={t('silence.name')} value={author} set={setAuthor} />
      <button type="submit" class="button" disabled={Object.keys(match).length === 0}>
        {t('silence.go')}
      </button>
      <Refusal text={refusal} />
    </form>
  )
}

export const Line = (props: { name: string; value: string; set: (value: string) => void; hint?: string }) => (
  <label>
    <span class="dim">{props.name}</span>
    <input
      class="field"
      value={props.value}
      placeholder={props.hint ?? ''}
      onInput={event => props.set(event.currentTarget.value)}
    />
  </label>
)

export const Refusal = ({ text }: { text: string }) =>
  text === '' ? null : (
    <p class="refusal" role="alert">
      {text}
    </p>
  )

export function Silences({ page }: { page: Page }) {
  const answer = useAnswer(ask.silences(), '', page.now)
  const [refusal, setRefusal] = useState('')
  const end = (id: string) =>
    order
      .endSilence(id)
      .then(answer.again, error => setRefusal(error instanceof AskError ? error.message : String(error)))
  return (
    <Panel title={t('silence.title')} name="silences" answers={[answer]}>
      <Refusal text={refusal} />
      <Shown answer={answer}>
        {data =>
          data.silences.length === 0 ? (
            <Empty title={t('silence.none')}>
              <p>{t('silence.noneWhy')}</p>
            </Empty>
          ) : (
            <SilenceTable silences={data.silences} nowMs={page.now} end={end} />
          )
        }
      </Shown>
    </Panel>
  )
}

function SilenceTable(props: { silences: SilenceList['silences']; nowMs: number; end: (id: string) => void }) {
  return (
    <table class="table">
      <thead>
        <tr>
          <th scope="col">{t('silence.matches')}</th>
          <th scope="col">{t('silence.reason')}</th>
          <th scope="col">{t('silence.author')}</th>
          <th scope="col" class="num">
            {t('alert.since')}
          </th>
          <th scope="col" class="num">
            {t('alert.until')}
          </th>
          <th scope="col" />
        </tr>
      </thead>
      <tbody>
        {props.silences.map(s => (
          <tr key={s.id} class={s.until <= props.nowMs ? 'quiet' : ''}>
            <td>
              <code class="cut">
                {Object.entries(s.match)
                  .map(([name, value]) => `${name}=${value}`)
                  .join(' ')}
              </code>
            </td>
            <td>
              <span class="cut">{s.comment}</span>
            </td>
            <td class="fit">{s.author}</td>
            <td class="num soft">{formatTime(s.from)}</td>
            <td class="num">{s.until <= props.nowMs ? t('silence.over') : formatTime(s.until)}</td>
            <td class="fit">
              {s.until > props.nowMs && (
                <button type="button" class="button plain" onClick={() => props.end(s.id)}>
                  {t('silence.end')}
                </button>
              )}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  )
}

export function Messages({ page }: { page: Page }) {
  const answer = useAnswer(ask.deliveries(), '', page.now)
  const rules = useAnswer(ask.alertRules())
  return (
    <Panel title={t('message.title')} name="messages" answers={[answer]}>
      <Shown answer={answer}>
        {data =>
          data.deliveries.length === 0 ? (
            <Empty title={t('message.none')}>
              <p>
                {rules.data?.receivers.length === 0
                  ? t('message.noReceivers')
                  : t('message.noneWhy', { count: data.delivered })}
              </p>
            </Empty>
          ) : (
            <MessageTable deliveries={data.deliveries} nowMs={page.now} again={answer.again} />
          )
        }
      </Shown>
    </Panel>
  )
}

interface MessageProps {
  deliveries: Deliveries['deliveries']
  nowMs: number
  again: () => void
}

function MessageTable({ deliveries, nowMs, again }: MessageProps) {
  return (
    <table class="table messages">
      <thead>
        <tr>
          {(['message.to', 'message.about', 'message.error'] as const).map(word => (
            <th key={word} scope="col">
              {t(word)}
            </th>
          ))}
          <th scope="col" class="num">
            {t('message.tries')}
          </th>
          <th scope="col" class="num">
            {t('alert.since')}
          </th>
          <th scope="col" />
        </tr>
      </thead>
      <tbody>
        {deliveries.map(d => (
          <MessageLine key={d.id} delivery={d} nowMs={nowMs} again={again} />
        ))}
      </tbody>
    </table>
  )
}

interface LineProps extends Omit<MessageProps, 'deliveries'> {
  delivery: Deliveries['deliveries'][number]
}

function MessageLine({ delivery: d, nowMs, again }: LineProps) {
  return (
    <tr>
      <td class="fit">{d.receiver}</td>
      <td>
        <code class="cut">{d.group}</code>
      </td>
      <td>
        <span class="cut" title={d.error}>
          {d.error}
        </span>
      </td>
      <td class="num">{d.tries}</td>
      <td class="num soft">{formatAgo(d.created, nowMs)}</td>
      <td class="fit">
        {d.status === 'waiting' ? (
          <span class="dim">{t('message.soon', { length: formatSpan(Math.max(0, d.next - nowMs)) })}</span>
        ) : (
          <>
            <span class="badge alert">{t('message.dead')}</span>
            <button type="button" class="button plain" onClick={() => order.sendAgain(d.id).then(again, again)}>
              {t('message.again')}
            </button>
            <button type="button" class="button plain" onClick={() => order.dropDelivery(d.id).then(again, again)}>
              {t('message.drop')}
            </button>
          </>
        )}
      </td>
    </tr>
  )
}
