declare module 'snappyjs' {
  /** Throws where the length told is above maxLength, or the bytes are not snappy's block format. */
  export function uncompress(bytes: Uint8Array, maxLength?: number): Uint8Array
  export function compress(bytes: Uint8Array): Uint8Array
}
