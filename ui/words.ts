/** The page's words: English and 中文 beside each other in words/*.ts, chosen by the person. */
import { language } from './prefs.ts'
import { ALERTS } from './words/alerts.ts'
import { CLOSER } from './words/closer.ts'
import { COMPARE } from './words/compare.ts'
import { PAGE } from './words/page.ts'
import { SIGN_IN } from './words/signin.ts'
import { TERMS } from './words/terms.ts'
import { VIEWS } from './words/views.ts'

const WORDS = { ...PAGE, ...VIEWS, ...TERMS, ...CLOSER, ...SIGN_IN, ...ALERTS, ...COMPARE } as const
export type Key = keyof typeof WORDS

export const known = (key: string): key is Key => key in WORDS

/** The word of a key; {name} is filled from `values`. */
export function t(key: Key, values: Readonly<Record<string, string | number>> = {}): string {
  const text = WORDS[key][language.get() === 'zh' ? 1 : 0]
  return text.replaceAll(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole))
}

/** A word of the field that the server sends (a state, a category, a metric); what has no translation stays as it is. */
export function term(group: 'state' | 'category' | 'metric' | 'kind', word: string): string {
  const key = `${group}.${word}`
  return known(key) ? t(key) : word.replaceAll('_', ' ')
}
