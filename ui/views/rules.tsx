/** All rules as they are in force; one is opened in the editor. */
import { useState } from 'preact/hooks'
import type { AlertRules } from '../../query/api.ts'
import { AskError, ask, order, useAnswer } from '../client.ts'
import { formatValue } from '../format.ts'
import { nameOf, summaryOf } from '../ready.ts'
import { formatPlace, placeWith } from '../state.ts'
import { t } from '../words.ts'
import { Refusal } from './alertquiet.tsx'
import { Panel } from './panel.tsx'
import { NEW_RULE, RuleEditor } from './ruleeditor.tsx'
import type { Rule } from './rulefields.tsx'
import type { Page } from './scope.ts'
import { Shown } from './states.tsx'

type Entry = AlertRules['rules'][number]

export function RuleList({ page }: { page: Page }) {
  const answer = useAnswer(ask.alertRules(), '', page.now)
  const wanted = page.place.query.rule ?? ''
  return (
    <Shown answer={answer}>
      {data => {
        const entry = data.rules.find(r => r.rule.name === wanted)
        if (wanted !== '') {
          const rule = entry?.rule ?? { ...NEW_RULE, name: wanted === NEW ? '' : wanted }
          return <RuleEditor key={wanted} page={page} given={rule} entry={entry} known={data} again={answer.again} />
        }
        return <List page={page} data={data} again={answer.again} />
      }}
    </Shown>
  )
}

/** In the address, for a rule that has no name yet. */
const NEW = '+'
const toRule = (page: Page, name: string): string => formatPlace(placeWith(page.place, { rule: name }))

function List({ page, data, again }: { page: Page; data: AlertRules; again: () => void }) {
  const [refusal, setRefusal] = useState('')
  const turn = (rule: Rule) =>
    order
      .saveRule(rule.name, { ...rule, enabled: rule.enabled === false })
      .then(again, error => setRefusal(error instanceof AskError ? error.message : String(error)))
  return (
    <Panel
      title={t('alerts.rules')}
      name="rules"
      head={
        <a class="button" href={toRule(page, NEW)}>
          {t('rule.new')}
        </a>
      }
      sheet={() => ({
        columns: ['rule', 'from', 'enabled', 'severity', 'condition', 'firing', 'pending'],
        rows: data.rules.map(e => [
          ...[e.rule.name, e.origin, String(e.rule.enabled !== false), e.rule.severity ?? 'warning', conditionOf(e)],
          ...[e.firing, e.pending],
        ]),
      })}
    >
      {data.fileError !== null && <Refusal text={`${t('rule.fileWrong')}\n${data.fileError}`} />}
      <Refusal text={refusal} />
      <div class="scroll tall">
        <table class="table alerts rules">
          <thead>
            <tr>
              {(['rule.name', 'rule.condition', 'alert.severity', 'rule.origin'] as const).map(word => (
                <th key={word} scope="col">
                  {t(word)}
                </th>
              ))}
              <th scope="col" />
            </tr>
          </thead>
          <tbody>
            {data.rules.map(entry => (
              <Line key={entry.rule.name} page={page} entry={entry} turn={turn} />
            ))}
          </tbody>
        </table>
      </div>
    </Panel>
  )
}

function Line({ page, entry, turn }: { page: Page; entry: Entry; turn: (rule: Rule) => void }) {
  const { rule, origin, firing, pending, error } = entry
  const off = rule.enabled === false
  const [called, summary] = [nameOf(rule.name), summaryOf(rule.name, rule.summary ?? '')]
  return (
    <tr class={off ? 'quiet' : ''}>
      <td>
        <a class="cut main" href={toRule(page, rule.name)}>
          {called}
        </a>
        <span class="cut dim" title={summary}>
          {called === rule.name ? summary : `${rule.name} · ${summary}`}
        </span>
      </td>
      <td>
        <span class="cut">{conditionOf(entry)}</span>
        {error !== null && <span class="cut refusal">{t('rule.error', { error })}</span>}
      </td>
      <td class="fit">
        <span class={`alert-state ${rule.severity ?? 'warning'}`}>{t(`alert.${rule.severity ?? 'warning'}`)}</span>
      </td>
      <td class="fit soft">{t(`rule.${origin}`)}</td>
      <td class="num">
        {firing > 0 && <span class="badge alert">{t('rule.fires', { count: firing })}</span>}{' '}
        {pending > 0 && <span class="badge warn">{t('rule.waits', { count: pending })}</span>}{' '}
        <button type="button" class="button plain" onClick={() => turn(rule)}>
          {t(off ? 'rule.switchOn' : 'rule.switchOff')}
        </button>
      </td>
    </tr>
  )
}

/** `job: cpu_efficiency below 2.0%, over 10m, for 5m` */
function conditionOf({ rule, unit }: Entry): string {
  const subject = rule.metric ?? rule.figure ?? rule.function ?? ''
  const scope = t(`rule.scope.${rule.scope}`)
  if (rule.test === 'absent') return `${scope}: ${subject}, ${t('rule.test.absent')}`
  const side = rule.above === undefined ? 'below' : 'above'
  const limit = formatValue(unit, rule.above ?? rule.below)
  const test = rule.test === undefined || rule.test === 'value' ? '' : ` (${t(`rule.test.${rule.test}`)})`
  const lasts = rule.for === undefined ? '' : `, ${t('rule.for')} ${rule.for}`
  return `${scope}: ${subject}${test} ${t(`rule.${side}`)} ${limit}, ${t('rule.window')} ${rule.window ?? '5m'}${lasts}`
}
