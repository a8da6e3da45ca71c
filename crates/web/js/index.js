import { WorkerCalls } from "./calls.js";
import { resolve } from "./url.js";

export { removeStoredModel, storedModels } from "./storage.js";

/** Milliseconds that a worker has to delete incomplete files after loading was cancelled. */
const CLEANING_TIME = 2000;

/** Stable Diffusion in a worker. `index.d.ts` describes it. */
export class StableDiffusion {
  #calls;

  constructor(calls, { device, notes }) {
    this.#calls = calls;
    this.device = device;
    this.notes = notes;
  }

  static async load(source, options = {}) {
    const { onProgress, signal, name, ...request } = options;
    signal?.throwIfAborted();
    const parameters = { source: transferable(source), name, request };
    if (typeof parameters.source === "string") askToKeep();
    const calls = new WorkerCalls();
    try {
      const loaded = await calls.call("load", parameters, signal, onProgress);
      return new StableDiffusion(calls, loaded);
    } catch (error) {
      await calls.idle(CLEANING_TIME);
      calls.end();
      throw error;
    }
  }

  async generate({ onStep, signal, ...request }) {
    const seed = request.seed >= 0 ? request.seed : crypto.getRandomValues(new Uint32Array(1))[0];
    const made = await this.#calls.call("generate", { ...request, seed }, signal, onStep);
    const images = made.map((image, index) => ({ ...image, seed: seed + index }));
    return { ...images[0], images };
  }

  get usable() {
    return this.#calls.failure === undefined;
  }

  dispose() {
    this.#calls.end();
  }
}

/** The source in a form that can be sent to a worker. */
function transferable(source) {
  if (typeof source === "string" || source instanceof URL) return resolve(source).href;
  return source instanceof File ? [source] : [...source];
}

let asked;

/** Asks the browser once not to clear the storage when the disk is full; only pages can ask. */
function askToKeep() {
  asked ??= navigator.storage?.persist?.().catch(() => false);
}
