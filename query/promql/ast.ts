/** What a PromQL expression is made of. Durations in ms. */
export type Expr =
  | { kind: 'number'; value: number }
  | { kind: 'string'; value: string }
  | Selector
  | { kind: 'range'; of: Selector; rangeMs: number }
  | { kind: 'subquery'; of: Expr; rangeMs: number; stepMs: number | undefined; offsetMs: number; at: At | undefined }
  | { kind: 'unary'; minus: boolean; of: Expr }
  | Binary
  | { kind: 'call'; name: string; args: Expr[] }
  | Aggregate

export interface Selector {
  kind: 'selector'
  matchers: Matcher[]
  offsetMs: number
  at: At | undefined
}

export type At = number | 'start' | 'end'

export interface Matcher {
  label: string
  op: '=' | '!=' | '=~' | '!~'
  value: string
}

export interface Binary {
  kind: 'binary'
  op: string
  left: Expr
  right: Expr
  /** 1 or 0 in place of a filter. */
  bool: boolean
  matching: { on: boolean; labels: string[]; group: 'one' | 'left' | 'right'; include: string[] }
}

export interface Aggregate {
  kind: 'aggregate'
  op: string
  of: Expr
  parameter: Expr | undefined
  without: boolean
  labels: string[]
}
