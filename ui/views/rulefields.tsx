/** The fields of a rule. */
import { useState } from 'preact/hooks'
import type { AlertRules } from '../../query/api.ts'
import { ask, useAnswer } from '../client.ts'
import { t } from '../words.ts'
import { Line } from './alertquiet.tsx'
import type { Page } from './scope.ts'

export type Rule = AlertRules['rules'][number]['rule']

type More = { [K in keyof Rule]?: Rule[K] | undefined }
type Set = (more: More) => void

/** What is empty is left out: the server says of what must be there that it is missing. */
export const changed = (rule: Rule, more: More): Rule =>
  Object.fromEntries(
    Object.entries({ ...rule, ...more }).filter(([, value]) => value !== undefined && value !== ''),
  ) as Rule

interface FieldsProps {
  page: Page
  rule: Rule
  known: AlertRules
  set: Set
}

const KINDS = ['metric', 'figure', 'function'] as const

export function Fields({ page, rule, known, set }: FieldsProps) {
  return (
    <>
      <Line name={t('rule.name')} value={rule.name} set={name => set({ name })} hint="node-hot" />
      <Pick
        name={t('rule.scope')}
        chosen={rule.scope}
        of={['node', 'job', 'process', 'function', 'cluster']}
        word={name => t(`rule.scope.${name}`)}
        set={scope => set({ scope })}
      />
      <Subject page={page} rule={rule} known={known} set={set} />
      <Pick
        name={t('rule.test')}
        chosen={rule.test ?? 'value'}
        of={['value', 'change', 'peers', 'absent']}
        word={name => t(`rule.test.${name}`)}
        set={test => set({ test: test === 'value' ? undefined : test })}
      />
      <Pick
        name={t('rule.aggregate')}
        chosen={rule.aggregate ?? 'avg'}
        of={['avg', 'max', 'min', 'last']}
        word={name => t(`rule.aggregate.${name}`)}
        set={aggregate => set({ aggregate: aggregate === 'avg' ? undefined : aggregate })}
      />
      <Limits rule={rule} set={set} />
      <Line name={t('rule.window')} value={rule.window ?? ''} set={window => set({ window })} hint="5m" />
      <Line name={t('rule.for')} value={rule.for ?? ''} set={text => set({ for: text })} hint="0s" />
      <Told rule={rule} set={set} />
    </>
  )
}

/** What is watched, of what there is for its scope. */
function Subject({ page, rule, known, set }: FieldsProps) {
  const kind = KINDS.find(name => rule[name] !== undefined) ?? 'metric'
  const catalogue = useAnswer(ask.catalogue(page.cluster), page.cluster)
  const options =
    kind === 'figure'
      ? known.figures.filter(f => f.scope === rule.scope).map(f => [f.name, f.meaning] as const)
      : kind === 'metric'
        ? (catalogue.data?.metrics ?? []).map(
            m => [m.entity === 'node' ? m.column : `${m.entity}.${m.column}`, m.meaning] as const,
          )
        : []
  const subject = rule[kind] ?? ''
  const clear = { metric: undefined, figure: undefined, function: undefined }
  return (
    <>
      <Pick
        name={t('rule.kind')}
        chosen={kind}
        of={KINDS}
        word={name => t(`rule.${name}`)}
        set={name => set({ ...clear, [name]: name === kind ? subject : '?' })}
      />
      <label>
        <span class="dim">{t('rule.watches')}</span>
        <input
          class="field"
          list="watched"
          value={subject}
          title={options.find(([name]) => name === subject)?.[1] ?? ''}
          onInput={event => set({ [kind]: event.currentTarget.value })}
        />
      </label>
      <datalist id="watched">
        {options.map(([name, what]) => (
          <option key={name} value={name}>
            {what}
          </option>
        ))}
      </datalist>
    </>
  )
}

/** How it is told, and to whom. */
const Told = ({ rule, set }: { rule: Rule; set: Set }) => (
  <>
    <Pick
      name={t('rule.severity')}
      chosen={rule.severity ?? 'warning'}
      of={['info', 'warning', 'critical']}
      word={name => t(`alert.${name}`)}
      set={severity => set({ severity })}
    />
    <Check name={t('rule.share')} on={rule.share ?? false} set={share => set({ share: share || undefined })} />
    <Check name={t('rule.owner')} on={rule.owner ?? false} set={owner => set({ owner: owner || undefined })} />
    <div class="all">
      <Line
        name={t('rule.message')}
        value={rule.message ?? ''}
        set={message => set({ message })}
        hint="{node}: {value}"
      />
    </div>
    <div class="all">
      <Line name={t('rule.summary')} value={rule.summary ?? ''} set={summary => set({ summary })} />
    </div>
  </>
)

function Limits({ rule, set }: { rule: Rule; set: Set }) {
  const side = rule.below === undefined ? 'above' : 'below'
  const limit = rule[side]
  if (rule.test === 'absent') return null
  const number = (text: string): number | undefined =>
    text.trim() === '' || Number.isNaN(Number(text)) ? undefined : Number(text)
  return (
    <>
      <Pick
        name={t('rule.side')}
        chosen={side}
        of={['above', 'below']}
        word={name => t(`rule.${name}`)}
        set={name => set({ above: undefined, below: undefined, clear: undefined, [name]: limit })}
      />
      <Decimal key={side} name={t('rule.limit')} value={limit} set={text => set({ [side]: number(text) })} />
      <Decimal name={t('rule.clear')} value={rule.clear} set={text => set({ clear: number(text) })} />
    </>
  )
}

/** Keeps what is typed: "0." is on its way to 0.5. */
function Decimal(props: { name: string; value: number | undefined; set: (text: string) => void }) {
  const [text, setText] = useState(String(props.value ?? ''))
  const type = (typed: string) => {
    setText(typed)
    props.set(typed)
  }
  return <Line name={props.name} value={text} set={type} />
}

interface PickProps<T extends string> {
  name: string
  chosen: T
  of: readonly T[]
  word?: (value: T) => string
  set: (value: T) => void
}

function Pick<T extends string>({ name, chosen, of, word, set }: PickProps<T>) {
  return (
    <label>
      <span class="dim">{name}</span>
      <select
        class="field"
        value={chosen}
        onChange={event => {
          const picked = of[event.currentTarget.selectedIndex]
          if (picked !== undefined) set(picked)
        }}
      >
        {of.map(value => (
          <option key={value} value={value}>
            {word ? word(value) : value}
          </option>
        ))}
      </select>
    </label>
  )
}

const Check = (props: { name: string; on: boolean; set: (on: boolean) => void }) => (
  <label class="check">
    <input type="checkbox" checked={props.on} onChange={event => props.set(event.currentTarget.checked)} /> {props.name}
  </label>
)
