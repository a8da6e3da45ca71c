/** Files in blocks, which are written, checked and counted one by one. */

export const BLOCK = 8 << 20;

/** Reads a file into a blob, for browsers without storage. The browser keeps the blob in memory or on disk. */
export async function toBlob(file, count) {
  const parts = [];
  for await (const block of inBlocks(file.chunks())) {
    parts.push(new Blob([block]));
    count(block.length);
  }
  return new Blob(parts);
}

/** Chunks of `BLOCK` bytes, the last one shorter. Each chunk is overwritten by the next. */
export async function* inBlocks(chunks) {
  const block = new Uint8Array(BLOCK);
  let filled = 0;
  for await (const chunk of chunks) {
    for (let start = 0; start < chunk.length; ) {
      const part = chunk.subarray(start, start + BLOCK - filled);
      block.set(part, filled);
      filled += part.length;
      start += part.length;
      if (filled === BLOCK) {
        yield block;
        filled = 0;
      }
    }
  }
  if (filled) yield block.subarray(0, filled);
}

export async function sha256(bytes) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
