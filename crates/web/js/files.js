/** The files of a model: picked by the user, or fetched and kept. */

import { openModel, storeModel } from "./storage.js";

/** A file that is read without waiting, which only workers may. */
export class ModelFile {
  #reader = new FileReaderSync();

  constructor(path, blob) {
    this.path = path;
    this.blob = blob;
    this.onRead = () => {};
  }

  get size() {
    return this.blob.size;
  }

  /** Fills `bytes` from `position` on; returns how many there were. */
  read(position, bytes) {
    const part = this.#reader.readAsArrayBuffer(this.blob.slice(position, position + bytes.length));
    bytes.set(new Uint8Array(part));
    this.onRead(part.byteLength);
    return part.byteLength;
  }
}

/** One file, or those of a folder without the folder's own name. */
export function localFiles(files) {
  if (files.length === 0) throw new Error("there is no file to load");
  if (files.length === 1) return [new ModelFile(files[0].name, files[0])];
  return files.map((file) => new ModelFile(file.webkitRelativePath.split("/").slice(1).join("/") || file.name, file));
}

/** The files at a URL, from the browser's storage where they are there and whole. */
export async function remoteFiles(url, report, signal) {
  const stored = await openModel(url, report, signal);
  const files = stored ?? (await storeModel(url, await listFiles(url, signal), report, signal));
  return files.map(({ path, blob }) => new ModelFile(path, blob));
}

/** How the name of a checkpoint in one file ends. */
export const SINGLE_FILE = /\.(safetensors|ckpt|pth?|bin)$/i;
const TOKENIZER = ["vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"];

/** What there is to fetch: `{ path, response }`, the responses not yet read. */
async function* listFiles(url, signal) {
  const { pathname } = new URL(url);
  if (SINGLE_FILE.test(pathname)) {
    yield { path: decodeURIComponent(pathname.split("/").at(-1)), response: await get(url, signal) };
    return;
  }
  const base = url.endsWith("/") ? url : `${url}/`;
  const file = async (path) => ({ path, response: await get(new URL(path, base), signal) });
  const any = async (paths) => {
    for (const path of paths) {
      const response = await getIfAny(new URL(path, base), signal);
      if (response) return { path, response };
    }
    return undefined;
  };
  yield await file("model_index.json");
  yield await file("scheduler/scheduler_config.json");
  for (const [folder, name] of [["text_encoder", "model"], ["unet", "diffusion_pytorch_model"], ["vae", "diffusion_pytorch_model"]]) {
    yield await file(`${folder}/config.json`);
    yield* weights(`${folder}/${name}`, any, file);
  }
  const first = await any(["tokenizer/tokenizer.json", "tokenizer/vocab.json"]);
  if (first) yield first;
  for (const name of first?.path.endsWith("vocab.json") ? TOKENIZER.slice(1) : TOKENIZER.slice(2)) {
    const found = await any([`tokenizer/${name}`]);
    if (found) yield found;
  }
}

/** A component's weights: one file, or an index and the files it names. */
async function* weights(name, any, file) {
  const variants = ["", ".fp16"];
  const found = await any([
    ...variants.map((variant) => `${name}${variant}.safetensors`),
    ...variants.map((variant) => `${name}.safetensors.index${variant}.json`),
    `${name}.bin`,
    name.replace(/[^/]*$/, "pytorch_model.bin"),
  ]);
  if (!found) throw new Error(`${name}.safetensors is not there`);
  if (!found.path.endsWith(".json")) return yield found;
  const { weight_map: shards } = await found.response.clone().json();
  yield found;
  for (const shard of new Set(Object.values(shards ?? {}))) {
    yield await file(name.replace(/[^/]*$/, shard));
  }
}

async function get(url, signal) {
  const response = await request(url, signal);
  if (!response.ok) throw new Error(`${url} cannot be fetched: ${response.status} ${response.statusText}`);
  return response;
}

async function getIfAny(url, signal) {
  const response = await request(url, signal);
  return response.ok ? response : undefined;
}

function request(url, signal) {
  return fetch(url, { signal }).catch((error) => {
    if (signal.aborted) throw signal.reason;
    throw new Error(`${url} cannot be fetched: ${error.message}`);
  });
}
