/** What a person chose for this browser: theme and language. Kept in localStorage; the address stays free of it. */
import { openStore, type Store, useStore } from './state.ts'

export type Theme = 'auto' | 'dark' | 'light'
export type Language = 'en' | 'zh'

function remembered(key: string): string | null {
  try {
    return localStorage.getItem(`jobsight.${key}`)
  } catch {
    return null
  }
}

function remember(key: string, value: string): void {
  try {
    localStorage.setItem(`jobsight.${key}`, value)
  } catch {
    // a browser that keeps nothing: the choice holds until the page is closed
  }
}

const storedTheme = remembered('theme')
export const theme: Store<Theme> = openStore(storedTheme === 'dark' || storedTheme === 'light' ? storedTheme : 'auto')

const storedLanguage = remembered('language') ?? (typeof navigator === 'undefined' ? 'en' : navigator.language)
export const language: Store<Language> = openStore(storedLanguage.startsWith('zh') ? 'zh' : 'en')

/** Dark or light as it is on the screen now. */
export const shownTheme: Store<'dark' | 'light'> = openStore('dark')

export const useTheme = () => useStore(shownTheme)

export function startPrefs(): void {
  const dark = matchMedia('(prefers-color-scheme: dark)')
  const apply = () => {
    const chosen = theme.get()
    const shown = chosen === 'auto' ? (dark.matches ? 'dark' : 'light') : chosen
    document.documentElement.dataset.theme = shown
    shownTheme.set(shown)
  }
  dark.addEventListener('change', apply)
  theme.subscribe(() => {
    remember('theme', theme.get())
    apply()
  })
  language.subscribe(() => {
    remember('language', language.get())
    document.documentElement.lang = language.get()
  })
  document.documentElement.lang = language.get()
  apply()
}
