/** Downloads of files from all kinds of servers. */

import { decode, withoutAccess } from "./url.js";

/** Number of retries if a server asks to retry later, and the longest time that it may ask for. */
const RETRIES = 3;
const LONGEST_WAIT = 60_000;
/** Number of bytes that distinguish a web page from a file. */
const HEAD = 64;

/** A server of files. It returns a `RemoteFile`, or the reason why there is none. */
export class Server {
  #report;
  #signal;
  /** A file that this server has sent. */
  #given;

  constructor(report, signal) {
    this.#report = report;
    this.#signal = signal;
  }

  /** `{ file }`, or `{ absent }` with the reason: the server says so, or sends a web page instead. */
  async find(url) {
    let response;
    try {
      response = await this.#get(url);
    } catch (error) {
      this.#signal.throwIfAborted();
      if (await this.#hidesAbsence(url)) return { absent: "the server does not let pages read its answer (CORS)" };
      throw cannot(url, `${error.message}; is there a network, and does the server let pages read it (CORS)?`);
    }
    if (!response.ok) {
      response.body?.cancel();
      if ([404, 410].includes(response.status)) return { absent: status(response) };
      throw cannot(url, status(response));
    }
    const file = new RemoteFile(url, response, this.#signal);
    if (await file.isPage()) return { absent: "the server sends a web page instead" };
    this.#given ??= url;
    return { file };
  }

  /** Whether the file has changed since it had these validators; `false` if the server cannot be reached or does not say. */
  async hasChanged(url, { etag, lastModified }) {
    if (!(etag || lastModified) || navigator.onLine === false) return false;
    // Servers of other origins must allow these headers. Without the headers, the server sends the file, which is not
    // read.
    const conditions = isOwn(url) ? { "if-none-match": etag, "if-modified-since": lastModified } : {};
    const headers = Object.fromEntries(Object.entries(conditions).filter(([, value]) => value));
    const signal = AbortSignal.any([this.#signal, AbortSignal.timeout(10_000)]);
    const response = await fetch(url, { headers, cache: "no-store", signal }).catch(() => undefined);
    this.#signal.throwIfAborted();
    if (!response?.ok) return false;
    const file = new RemoteFile(url, response, signal);
    const isPage = await file.isPage().catch(() => true);
    file.cancel();
    const same = etag && file.etag ? etag === file.etag : lastModified === file.lastModified;
    return !isPage && !same;
  }

  async #get(url) {
    for (let retry = 0; ; retry++) {
      const response = await fetch(url, { cache: "no-store", signal: this.#signal }); // we store the model ourselves
      const wait = [429, 503].includes(response.status) && retry < RETRIES ? waitingTime(response, retry) : Infinity;
      if (wait > LONGEST_WAIT) return response;
      response.body?.cancel();
      this.#report({ stage: "wait", loaded: 0, total: 0 });
      await pause(wait, this.#signal);
    }
  }

  /**
   * Whether a failed request means that there is no such file. Servers of other origins often let pages read files, but not the answer that there is
   * none. In this case, they still send the file that they sent before.
   */
  async #hidesAbsence(url) {
    if (!this.#given || isOwn(url) || this.#given.origin !== url.origin) return false;
    const again = await fetch(this.#given, { cache: "no-store", signal: this.#signal }).catch(() => undefined);
    again?.body?.cancel();
    this.#signal.throwIfAborted();
    return again?.ok ?? false;
  }
}

/** A file that is being received. */
class RemoteFile {
  #reader;
  #signal;
  /** Chunks that were received to detect the kind of file. */
  #head = [];

  constructor(url, response, signal) {
    const header = (name) => response.headers.get(name) ?? undefined;
    this.url = url;
    this.etag = header("etag");
    this.lastModified = header("last-modified");
    this.type = header("content-type") ?? "";
    this.name = nameIn(header("content-disposition")) ?? decode(url.pathname.split("/").at(-1));
    /** Total bytes; unknown if the file is sent compressed. */
    this.length = header("content-encoding") ? undefined : Number(header("content-length")) || undefined;
    this.#reader = response.body?.getReader();
    this.#signal = signal;
  }

  cancel() {
    this.#reader?.cancel().catch(() => {});
  }

  /**
   * Whether this is a web page, which development servers send for every unknown path. The type alone is not enough: many servers send it with files.
   */
  async isPage() {
    const head = new TextDecoder().decode(await this.#peek(HEAD), { stream: true }).trimStart();
    const isPage = /^<(!doctype html|html|head|body)\b/i.test(head) || (/html/i.test(this.type) && !/^\{|[\0\ufffd]/.test(head));
    if (isPage) this.cancel();
    return isPage;
  }

  /** The bytes as they arrive, uncompressed. */
  async *chunks() {
    const isText = /\.(json|txt)$/.test(this.url.pathname);
    const [first, second] = await this.#peek(2);
    const received = this.#received();
    // A server that stores its texts compressed should say so (`content-encoding`); this one does not.
    yield* isText && first === 0x1f && second === 0x8b ? unzip(received) : received;
  }

  async *#received() {
    yield* this.#head;
    let count = size(this.#head);
    for (let chunk; (chunk = await this.#read(count)); count += chunk.length) yield chunk;
    // If more bytes arrive, they were compressed; a server of another origin does not show that header.
    if (count < this.length) throw this.#broken(count);
  }

  async #peek(length) {
    for (let chunk; size(this.#head) < length && (chunk = await this.#read(size(this.#head))); ) this.#head.push(chunk);
    return new Uint8Array(await new Blob(this.#head).slice(0, length).arrayBuffer());
  }

  async #read(position) {
    try {
      return (await this.#reader?.read())?.value;
    } catch {
      this.#signal.throwIfAborted();
      throw this.#broken(position);
    }
  }

  #broken(position) {
    return cannot(this.url, `it ended after ${position} of ${this.length ?? "an unknown number of"} bytes`);
  }
}

/** The file name in a `content-disposition`, <https://www.rfc-editor.org/rfc/rfc6266>. */
function nameIn(disposition) {
  const [, encoded] = disposition?.match(/filename\*\s*=\s*[\w-]+'[^']*'([^;\s]+)/i) ?? [];
  const [, quoted, plain] = disposition?.match(/filename\s*=\s*(?:"([^"]*)"|([^;\s]+))/i) ?? [];
  return (encoded ? decode(encoded) : (quoted ?? plain))?.split(/[\\/]/).at(-1);
}

async function* unzip(chunks) {
  const compressed = new ReadableStream({
    async pull(controller) {
      const { done, value } = await chunks.next();
      if (done) controller.close();
      else controller.enqueue(value);
    },
  });
  const reader = compressed.pipeThrough(new DecompressionStream("gzip")).getReader();
  for (let part; !(part = await reader.read()).done; ) yield part.value;
}

/** The milliseconds that a server asks to wait, else twice as many each time. */
function waitingTime(response, retry) {
  const after = response.headers.get("retry-after");
  if (after === null) return 1000 * 2 ** retry;
  return /^\d+$/.test(after) ? 1000 * Number(after) : Math.max(Date.parse(after) - Date.now(), 0) || 1000;
}

function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const abort = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", abort);
      resolve();
    }, milliseconds);
    signal.addEventListener("abort", abort, { once: true });
  });
}

function isOwn(url) {
  return url.origin === globalThis.location.origin;
}

function size(chunks) {
  return chunks.reduce((sum, { length }) => sum + length, 0);
}

function status({ status, statusText }) {
  return `${status} ${statusText}`.trim();
}

export function cannot(url, reason) {
  return new Error(`${withoutAccess(url)} cannot be fetched: ${reason}`);
}
