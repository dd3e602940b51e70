/** The states that teach: what is being asked, what failed and what to do, what to run where nothing is. */
import type { ComponentChildren } from 'preact'
import type { Answer } from '../client.ts'
import { t } from '../words.ts'

export const Asking = ({ words }: { words: string }) => (
  <div class="state" role="status">
    <p>{words}</p>
  </div>
)

export function Failed({ answer }: { answer: Pick<Answer<unknown>, 'error' | 'question' | 'again'> }) {
  return (
    <div class="state failed" role="alert">
      <b>{t('error.title', { asked: answer.question?.words ?? '' })}</b>
      <p>{answer.error?.message}</p>
      <button type="button" class="button" onClick={answer.again}>
        {t('error.again')}
      </button>
    </div>
  )
}

export const Empty = (props: { title: string; children?: ComponentChildren }) => (
  <div class="state">
    <b>{props.title}</b>
    {props.children}
  </div>
)

/** The answer's data, or the state it is in. An old answer stays while the next is asked for. */
export function Shown<T>(props: { answer: Answer<T>; children: (data: T) => ComponentChildren }) {
  const { answer } = props
  if (answer.data !== undefined) return <>{props.children(answer.data)}</>
  if (answer.error) return <Failed answer={answer} />
  return <Asking words={answer.question?.words ?? t('ask.span')} />
}
