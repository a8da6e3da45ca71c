/** Pages that load models with `files.worker.js`, and the contents of the browser's storage afterwards. */

/** A page that computes nothing. */
export async function openPage(browser, server) {
  const page = await browser.newPage();
  await page.goto(`${server.url}/crates/web/tests/blank.html`);
  return page;
}

/** The result of a worker's `load`: `{ contents, name, stages }` or `{ error }`. The worker is terminated. */
export async function load(page, parameters) {
  const visit = await start(page, parameters);
  const result = await visit.result();
  await visit.end();
  return result;
}

/** Starts a worker's `load`: `result()` waits for its end, `stage(name)` for progress, `abort()` cancels. */
export async function start(page, parameters) {
  const visit = await page.evaluateHandle((parameters) => {
    const worker = new Worker("/crates/web/tests/files.worker.js", { type: "module" });
    const visit = { worker, stages: new Set() };
    visit.end = new Promise((resolve) => {
      worker.onmessage = ({ data: { stage, result, error } }) => {
        if (stage) visit.stages.add(stage);
        else resolve(error ? { error } : result);
      };
      worker.onerror = ({ message }) => resolve({ error: { name: "worker", message } });
    });
    worker.postMessage({ name: "load", parameters });
    return visit;
  }, parameters);
  return {
    result: () => visit.evaluate(({ end }) => end),
    stage: (name) => page.waitForFunction(([{ stages }, name]) => stages.has(name), [visit, name]),
    abort: () => visit.evaluate(({ worker }) => worker.postMessage({ abort: true })),
    end: () => visit.evaluate(({ worker }) => worker.terminate()),
  };
}

/** The models that the page lists as stored, by the last part of their URL. */
export function stored(page) {
  return page.evaluate(async () => {
    const { storedModels } = await import("/crates/web/js/storage.js");
    return (await storedModels()).map(({ url }) => url.split("/").filter(Boolean).at(-1));
  });
}

export function remove(page, url) {
  return page.evaluate(async (url) => (await import("/crates/web/js/storage.js")).removeStoredModel(url), url);
}

/** Deletes everything in the storage. */
export function clear(page) {
  return page.evaluate(async () => {
    const root = await navigator.storage.getDirectory();
    for (const name of await Array.fromAsync(root.keys())) await root.removeEntry(name, { recursive: true });
  });
}

/** All files in the storage as text, by path. */
export function dump(page) {
  return page.evaluate(async () => {
    const [files, root] = [{}, await navigator.storage.getDirectory()];
    const walk = async (folder, path) => {
      for await (const entry of folder.values()) {
        const inside = `${path}/${entry.name}`;
        if (entry.kind === "directory") await walk(entry, inside);
        else files[inside] = await (await entry.getFile()).text();
      }
    };
    await walk(root, "");
    return files;
  });
}
