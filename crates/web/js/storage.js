/**
 * Models that stay between visits, in the Origin Private File System. Each is a folder `<SHA-256 of its URL>-<random>` with the files `0`, `1`, ..
 * and `model.json`, which is written last and says what each of them is, how large, and the SHA-256 of its blocks: a folder without it is half a
 * model. Whoever writes or reads a folder holds a lock on it, in shared mode; only who gets that lock for himself may delete it.
 */

import { BLOCK, inBlocks, sha256 } from "./blocks.js";
import * as locks from "./locks.js";
import { resolve, withoutAccess } from "./url.js";

const FOLDER = "pyrograph";
const INDEX = "model.json";
/** Of the index: what an earlier version wrote is not read. */
const VERSION = 2;

/** The bytes of files together. */
export function totalSize(files) {
  return files.reduce((sum, { size }) => sum + size, 0);
}

/** The models that are kept, as `{ url, bytes }`. */
export async function storedModels() {
  const { newest } = await list();
  return newest.map(({ index: { url, files } }) => ({ url, bytes: totalSize(files) }));
}

/** Deletes what is kept of a model. What another tab has in use goes when that is done. */
export async function removeStoredModel(url) {
  const key = await keyFor(resolve(url));
  for (const stored of (await list()).all) if (keyOf(stored) === key) await forget(stored.name);
}

/**
 * The newest kept model of a URL, if it is whole and not the one `refused`: its `index`, and its `blobs` by their paths. It stays until `release`
 * is called, or the worker ends.
 */
export async function openStored(url, report, signal, refused) {
  const key = await keyFor(url);
  const found = (await list()).newest.find((stored) => keyOf(stored) === key);
  if (!found || found.name === refused) return undefined;
  const { name, folder } = found;
  const release = await locks.hold(lockOf(name), { mode: "shared", signal });
  try {
    const index = await readIndex(folder); // removed meanwhile?
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

/** The files as blobs, if each is as the index says. */
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

/** A model that is being stored: kept after `commit`, and gone after `discard` or when the tab is closed before. */
export class Draft {
  #key;
  #folder;
  #files = [];

  /** `undefined` where the browser has no storage. */
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

  /** Writes a file block by block, telling `count` of each; returns it. */
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
      // Browsers may say that there is more room than there is, so as not to tell pages about the disk.
      throw error instanceof DOMException && error.name === "QuotaExceededError" ? full(file.length, access.getSize()) : error;
    } finally {
      access.close();
    }
    const blob = await handle.getFile();
    this.#files.push({ path, size: blob.size, blocks, etag: file.etag, lastModified: file.lastModified });
    return blob;
  }

  /** From now on the model is kept, and what was kept of it before is not; `about` is for whoever opens it. */
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

/** The bytes that the browser lets this page store yet. */
async function room() {
  const { quota = Infinity, usage = 0 } = await navigator.storage.estimate();
  return Math.max(quota - usage, 0);
}

/** The error of a storage that has no place for a file; `needed` is undefined where the file's size is unknown. */
function full(needed, available) {
  const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;
  const size = needed ? `the next file has ${megabytes(needed)}` : "the next file is larger";
  const message = `the browser's storage has ${megabytes(available)} left, and ${size}: remove a model, or free space on the disk`;
  return Object.assign(new Error(message), { name: "QuotaExceededError", needed, available });
}

/** Deletes what nobody can open: half models of tabs that are gone, models that newer ones replace, what earlier versions wrote. */
export async function sweep() {
  const root = locks.areThere && (await rootFolder());
  if (!root) return;
  const { all, newest } = await list();
  for (const stored of all) if (!newest.includes(stored)) await forget(stored.name);
  const whole = all.map(({ name }) => name);
  for (const name of await Array.fromAsync(root.keys())) if (!whole.includes(name)) await removeUnused(root, name);
}

/** A model is not kept any more; its folder goes now, or when nobody uses it. `release` ends its use by the caller. */
export async function forget(name, release = () => {}) {
  release();
  const root = await rootFolder();
  const folder = await root.getDirectoryHandle(name).catch(ignoreAbsence);
  await folder?.removeEntry(INDEX).catch(ignoreAbsence);
  if (await removeUnused(root, name)) return;
  navigator.locks.request(lockOf(name), () => removeHalf(root, name)).catch(() => {}); // for as long as this tab is open
}

/** Deletes a folder without index, unless somebody uses it: then nothing is done, and `false` returned. */
function removeUnused(root, name) {
  const remove = async (lock) => lock !== null && (await removeHalf(root, name), true);
  return navigator.locks.request(lockOf(name), { ifAvailable: true }, remove);
}

async function removeHalf(root, name) {
  const folder = await root.getDirectoryHandle(name).catch(() => undefined); // that of an earlier version, or a file
  if (!folder || !(await readIndex(folder))) await root.removeEntry(name, { recursive: true }).catch(ignoreAbsence);
}

/** The whole models, `all`, and of each URL the `newest`. */
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
    return undefined; // being written, or cut off while it was
  }
}

/** `undefined` where the browser has no such storage: without HTTPS, or in a private window. */
async function rootFolder() {
  try {
    return await (await navigator.storage.getDirectory()).getDirectoryHandle(FOLDER, { create: true });
  } catch {
    return undefined;
  }
}

/** Which URLs are one model: those that differ by what gives access, or by a slash at the end. */
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
