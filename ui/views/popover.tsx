import type { ComponentChildren } from 'preact'
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks'
import { t } from '../words.ts'

interface Props {
  label: string
  class: string
  /** What the button shows. */
  face: ComponentChildren
  right?: boolean
  children: (close: () => void) => ComponentChildren
}

/** A button and the sheet it opens. Escape, a click elsewhere or a choice closes it and the focus goes back. */
export function Popover(props: Props) {
  const [open, setOpen] = useState(false)
  const ref = useRef<HTMLSpanElement>(null)
  const button = useRef<HTMLButtonElement>(null)
  const close = () => {
    setOpen(false)
    button.current?.focus()
  }
  const sheet = useRef<HTMLDivElement>(null)
  useClosing(open, ref, () => setOpen(false), close)
  useLayoutEffect(() => (open ? keepBeside(button.current, sheet.current, props.right ?? false) : undefined), [open])
  return (
    <span class="over" ref={ref}>
      <button
        type="button"
        ref={button}
        class={props.class}
        aria-label={props.label}
        title={props.label}
        aria-expanded={open}
        onClick={() => setOpen(!open)}
      >
        {props.face}
      </button>
      {open && (
        <div class="sheet" ref={sheet}>
          {props.children(close)}
        </div>
      )}
    </span>
  )
}

const GAP = 4
const EDGE = 8

/**
 * Below the button, above it where there is more room, never beyond the window: fixed, since a list that scrolls would cut it off.
 * Returns what ends it.
 */
function keepBeside(button: HTMLElement | null, sheet: HTMLElement | null, right: boolean): (() => void) | undefined {
  if (!button || !sheet) return undefined
  const place = () => {
    const at = button.getBoundingClientRect()
    const { offsetWidth: width, offsetHeight: height } = sheet
    const [below, above] = [window.innerHeight - at.bottom, at.top]
    const top = height + GAP + EDGE > below && above > below ? at.top - GAP - height : at.bottom + GAP
    const left = right ? at.right - width : at.left
    sheet.style.top = `${Math.max(EDGE, Math.min(top, window.innerHeight - height - EDGE))}px`
    sheet.style.left = `${Math.max(EDGE, Math.min(left, document.documentElement.clientWidth - width - EDGE))}px`
  }
  place()
  const grown = new ResizeObserver(place)
  grown.observe(sheet)
  window.addEventListener('scroll', place, true)
  window.addEventListener('resize', place)
  return () => {
    grown.disconnect()
    window.removeEventListener('scroll', place, true)
    window.removeEventListener('resize', place)
  }
}

/** Closed by a press elsewhere (which keeps its own focus) and by Escape (which gives the focus back). */
function useClosing(open: boolean, ref: { current: HTMLElement | null }, leave: () => void, close: () => void): void {
  useEffect(() => {
    if (!open) return
    const outside = (event: Event) => {
      if (event.target instanceof Node && !ref.current?.contains(event.target)) leave()
    }
    const onEscape = (event: KeyboardEvent) => {
      if (event.key !== 'Escape') return
      event.stopPropagation()
      close()
    }
    const element = ref.current
    document.addEventListener('pointerdown', outside)
    element?.addEventListener('keydown', onEscape)
    return () => {
      document.removeEventListener('pointerdown', outside)
      element?.removeEventListener('keydown', onEscape)
    }
  }, [open])
}

export interface Option {
  name: string
  hint?: string
  href: string
}

/** A list to choose from, narrowed by typing. Arrow keys move, Enter goes. */
export function Options(props: { options: readonly Option[]; close: () => void; asking?: string | undefined }) {
  const [needle, setNeedle] = useState('')
  const input = useRef<HTMLInputElement>(null)
  const list = useRef<HTMLDivElement>(null)
  useLayoutEffect(() => input.current?.focus(), [])
  const text = needle.toLowerCase()
  const shown = props.options.filter(o => `${o.name} ${o.hint ?? ''}`.toLowerCase().includes(text)).slice(0, 60)
  const keys = (event: KeyboardEvent) => moveFocus(event, list.current, input.current)
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: the keys move the focus among the links inside
    <div onKeyDown={keys}>
      <input
        ref={input}
        class="field"
        value={needle}
        placeholder={t('choose.narrow')}
        aria-label={t('choose.narrow')}
        onInput={event => setNeedle(event.currentTarget.value)}
      />
      {props.asking !== undefined && props.options.length === 0 && <p class="title">{props.asking}</p>}
      <div ref={list}>
        {shown.map(o => (
          <a key={o.href} class="option" href={o.href} onClick={props.close}>
            <span class="cut">{o.name}</span>
            <span class="dim">{o.hint}</span>
          </a>
        ))}
      </div>
    </div>
  )
}

function moveFocus(event: KeyboardEvent, list: HTMLElement | null, input: HTMLElement | null): void {
  const links = [...(list?.querySelectorAll<HTMLElement>('.option') ?? [])]
  if (event.key === 'Enter' && event.target === input) {
    links[0]?.click()
    event.preventDefault()
    return
  }
  const step = event.key === 'ArrowDown' ? 1 : event.key === 'ArrowUp' ? -1 : 0
  if (step === 0 || links.length === 0) return
  event.preventDefault()
  const next = links.findIndex(l => l.matches(':focus')) + step
  if (next < 0) input?.focus()
  else links[Math.min(next, links.length - 1)]?.focus()
}
