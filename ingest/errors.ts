/** Errors of ingest/. The message says what to do next. */

export type StoreErrorCode =
  /** Another process has the data directory. */
  | 'held'
  /** The configuration cannot work. */
  | 'config'
  /** Written by a newer Jobsight. */
  | 'newer'
  /** The database refused or failed. */
  | 'database'
  /** A block for a table or column that is not there. */
  | 'misfit'
  /** The disk does not take what is to be acknowledged. */
  | 'journal'
  /** The reader left before the query started or ended. */
  | 'aborted'
  /** The query ran into its time limit. */
  | 'timeout'
  /** close() was called. */
  | 'closed'

export class StoreError extends Error {
  readonly code: StoreErrorCode
  constructor(code: StoreErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'StoreError'
    this.code = code
  }
}

/** https://github.com/ClickHouse/ClickHouse/blob/master/src/Common/ErrorCodes.cpp */
const CODES: Readonly<Record<string, StoreErrorCode>> = { '159': 'timeout', '394': 'aborted' }

/** What a block can be wrong in: columns, tables, types, and bytes that are not what they should be. */
const MISFITS = new Set(['6', '16', '20', '27', '33', '36', '44', '53', '60', '117'])

const codeOf = (error: unknown): string => {
  const given = error instanceof Error && 'code' in error ? String(error.code) : ''
  return /^Code: (\d+)/.exec(error instanceof Error ? error.message : String(error))?.[1] ?? given
}

/** A block does not fit its table: tried again it will not either. */
export const isMisfit = (error: StoreError): boolean => error.code === 'misfit' || MISFITS.has(codeOf(error.cause))

export function databaseError(error: unknown): StoreError {
  if (error instanceof StoreError) return error
  const text = error instanceof Error ? error.message : String(error)
  return new StoreError(CODES[codeOf(error)] ?? 'database', text, { cause: error })
}

/** A body that cannot be taken as it is. The status is HTTP's; the message says what is wrong and where. */
export class BodyError extends Error {
  readonly code: 'malformed' | 'too_large' | 'unsupported'
  readonly status: 400 | 413 | 415
  constructor(code: BodyError['code'], message: string) {
    super(message)
    this.name = 'BodyError'
    this.code = code
    this.status = code === 'malformed' ? 400 : code === 'too_large' ? 413 : 415
  }
}
