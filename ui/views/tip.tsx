/** The small box at the pointer; one for the page. */
import type { ComponentChildren } from 'preact'
import { useEffect, useRef } from 'preact/hooks'
import { openStore, type Store, useStore } from '../state.ts'

export interface Shown {
  x: number
  y: number
  content: ComponentChildren
}

const tip: Store<Shown | undefined> = openStore<Shown | undefined>(undefined)
export const showTip = (shown: Shown | undefined): void => tip.set(shown)

export function Tip() {
  const shown = useStore(tip)
  const ref = useRef<HTMLDivElement>(null)
  useEffect(() => {
    const box = ref.current
    if (!box || !shown) return
    const { width, height } = box.getBoundingClientRect()
    const x = shown.x + 16 + width > innerWidth ? shown.x - 12 - width : shown.x + 16
    const y = shown.y + 18 + height > innerHeight ? shown.y - 10 - height : shown.y + 18
    box.style.transform = `translate(${Math.max(4, x)}px, ${Math.max(4, y)}px)`
  })
  if (!shown) return null
  return (
    <div class="tip" ref={ref} style={{ left: 0, top: 0 }} role="tooltip">
      {shown.content}
    </div>
  )
}
