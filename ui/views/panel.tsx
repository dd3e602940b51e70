/** A panel: a title, its choices, and for every picture the same as a table and as a file. */
import type { ComponentChildren } from 'preact'
import { useRef, useState } from 'preact/hooks'
import type { Answer } from '../client.ts'
import { formatCsv } from '../layout/folded.ts'
import { t } from '../words.ts'
import { Popover } from './popover.tsx'

export type Cell = string | number | null

/** A picture as a table: full numbers, units in the heads. */
export interface Sheet {
  columns: readonly string[]
  rows: readonly (readonly Cell[])[]
}

/** A file made here, or one that the server makes. */
export type File =
  | { label: string; name: string; type: string; make: () => string }
  | { label: string; name: string; href: string }

interface Props {
  title: ComponentChildren
  name: string
  /** Where there is no room for the title it is only said. */
  titleUnseen?: boolean
  /** Between the title and the tools. */
  head?: ComponentChildren
  /** After the tools' gap: small words, badges. */
  note?: ComponentChildren
  answers?: readonly Answer<unknown>[]
  sheet?: (() => Sheet) | undefined
  files?: readonly File[]
  children: ComponentChildren
}

export function Panel(props: Props) {
  const [asTable, setAsTable] = useState(false)
  const body = useRef<HTMLDivElement>(null)
  const waiting = (props.answers ?? []).some(a => a.question !== undefined && !a.fresh && a.error === undefined)
  const failed = (props.answers ?? []).find(a => a.error !== undefined && a.data !== undefined)
  return (
    <section class={props.titleUnseen ? 'panel narrow' : 'panel'} aria-label={props.name}>
      {waiting && <div class="asking-line" role="progressbar" aria-label={t('ask.again')} />}
      <header>
        <h2 class={props.titleUnseen ? 'unseen' : ''}>{props.title}</h2>
        {props.head}
        <span class="space" />
        <span class="tools">
          {failed && (
            <span class="badge alert" title={failed.error?.message}>
              {t('error.stale')}
            </span>
          )}
          {props.note}
          {props.sheet && (
            <button
              type="button"
              class="button plain"
              aria-pressed={asTable}
              title={t('panel.table')}
              aria-label={t('panel.table')}
              onClick={() => setAsTable(!asTable)}
            >
              ☰
            </button>
          )}
          <Export {...props} canvasIn={body} />
        </span>
      </header>
      <div ref={body}>{asTable && props.sheet ? <SheetTable sheet={props.sheet()} /> : props.children}</div>
    </section>
  )
}

const SHOWN_ROWS = 2000

function SheetTable({ sheet }: { sheet: Sheet }) {
  return (
    <div class="scroll">
      <table class="table">
        <thead>
          <tr>
            {sheet.columns.map(c => (
              <th key={c} scope="col">
                {c}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {sheet.rows.slice(0, SHOWN_ROWS).map((row, i) => (
            <tr key={i}>
              {row.map((cell, j) => (
                <td key={sheet.columns[j]} class="fit">
                  {typeof cell === 'number' ? Number(cell.toPrecision(6)) : cell}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
      {sheet.rows.length > SHOWN_ROWS && (
        <p class="footer">{t('panel.cut', { shown: SHOWN_ROWS, all: sheet.rows.length })}</p>
      )}
    </div>
  )
}

function Export(props: Props & { canvasIn: { current: HTMLElement | null } }) {
  const { sheet, name } = props
  const files: File[] = [...(props.files ?? [])]
  if (sheet) {
    files.push({ label: 'CSV', name: `${name}.csv`, type: 'text/csv', make: () => csv(sheet()) })
    files.push({
      label: 'JSON',
      name: `${name}.json`,
      type: 'application/json',
      make: () => JSON.stringify(records(sheet())),
    })
  }
  return (
    <Popover label={t('panel.export')} class="button plain" face="⤓" right>
      {close => (
        <>
          {files.map(f => (
            <FileOption key={f.label} file={f} close={close} />
          ))}
          <button type="button" class="option" onClick={() => savePictures(props.canvasIn.current, name, close)}>
            PNG
          </button>
        </>
      )}
    </Popover>
  )
}

function FileOption({ file, close }: { file: File; close: () => void }) {
  if ('href' in file)
    return (
      <a class="option" href={file.href} download={`jobsight-${file.name}`} onClick={close}>
        {file.label}
      </a>
    )
  const make = () => {
    save(file.name, new Blob([file.make()], { type: file.type }))
    close()
  }
  return (
    <button type="button" class="option" onClick={make}>
      {file.label}
    </button>
  )
}

const csv = (sheet: Sheet) => formatCsv(sheet.columns, sheet.rows)
const records = (sheet: Sheet) =>
  sheet.rows.map(row => Object.fromEntries(sheet.columns.map((c, i) => [c, row[i] ?? null])))

function save(name: string, blob: Blob): void {
  const link = document.createElement('a')
  link.href = URL.createObjectURL(blob)
  link.download = `jobsight-${name.replaceAll(/[^\w.-]+/g, '_')}`
  link.click()
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000)
}

/** All canvases of the panel where they stand, on the panel's ground. */
function savePictures(body: HTMLElement | null, name: string, done: () => void): void {
  const canvases = [...(body?.querySelectorAll('canvas') ?? [])]
  if (body && canvases.length > 0) {
    const box = body.getBoundingClientRect()
    const ratio = window.devicePixelRatio || 1
    const whole = document.createElement('canvas')
    whole.width = box.width * ratio
    whole.height = Math.min(16_000, box.height * ratio)
    const pen = whole.getContext('2d')
    if (pen) {
      pen.fillStyle = getComputedStyle(document.documentElement).getPropertyValue('--panel')
      pen.fillRect(0, 0, whole.width, whole.height)
      for (const c of canvases) {
        const at = c.getBoundingClientRect()
        pen.drawImage(c, (at.left - box.left) * ratio, (at.top - box.top) * ratio)
      }
    }
    whole.toBlob(blob => blob && save(`${name}.png`, blob))
  }
  done()
}
