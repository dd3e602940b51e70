/** Keys of the whole page, and the list of all of them. */
import { useLayoutEffect, useRef } from 'preact/hooks'
import { shownTheme, theme } from '../prefs.ts'
import { go, placeWith } from '../state.ts'
import { moved, zoomedOut } from '../time.ts'
import { type Key, t } from '../words.ts'
import type { Dialog } from './app.tsx'
import { goTo, type Page } from './scope.ts'
import { zoomTo } from './stack.tsx'

/** Key -> what it does; what `?` lists. */
const LIST: readonly [string, Key][] = [
  ['/', 'keys.jump'],
  ['?', 'keys.list'],
  ['c', 'keys.cluster'],
  ['j', 'keys.jobs'],
  ['a', 'keys.alerts'],
  ['u', 'keys.up'],
  ['1 … 8', 'keys.range'],
  ['−', 'keys.zoomOut'],
  ['+', 'keys.zoomIn'],
  ['[ ]', 'keys.move'],
  ['Esc', 'keys.clear'],
  ['f', 'keys.find'],
  ['d', 'keys.theme'],
  ['← → ↑ ↓', 'keys.arrows'],
  ['Shift ← →', 'keys.brush'],
  ['Enter', 'keys.enter'],
  ['Backspace', 'keys.backspace'],
]

export function useKeys(page: Page | undefined, dialog: Dialog, open: (dialog: Dialog) => void): void {
  // Before the next key too: it is judged by the dialog that is open when it comes.
  useLayoutEffect(() => {
    const listen = (event: KeyboardEvent) => {
      const typing = event.target instanceof HTMLElement && event.target.closest('input, select, textarea') !== null
      if (typing || dialog !== 'none' || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented)
        return
      if (pageKey(event.key, page, open)) event.preventDefault()
    }
    document.addEventListener('keydown', listen)
    return () => document.removeEventListener('keydown', listen)
  })
}

const RANGE_KEYS = ['5m', '15m', '1h', '4h', '12h', '1d', '7d', '30d']

function pageKey(key: string, page: Page | undefined, open: (dialog: Dialog) => void): boolean {
  if (key === '/') open('jump')
  else if (key === '?') open('keys')
  else if (key === 'd') theme.set(shownTheme.get() === 'dark' ? 'light' : 'dark')
  else if (key === 'f') document.getElementById('find')?.focus()
  else return page !== undefined && (scopeKey(key, page) || timeKey(key, page))
  return true
}

function scopeKey(key: string, page: Page): boolean {
  const { job, node, pid } = page.place
  if (key === 'c') goTo(page, {})
  else if (key === 'j') goTo(page, { jobs: true })
  else if (key === 'a') goTo(page, { alerts: true })
  else if (key === 'u') goTo(page, pid !== undefined ? { job, node } : node !== '' ? { job } : {})
  else return false
  return true
}

function timeKey(key: string, page: Page): boolean {
  const { place, span, brush, now } = page
  const range = RANGE_KEYS[Number(key) - 1]
  if (range !== undefined) go(placeWith(place, { range, from: undefined, to: undefined, sel: undefined }))
  else if (key === 'Escape' && brush) go(placeWith(place, { sel: undefined }))
  else if (span === undefined) return false
  else if (key === '-') go(zoomedOut(place, span, now))
  else if (key === '+' || key === '=') zoomTo(brush ?? middleHalf(span))
  else if (key === '[') go(moved(place, span, -1, now))
  else if (key === ']') go(moved(place, span, 1, now))
  else return false
  return true
}

const middleHalf = ({ from, to }: { from: number; to: number }) => {
  const quarter = (to - from) / 4
  return { from: from + quarter, to: to - quarter }
}

export function Keys({ close }: { close: () => void }) {
  return (
    <Modal label={t('keys.title')} close={close}>
      <header>
        {t('keys.title')}
        <button type="button" class="button plain" onClick={close} aria-label={t('close')}>
          ✕
        </button>
      </header>
      <dl class="keys">
        {LIST.map(([key, what]) => (
          <>
            <dt>
              {key.split(' ').map(k => (
                <kbd key={k}>{k}</kbd>
              ))}
            </dt>
            <dd>{t(what)}</dd>
          </>
        ))}
      </dl>
    </Modal>
  )
}

/** A dialog over the page: Escape or a click beside it closes it, the focus stays inside and goes back after. */
export function Modal(props: { label: string; close: () => void; children: preact.ComponentChildren }) {
  const ref = useRef<HTMLDialogElement>(null)
  // Before the next key: what is typed right after `/` belongs to the dialog.
  useLayoutEffect(() => {
    const before = document.activeElement
    ref.current?.showModal()
    return () => {
      if (before instanceof HTMLElement) before.focus()
    }
  }, [])
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: Escape closes it (the dialog's own cancel)
    <dialog
      ref={ref}
      class="dialog"
      aria-label={props.label}
      onCancel={props.close}
      onClick={event => event.target === ref.current && props.close()}
    >
      {props.children}
    </dialog>
  )
}
