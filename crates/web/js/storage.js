/**
 * Models that stay between visits, in the Origin Private File System. Each is a folder `<SHA-256 of its URL>-<random>` with the files `0`, `1`, ..
 * and `model.json`. The latter is written last; it has the path and size of each file and the SHA-256 of its blocks. A folder without it is an
 * incomplete model. Tabs that write or read a folder hold a shared lock on it. Only a tab with an exclusive lock may delete it.
 */

import { BLOCK, inBlocks, sha256 } from "./blocks.js";
import * as locks from "./locks.js";
import { resolve, withoutAccess } from "./url.js";

const FOLDER = "pyrograph";
const INDEX = "model.json";
/** Version of the index. Indices of earlier versions are ignored. */
const VERSION = 2;

/** The total size of files in bytes. */
export function totalSize(files) {
  return files.reduce((sum, { size }) => sum + size, 0);
}

/** The stored models, as `{ url, bytes }`. */
export async function storedModels() {
  const { newest } = await list();
  return newest.map(({ index: { url, files } }) => ({ url, bytes: totalSize(files) }));
}

/** Deletes the stored files of a model. Files that another tab uses are deleted when it is done. */
export async function removeStoredModel(url) {
  const key = await keyFor(resolve(url));
  for (const stored of (await list()).all) if (keyOf(stored) === key) await forget(stored.name);
}

/**
 * The newest stored model of a URL, if it is complete and is not `refused`: its `index`, and its `blobs` by path. It is kept until `release` is
 * called or the worker ends.
 */
export async function openStored(url, report, signal, refused) {
  const key = await keyFor(url);
  const found = (await list()).newest.find((stored) => keyOf(stored) === key);
  if (!found || found.name === refused) return undefined;
  const { name, folder } = found;
  const release = await locks.hold(lockOf(name), { mode: "shared", signal });
  try {
    const index = await readIndex(folder); // it may be removed by now
    const blobs = index && (await readFiles(folder, index, report, signal));
    if (blobs) return { name, index, blobs, release };
  } catch (error) {
    release();
    throw error;
  }
  release();
  await forget(name);
  return undefined;
}

/** The files as blobs, if each matches the index. */
async function readFiles(folder, { files }, report, signal) {
  const [total, blobs] = [totalSize(files), new Map()];
  let loaded = 0;
  for (const [number, { path, size, blocks }] of files.entries()) {
    const blob = await folder.getFileHandle(String(number)).then((handle) => handle.getFile(), () => undefined);
    if (blob?.size !== size) return undefined;
    for (const [block, expected] of blocks.entries()) {
      signal.throwIfAborted();
      const bytes = await blob.slice(block * BLOCK, (block + 1) * BLOCK).arrayBuffer();
      if ((await sha256(bytes)) !== expected) return undefined;
      report({ stage: "check", loaded: (loaded += bytes.byteLength), total });
    }
    blobs.set(path, blob);
  }
  return blobs;
}

/** A model that is being stored. It is kept after `commit`; it is deleted after `discard`, or if the tab is closed before. */
export class Draft {
  #key;
  #folder;
  #files = [];

  /** `undefined` if the browser has no storage. */
  static async begin(url) {
    const root = locks.areThere && (await rootFolder());
    if (!root) return undefined;
    const draft = new Draft();
    draft.url = url;
    draft.#key = await keyFor(url);
    draft.name = `${draft.#key}-${crypto.randomUUID()}`;
    draft.release = await locks.hold(lockOf(draft.name), { mode: "shared" });
    draft.#folder = await root.getDirectoryHandle(draft.name, { create: true });
    return draft;
  }

  /** Writes a file block by block, calls `count` for each block, and returns the file. */
  async write(path, file, count) {
    const available = await room();
    if (file.length > available) throw full(file.length, available);
    const handle = await this.#folder.getFileHandle(String(this.#files.length), { create: true });
    const access = await handle.createSyncAccessHandle();
    const blocks = [];
    try {
      for await (const block of inBlocks(file.chunks())) {
        blocks.push(await sha256(block));
        if (access.write(block, { at: access.getSize() }) < block.length) throw full(file.length, access.getSize());
        count(block.length);
      }
      access.flush();
    } catch (error) {
      // Browsers may report more space than there is, to hide the size of the disk from pages.
      throw error instanceof DOMException && error.name === "QuotaExceededError" ? full(file.length, access.getSize()) : error;
    } finally {
      access.close();
    }
    const blob = await handle.getFile();
    this.#files.push({ path, size: blob.size, blocks, etag: file.etag, lastModified: file.lastModified });
    return blob;
  }

  /** Keeps the model, and removes older versions of it. `about` is additional data for opening it. */
  async commit(about) {
    const before = (await list()).newest.find((stored) => keyOf(stored) === this.#key)?.index.stored ?? 0;
    const stored = Math.max(Date.now(), before + 1); // the newest one, even if the clock was set back
    const index = { version: VERSION, stored, url: withoutAccess(this.url), files: this.#files, ...about };
    const handle = await this.#folder.getFileHandle(INDEX, { create: true });
    const access = await handle.createSyncAccessHandle();
    try {
      access.write(new TextEncoder().encode(JSON.stringify(index)));
      access.flush();
    } finally {
      access.close();
    }
    await sweep();
  }

  async discard() {
    await (await rootFolder()).removeEntry(this.name, { recursive: true }).catch(ignoreAbsence);
    this.release();
  }
}

/** The bytes that this page can still store. */
async function room() {
  const { quota = Infinity, usage = 0 } = await navigator.storage.estimate();
  return Math.max(quota - usage, 0);
}

/** The error of a storage that has no space for a file; `needed` is undefined if the size of the file is unknown. */
function full(needed, available) {
  const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;
  const size = needed ? `the next file has ${megabytes(needed)}` : "the next file is larger";
  const message = `the browser's storage has ${megabytes(available)} left, but ${size}: remove a model, or free space on the disk`;
  return Object.assign(new Error(message), { name: "QuotaExceededError", needed, available });
}

/** Deletes folders that cannot be opened: incomplete models of closed tabs, models that were replaced, and those of earlier versions. */
export async function sweep() {
  const root = locks.areThere && (await rootFolder());
  if (!root) return;
  const { all, newest } = await list();
  for (const stored of all) if (!newest.includes(stored)) await forget(stored.name);
  const whole = all.map(({ name }) => name);
  for (const name of await Array.fromAsync(root.keys())) if (!whole.includes(name)) await removeUnused(root, name);
}

/** Removes a model. Its folder is deleted now, or when no tab uses it any more. `release` ends the use by the caller. */
export async function forget(name, release = () => {}) {
  release();
  const root = await rootFolder();
  const folder = await root.getDirectoryHandle(name).catch(ignoreAbsence);
  await folder?.removeEntry(INDEX).catch(ignoreAbsence);
  if (await removeUnused(root, name)) return;
  navigator.locks.request(lockOf(name), () => removeHalf(root, name)).catch(() => {}); // for as long as this tab is open
}

/** Deletes a folder without an index. If a tab uses it, nothing is done and the result is `false`. */
function removeUnused(root, name) {
  const remove = async (lock) => lock !== null && (await removeHalf(root, name), true);
  return navigator.locks.request(lockOf(name), { ifAvailable: true }, remove);
}

async function removeHalf(root, name) {
  const folder = await root.getDirectoryHandle(name).catch(() => undefined); // it may be from an earlier version, or a file
  if (!folder || !(await readIndex(folder))) await root.removeEntry(name, { recursive: true }).catch(ignoreAbsence);
}

/** All complete models as `all`, and the newest one of each URL as `newest`. */
async function list() {
  const all = [];
  for await (const folder of (await rootFolder())?.values() ?? []) {
    const index = folder.kind === "directory" && (await readIndex(folder));
    if (index) all.push({ name: folder.name, folder, index });
  }
  all.sort((left, right) => left.index.stored - right.index.stored);
  return { all, newest: [...new Map(all.map((stored) => [keyOf(stored), stored])).values()] };
}

async function readIndex(folder) {
  try {
    const index = JSON.parse(await (await (await folder.getFileHandle(INDEX)).getFile()).text());
    return index.version === VERSION ? index : undefined;
  } catch {
    return undefined; // being written, or incomplete
  }
}

/** `undefined` if the browser has no such storage: without HTTPS, or in a private window. */
async function rootFolder() {
  try {
    return await (await navigator.storage.getDirectory()).getDirectoryHandle(FOLDER, { create: true });
  } catch {
    return undefined;
  }
}

/** The same key for all URLs of one model: URLs that differ only in parameters that give access, or in a slash at the end. */
export async function keyFor(url) {
  return sha256(new TextEncoder().encode(withoutAccess(url).replace(/\/$/, "")));
}

function keyOf({ name }) {
  return name.split("-")[0];
}

function lockOf(name) {
  return `pyrograph files ${name}`;
}

function ignoreAbsence(error) {
  if (error.name !== "NotFoundError") throw error;
}
