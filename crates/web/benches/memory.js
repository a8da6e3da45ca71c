/**
 * Measures the WebAssembly's memory in MiB after a model was loaded in headless Chromium. This memory never shrinks, so the result is its peak: `npm
 * run memory FOLDER`, with a model in a folder of the repository.
 */

import { relative, resolve } from "node:path";
import { launch } from "../tests/browser.js";
import { root, serve } from "../tests/server.js";

const server = await serve();
const browser = await launch();
const page = await browser.newPage();
await page.goto(`${server.url}/examples/browser/`);
const stages = await page.evaluate(load, `${server.url}/${relative(root, resolve(process.argv[2]))}/`);
const mebibytes = await page.workers()[0].evaluate(memory, `${server.url}/crates/web/pkg/pyrograph_web.js`);
console.log(JSON.stringify({ mebibytes: Math.round(mebibytes), ...stages }));
await browser.close();
server.close();

/** The milliseconds until each stage begins, and until the end. */
async function load(model) {
  const { StableDiffusion } = await import("/crates/web/pkg/index.js");
  const [start, stages] = [performance.now(), {}];
  const note = (stage) => (stages[stage] ??= Math.round(performance.now() - start));
  await StableDiffusion.load(model, { device: "webgpu", onProgress: ({ stage }) => note(stage) });
  note("done");
  return stages;
}

async function memory(module) {
  const { default: init } = await import(module);
  return (await init()).memory.buffer.byteLength / 2 ** 20; // what the worker has initialised already
}
