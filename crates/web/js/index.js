export { removeStoredModel, storedModels } from "./storage.js";

/** Stable Diffusion in a worker. `index.d.ts` describes it. */
export class StableDiffusion {
  #calls;

  constructor(calls, { device, notes }) {
    this.#calls = calls;
    this.device = device;
    this.notes = notes;
  }

  static async load(source, options = {}) {
    const { onProgress, signal, ...request } = options;
    const calls = new WorkerCalls();
    try {
      const loaded = await calls.call("load", { source: transferable(source), request }, signal, onProgress);
      return new StableDiffusion(calls, loaded);
    } catch (error) {
      calls.end();
      throw error;
    }
  }

  async generate({ onStep, signal, ...request }) {
    const seed = request.seed >= 0 ? request.seed : crypto.getRandomValues(new Uint32Array(1))[0];
    const picture = await this.#calls.call("generate", { ...request, seed }, signal, onStep);
    return { ...picture, seed };
  }

  get usable() {
    return this.#calls.failure === undefined;
  }

  dispose() {
    this.#calls.end();
  }
}

/** A source that can be sent to a worker. */
function transferable(source) {
  if (typeof source === "string" || source instanceof URL) {
    return new URL(source, document.baseURI).href;
  }
  return source instanceof File ? [source] : [...source];
}

const BROKEN = "the computation broke off, most likely for want of memory: load the model again, and try a smaller picture";

/** Calls of functions in a worker, each with events until its result. */
class WorkerCalls {
  #worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
  #pending = new Map();
  #next = 0;
  /** Why there can be no more calls. */
  failure;

  constructor() {
    this.#worker.onmessage = ({ data: { id, event, result, error } }) => {
      const call = this.#pending.get(id);
      if (event !== undefined) call?.onEvent?.(event);
      else if (error !== undefined) call?.reject(Object.assign(new Error(error.message), { name: error.name }));
      else call?.resolve(result);
    };
    // WebAssembly that has failed once cannot go on.
    this.#worker.onerror = ({ message }) => this.#end(message ? `${BROKEN} (${message})` : "the worker cannot be started");
  }

  call(name, parameters, signal, onEvent) {
    signal?.throwIfAborted();
    if (this.failure) return Promise.reject(this.failure);
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      const abort = () => {
        this.#worker.postMessage({ cancel: id });
        reject(signal.reason);
      };
      signal?.addEventListener("abort", abort, { once: true });
      this.#pending.set(id, { resolve, reject, onEvent });
      this.#worker.postMessage({ id, name, parameters });
    }).finally(() => this.#pending.delete(id));
  }

  end() {
    this.#end("the model was disposed of");
  }

  #end(reason) {
    this.#worker.terminate();
    this.failure ??= new Error(reason);
    for (const { reject } of this.#pending.values()) reject(this.failure);
  }
}
