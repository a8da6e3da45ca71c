/**
 * Measures one call of the UNet in headless Chromium with pyrograph and with onnxruntime-web, both on WebGPU and with the same weights: `npm run
 * bench FOLDER [MODEL]`. The folder must be in the repository and filled by make_models.py. Prints the median of several calls.
 */

import { relative, resolve } from "node:path";
import { launch } from "../tests/browser.js";
import { root, serve } from "../tests/server.js";

const MODELS = {
  tiny: { calls: 15, shapes: { sample: [1, 16, 8, 8], encoder_hidden_states: [1, 24, 128] } },
  medium: { calls: 3, shapes: { sample: [1, 4, 32, 32], encoder_hidden_states: [1, 24, 512] } },
};

const [path, wanted = ""] = process.argv.slice(2);
const folder = relative(root, resolve(path));
const server = await serve();
const browser = await launch();
for (const [name, { calls, shapes }] of Object.entries(MODELS).filter(([name]) => name.includes(wanted))) {
  const model = `${server.url}/${folder}/${name}/`;
  const ours = await inPage(measureOurs, { model, calls });
  const theirs = await inPage(measureTheirs, { model: `${model}unet.onnx`, shapes, calls });
  const line = { name, pyrograph: median(ours), onnxruntime: median(theirs), ratio: median(ours) / median(theirs) };
  console.log(JSON.stringify(line, (_, value) => (typeof value === "number" ? Number(value.toPrecision(3)) : value)));
}
await browser.close();
server.close();

/** Runs a function in a new page. */
async function inPage(work, parameters) {
  const page = await browser.newPage();
  await page.goto(`${server.url}/examples/browser/`);
  const milliseconds = await page.evaluate(work, parameters);
  await page.close();
  return milliseconds;
}

async function measureOurs({ model, calls }) {
  const { StableDiffusion } = await import("/crates/web/pkg/index.js");
  const pipeline = await StableDiffusion.load(model, { device: "webgpu" });
  const times = [];
  const request = { prompt: "a cat", steps: calls + 2, guidanceScale: 1, onStep: () => times.push(performance.now()) };
  await pipeline.generate(request);
  pipeline.dispose();
  return times.slice(2).map((time, index) => time - times[index + 1]);
}

async function measureTheirs({ model, shapes, calls }) {
  const ort = await import("/crates/web/benches/node_modules/onnxruntime-web/dist/ort.webgpu.bundle.min.mjs");
  const session = await ort.InferenceSession.create(model, { executionProviders: ["webgpu"] });
  const tensor = (shape) => new ort.Tensor("float32", new Float32Array(shape.reduce((a, b) => a * b)).fill(0.1), shape);
  const milliseconds = [];
  for (let call = 0; call < calls + 2; call++) {
    const start = performance.now();
    const inputs = Object.fromEntries(Object.entries(shapes).map(([name, shape]) => [name, tensor(shape)]));
    const { out } = await session.run({ ...inputs, timestep: tensor([1]) });
    await out.getData();
    milliseconds.push(performance.now() - start);
  }
  return milliseconds.slice(2);
}

function median(values) {
  return values.sort((a, b) => a - b)[Math.floor(values.length / 2)];
}
