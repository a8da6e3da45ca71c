/** Calls of the package from the code of a page, on the CPU. */

import { readFileSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";

import { root } from "./server.js";

/** A page that has the package's functions as `pyrograph`. */
export async function openPackage(browser, server) {
  const page = await browser.newPage();
  page.setDefaultTimeout(120_000);
  await page.goto(`${server.url}/crates/web/tests/blank.html`);
  await page.evaluate(async () => (window.pyrograph = await import("/crates/web/pkg/index.js")));
  return page;
}

/** Loads a model and disposes it: `{ stages }`, or `{ error }`. */
export function load(page, url, options = {}) {
  return page.evaluate(async ([url, options]) => {
    const stages = new Set();
    try {
      const model = await pyrograph.StableDiffusion.load(url, { device: "cpu", onProgress: ({ stage }) => stages.add(stage), ...options });
      model.dispose();
      return { stages: [...stages] };
    } catch ({ name, message }) {
      return { error: { name, message } };
    }
  }, [url, options]);
}

export function stored(page) {
  return page.evaluate(async () => (await pyrograph.storedModels()).map(({ url }) => url));
}

/** The files of a committed folder as a server's answers below `path`, each under the name that `rename` returns. */
export function answersOf(folder, path, rename = (name) => name) {
  const below = join(root, folder);
  const files = readdirSync(below, { recursive: true }).filter((name) => statSync(join(below, name)).isFile());
  return Object.fromEntries(files.map((name) => [path + rename(name), readFileSync(join(below, name))]));
}
