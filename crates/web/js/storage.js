/**
 * Models that stay between visits, in the Origin Private File System: a folder for each URL with the files `0`, `1`, ... and
 * `model.json`, which is written last and says what each of them is, how large, and the SHA-256 of its blocks.
 */

const FOLDER = "pyrograph";
const INDEX = "model.json";
const BLOCK = 8 << 20;

/** The bytes of files together. */
export function totalSize(files) {
  return files.reduce((sum, { size }) => sum + size, 0);
}

/** The models that are kept, as `{ url, bytes }`. */
export async function storedModels() {
  const models = [];
  for await (const folder of (await root()).values()) {
    const index = await readIndex(folder);
    if (index) models.push({ url: index.url, bytes: totalSize(index.files) });
  }
  return models;
}

/** Deletes what is kept of a model. */
export async function removeStoredModel(url) {
  await (await root()).removeEntry(await folderName(url), { recursive: true }).catch(ignoreAbsence);
}

/** The files of a model that is kept and whole, as `{ path, blob }`; `undefined` where there is none. */
export async function openModel(url, report, signal) {
  const folder = await modelFolder(url).catch(() => undefined);
  const index = folder && (await readIndex(folder));
  if (!index) return undefined;
  const total = totalSize(index.files);
  let loaded = 0;
  const files = [];
  for (const [number, { path, size, blocks }] of index.files.entries()) {
    const blob = await folder.getFileHandle(String(number)).then((handle) => handle.getFile(), () => undefined);
    if (blob?.size !== size) return undefined;
    for (const [block, expected] of blocks.entries()) {
      signal.throwIfAborted();
      const bytes = await blob.slice(block * BLOCK, (block + 1) * BLOCK).arrayBuffer();
      if ((await sha256(bytes)) !== expected) return undefined;
      report({ stage: "check", loaded: (loaded += bytes.byteLength), total });
    }
    files.push({ path, blob });
  }
  return files;
}

/** Reads responses into the storage, or, where the browser gives none, into memory that it may move to disk. */
export async function storeModel(url, responses, report, signal) {
  const folder = await emptyFolder(url).catch(() => undefined);
  const [files, index] = [[], []];
  const progress = { loaded: 0, total: 0 };
  for await (const { path, response } of responses) {
    const length = Number(response.headers.get("content-encoding") ? 0 : response.headers.get("content-length"));
    progress.total += length;
    const count = (bytes) => {
      progress.loaded += bytes;
      report({ stage: "download", loaded: progress.loaded, total: Math.max(progress.total, progress.loaded) });
    };
    const { blob, blocks } = folder
      ? await writeFile(folder, String(files.length), response, count, signal)
      : { blob: await toBlob(response, count) };
    if (length && blob.size !== length) throw new Error(`${response.url} ended after ${blob.size} of ${length} bytes`);
    files.push({ path, blob });
    index.push({ path, size: blob.size, blocks });
  }
  if (folder) await writeText(folder, INDEX, JSON.stringify({ url, files: index }));
  return files;
}

/** Writes a response block by block. */
async function writeFile(folder, name, response, count, signal) {
  const handle = await folder.getFileHandle(name, { create: true });
  const access = await handle.createSyncAccessHandle();
  const blocks = [];
  try {
    for await (const block of inBlocks(response.body)) {
      signal.throwIfAborted();
      blocks.push(await sha256(block));
      access.write(block, { at: access.getSize() });
      count(block.byteLength);
    }
    access.flush();
  } catch (error) {
    if (error.name === "QuotaExceededError") throw new Error("the browser's storage is full; remove a model and try again");
    throw error;
  } finally {
    access.close();
  }
  return { blob: await handle.getFile(), blocks };
}

/** A stream's bytes in pieces of `BLOCK` bytes, the last one shorter. */
async function* inBlocks(stream) {
  const reader = stream.getReader();
  let [block, filled] = [new Uint8Array(BLOCK), 0];
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    for (let start = 0; start < value.length; ) {
      const part = value.subarray(start, start + BLOCK - filled);
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

async function toBlob(response, count) {
  const counting = new TransformStream({
    transform(bytes, controller) {
      count(bytes.byteLength);
      controller.enqueue(bytes);
    },
  });
  return new Response(response.body.pipeThrough(counting)).blob();
}

async function root() {
  return (await navigator.storage.getDirectory()).getDirectoryHandle(FOLDER, { create: true });
}

async function modelFolder(url, options) {
  return (await root()).getDirectoryHandle(await folderName(url), options);
}

async function emptyFolder(url) {
  await removeStoredModel(url);
  return modelFolder(url, { create: true });
}

async function readIndex(folder) {
  try {
    return JSON.parse(await (await (await folder.getFileHandle(INDEX)).getFile()).text());
  } catch {
    return undefined; // being written, or cut off while it was
  }
}

async function writeText(folder, name, text) {
  const access = await (await folder.getFileHandle(name, { create: true })).createSyncAccessHandle();
  access.write(new TextEncoder().encode(text));
  access.flush();
  access.close();
}

async function folderName(url) {
  return sha256(new TextEncoder().encode(url));
}

async function sha256(bytes) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function ignoreAbsence(error) {
  if (error.name !== "NotFoundError") throw error;
}
