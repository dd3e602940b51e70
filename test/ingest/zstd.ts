/** A zstd frame of raw blocks, or of one byte repeated: Node 20 has no zstd to make real ones with. RFC 8878. */
export function zstdRaw(content: Uint8Array, repeatedBlocks = 0): Uint8Array {
  // No content size, no checksum, window of 128 KiB.
  const parts: Uint8Array[] = [Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0, 7 << 3)]
  for (let i = 0; i < repeatedBlocks; i++) {
    const header = (131_072 << 3) | (1 << 1)
    parts.push(Uint8Array.of(header & 255, (header >> 8) & 255, header >> 16, 0))
  }
  const header = (content.length << 3) | 1
  parts.push(Uint8Array.of(header & 255, (header >> 8) & 255, header >> 16), content)
  return Buffer.concat(parts)
}
