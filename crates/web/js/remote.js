/** Models at a URL. A stored model is used if it is up to date. Otherwise the model is downloaded and stored. */

import { toBlob } from "./blocks.js";
import { Server, cannot } from "./fetch.js";
import { ModelFile } from "./files.js";
import * as locks from "./locks.js";
import { Draft, keyFor, openStored, sweep, forget } from "./storage.js";
import { fileIn, modelName, namesFile, namesFolder, withoutAccess } from "./url.js";

/**
 * Opens the model at a URL. `open(name, isFolder, find)` reads its files. It calls `find` for one file after the other, and rejects with a
 * `ModelError` if a file is wrong. The result is `{ checkpoint, files, name, forget }`: the result of `open`, the files, the name of the model, and a
 * function to call if the files turn out to be useless.
 */
export async function openRemote(address, open, report, signal) {
  const url = new URL(address);
  await sweep();
  const visit = new Visit(url, open, report, signal);
  const kept = await visit.openKept();
  if (kept) return kept;
  // One tab stores the model; the others wait and then open the stored model. If that tab is closed or fails, the next
  // one takes its turn.
  const wait = () => report({ stage: "wait", loaded: 0, total: 0 });
  const endTurn = locks.areThere && (await locks.take(`pyrograph store ${await keyFor(url)}`, signal, wait));
  try {
    return (await visit.openKept()) ?? (await visit.download());
  } finally {
    if (endTurn) endTurn();
  }
}

class Visit {
  /** The stored model that could not be used. */
  #refused;

  constructor(url, open, report, signal) {
    Object.assign(this, { url, open, report, signal, server: new Server(report, signal) });
  }

  /** The stored model, if it is up to date and can be opened. */
  async openKept() {
    const { url, open, report, signal } = this;
    const stored = await openStored(url, report, signal, this.#refused);
    if (!stored) return undefined;
    const { name, index, blobs, release } = stored;
    this.#refused = name;
    try {
      if (await this.#isOutdated(index)) return release();
      const files = new Map([...blobs].map(([path, blob]) => [path, new ModelFile(blob)]));
      const find = (path) => {
        // A later version of this library may read more files than the version that stored the model.
        if (!files.has(path) && !index.absent.includes(path)) throw new NotStored();
        return files.get(path);
      };
      const checkpoint = await open(index.url, index.isFolder, find);
      return { checkpoint, files: [...files.values()], name: index.name, forget: () => forget(name, release) };
    } catch (error) {
      release();
      if (error.name === "ModelError") await forget(name);
      else if (!(error instanceof NotStored)) throw error;
      return undefined;
    }
  }

  /** Whether the server has a new version of the file that was fetched first. */
  #isOutdated({ files: [first], isFolder }) {
    return this.server.hasChanged(isFolder ? fileIn(this.url, first.path) : this.url, first);
  }

  /** Downloads the model, and stores it if it can be opened. */
  async download() {
    const { url, open, report, signal } = this;
    const draft = await Draft.begin(url);
    const [files, absent, progress] = [[], [], { loaded: 0, total: 0 }];
    try {
      const single = await this.#singleFile();
      const alone = (path) => (path === "" ? { file: single } : { absent: "the URL is that of a single file" });
      const look = (path) => (single ? alone(path) : this.server.find(fileIn(url, path)));
      const find = async (path) => {
        const { file, absent: reason } = await look(path);
        if (!file) return void absent.push({ path, reason });
        const count = counter(progress, file.length, report);
        const blob = await (draft ? draft.write(path, file, count) : toBlob(file, count));
        signal.throwIfAborted();
        files.push(new ModelFile(blob));
        return files.at(-1);
      };
      const name = modelName(single ? single.name : url.pathname);
      const checkpoint = await open(withoutAccess(url), !single, find).catch((error) => {
        throw withReason(error, url, absent);
      });
      await draft?.commit({ name, isFolder: !single, absent: absent.map(({ path }) => path) });
      return { checkpoint, files, name, forget: () => draft && forget(draft.name, draft.release) };
    } catch (error) {
      await draft?.discard();
      throw error;
    }
  }

  /** The file at the URL; `undefined` if the URL is that of a folder. If the URL shows neither, the answer of the server decides. */
  async #singleFile() {
    const { url, signal } = this;
    if (namesFolder(url)) return undefined;
    if (!namesFile(url)) {
      const found = await this.server.find(url).catch(() => ({}));
      signal.throwIfAborted();
      return found.file;
    }
    const { file, absent } = await this.server.find(url);
    if (!file) throw cannot(url, absent);
    return file;
  }
}

/** A file was not requested when the model was stored. */
class NotStored extends Error {}

/** Counts the received bytes of all files. */
function counter(progress, length, report) {
  progress.total += length ?? 0;
  return (bytes) => {
    progress.loaded += bytes;
    report({ stage: "download", loaded: progress.loaded, total: Math.max(progress.total, progress.loaded) });
  };
}

/** Adds the reason why a file that the error names, or else the last missing one, is missing. */
function withReason(error, folder, absent) {
  const named = absent.findLast(({ path }) => error.message.includes(path.split("/").at(-1))) ?? absent.at(-1);
  if (error.name === "ModelError" && named) error.message += `; ${cannot(fileIn(folder, named.path), named.reason).message}`;
  return error;
}
