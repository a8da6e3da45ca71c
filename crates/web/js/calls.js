const BROKEN = "the computation failed, most likely because memory ran out: load the model again, and try a smaller image";

/** Calls of functions in a worker, each with events before its result. */
export class WorkerCalls {
  #worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
  /** The calls that the page waits for, by id. */
  #pending = new Map();
  /** The ids of calls that the worker has not answered, including cancelled ones. */
  #unanswered = new Set();
  #onIdle = () => {};
  #next = 0;
  /** The reason why no more calls are possible. */
  failure;

  constructor() {
    this.#worker.onmessage = ({ data: { id, event, result, error } }) => {
      const call = this.#pending.get(id);
      if (event !== undefined) return call?.onEvent?.(event);
      if (error !== undefined) call?.reject(Object.assign(new Error(error.message), error));
      else call?.resolve(result);
      this.#unanswered.delete(id);
      if (this.#unanswered.size === 0) this.#onIdle();
    };
    // WebAssembly cannot continue after a failure.
    this.#worker.onerror = ({ message }) => this.#end(message ? `${BROKEN} (${message})` : "the worker cannot be started");
  }

  call(name, parameters, signal, onEvent) {
    signal?.throwIfAborted();
    if (this.failure) return Promise.reject(this.failure);
    const id = this.#next++;
    const { promise, resolve, reject } = Promise.withResolvers();
    const abort = () => {
      this.#worker.postMessage({ cancel: id });
      reject(signal.reason);
    };
    this.#worker.postMessage({ id, name, parameters });
    this.#pending.set(id, { resolve, reject, onEvent });
    this.#unanswered.add(id);
    signal?.addEventListener("abort", abort);
    return promise.finally(() => {
      signal?.removeEventListener("abort", abort);
      this.#pending.delete(id);
    });
  }

  /** Resolves when the worker has answered all calls, including cancelled ones, or after this many milliseconds. */
  idle(milliseconds) {
    if (this.#unanswered.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#onIdle = resolve;
      setTimeout(resolve, milliseconds);
    });
  }

  end() {
    this.#end("the model was disposed");
  }

  #end(reason) {
    this.#worker.terminate();
    this.failure ??= new Error(reason);
    for (const { reject } of this.#pending.values()) reject(this.failure);
    this.#unanswered.clear();
    this.#onIdle();
  }
}
