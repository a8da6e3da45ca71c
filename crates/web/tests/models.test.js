/** The models and files that the package opens, and its errors for others. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, beforeEach, test } from "node:test";

import { launch } from "./browser.js";
import { answersOf, load, openPackage, stored } from "./models.js";
import { root, send, serve, status } from "./server.js";

const MODEL = "tests/reference/tiny-sd1";
const SAFETENSORS = ".safetensors";

let server, browser, page;
let count = 0;
before(async () => {
  server = await serve();
  browser = await launch({ webgpu: false });
  page = await openPackage(browser, server);
});
after(async () => {
  await browser?.close();
  server?.close();
});
beforeEach(() => {
  server.answers = {};
  server.otherwise = status(404);
  server.requests.length = 0;
});

/** Publishes a changed copy of the model on the server, and returns its URL. */
function publish(changes = {}, rename = undefined) {
  const path = `/model-${count++}/`;
  Object.assign(server.answers, answersOf(MODEL, path, rename));
  for (const [name, answer] of Object.entries(changes)) server.answers[path + name] = answer;
  return server.url + path;
}

/** The names of shards and their index, in the form of transformers and diffusers for large models. */
function shards(name, variant = "") {
  const tensors = readFileSync(join(root, MODEL, `unet/diffusion_pytorch_model${SAFETENSORS}`));
  const { __metadata__, ...header } = JSON.parse(tensors.subarray(8, 8 + Number(tensors.readBigUInt64LE())));
  const index = { weight_map: Object.fromEntries(Object.keys(header).map((tensor) => [tensor, name])) };
  return { [`unet/${name}`]: tensors, [`unet/diffusion_pytorch_model.safetensors.index${variant}.json`]: JSON.stringify(index) };
}

const withoutUnet = (name) => (name.startsWith("unet/diffusion") ? "elsewhere" : name);
for (const [what, changes, rename] of [
  ["the plain files", {}],
  ["fp16", {}, (name) => name.replace(SAFETENSORS, `.fp16${SAFETENSORS}`)],
  ["bf16", {}, (name) => name.replace(SAFETENSORS, `.bf16${SAFETENSORS}`)],
  ["fp16 files called .bin", {}, (name) => name.replace(/(diffusion_)?(pytorch_)?model\.safetensors/, "$1pytorch_model.fp16.bin")],
  ["shards", shards("a-1-of-1.safetensors"), withoutUnet],
  ["fp16 shards", shards("a-1-of-1.safetensors", ".fp16"), withoutUnet],
]) {
  test(`a folder of ${what}`, async () => {
    const url = publish(changes, rename);
    assert.deepEqual((await load(page, url)).error, undefined);
    const second = await load(page, url);
    assert.deepEqual(second.stages, ["check", "load"], "the second visit needs no network");
    assert.ok((await stored(page)).includes(url));
  });
}

for (const file of ["tiny-sd1.ckpt", "tiny-sd2.safetensors"]) {
  test(`${file}, whatever its URL`, async () => {
    const bytes = readFileSync(join(root, "tests/reference", file));
    for (const path of [`/${file}`, "/download/1", "/download"]) {
      server.answers[path] = bytes;
      assert.deepEqual((await load(page, `${server.url}${path}?type=${file}`)).error, undefined, path);
    }
  });
}

test("a server that answers every unknown path with a web page", async () => {
  server.otherwise = (_, response) => send(response, "<!doctype html><p>hello", { "content-type": "text/html" });
  const url = publish();
  for (const visit of ["first", "second"]) assert.deepEqual((await load(page, url)).error, undefined, visit);
  const { error } = await load(page, `${server.url}/no-model/`);
  assert.match(error.message, /\/no-model.* with model_index\.json, is expected; .*model_index\.json cannot be fetched: the server sends a web page/);
});

test("the error of a missing file names its URL and the reason", async () => {
  const { error } = await load(page, publish({}, (name) => name.replace("vae/config.json", "vae/renamed.json")));
  assert.equal(error.name, "ModelError");
  assert.match(error.message, /http:\/\/localhost.*\/vae.* has no config\.json; .*\/vae\/config\.json cannot be fetched: 404 Not Found/);
});

test("a model that opens but cannot be loaded is not stored", async () => {
  const url = publish({ "tokenizer/vocab.json": "{", "tokenizer/merges.txt": "#version: 0.2" });
  const { error } = await load(page, url);
  assert.equal(error.name, "ModelError");
  assert.ok(!(await stored(page)).includes(url));
  for (const name of ["vocab.json", "merges.txt"]) delete server.answers[new URL(`tokenizer/${name}`, url).pathname];
  assert.deepEqual((await load(page, url)).error, undefined);
});

test("wrong options are refused before anything is fetched", async () => {
  const url = publish();
  server.requests.length = 0;
  for (const [options, message] of [
    [{ device: "webgpu" }, /^device `webgpu`: /],
    [{ dtype: "f64" }, /f64/],
    [{ colour: "red" }, /colour/],
  ]) {
    assert.match((await load(page, url, options)).error.message, message);
  }
  assert.deepEqual(server.requests.filter((path) => path.startsWith("/model-")), []);
});

test("messages name the fields of the page", async () => {
  const url = publish();
  const messages = await page.evaluate(async (url) => {
    const model = await pyrograph.StableDiffusion.load(url, { device: "cpu" });
    const requests = [{ steps: 0 }, { width: 12 }, { height: 12 }, { guidanceScale: NaN }, { clipSkip: 99 }, { scheduler: "none" }];
    const failed = ({ message }) => message;
    const messages = [];
    for (const request of requests) messages.push(await model.generate({ prompt: "a cat", steps: 1, ...request }).catch(failed));
    model.dispose();
    return messages;
  }, url);
  for (const [number, field] of ["steps", "width", "height", "guidanceScale", "clipSkip"].entries()) {
    assert.ok(messages[number].startsWith(`${field}: `), messages[number]);
  }
  assert.ok(!messages.some((message) => /--|_/.test(message)), messages.join("\n"));
});

test("persistent storage is requested once", async () => {
  const other = await browser.newPage();
  await other.addInitScript(() => {
    window.asked = 0;
    StorageManager.prototype.persist = async () => (window.asked++, true);
  });
  await other.goto(`${server.url}/crates/web/tests/blank.html`);
  await other.evaluate(async () => (window.pyrograph = await import("/crates/web/pkg/index.js")));
  for (const visit of ["first", "second"]) assert.deepEqual((await load(other, publish())).error, undefined, visit);
  assert.equal(await other.evaluate(() => window.asked), 1);
  await other.close();
});
