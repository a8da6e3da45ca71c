/** Calls that are cancelled by an `AbortSignal`, and one signal for many calls. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { launch } from "./browser.js";
import { answersOf, openPackage } from "./models.js";
import { serve, slow } from "./server.js";
import { dump } from "./visits.js";

let server, browser, page, url;
before(async () => {
  server = await serve({ answers: answersOf("tests/reference/tiny-sd1", "/model/") });
  url = `${server.url}/model/`;
  browser = await launch({ webgpu: false });
  page = await openPackage(browser, server);
  await page.evaluate(() => {
    window.started = 0;
    const { Worker } = window;
    window.Worker = class extends Worker {
      constructor(...parameters) {
        super(...parameters);
        window.started++;
      }
    };
    window.load = (url, signal) => pyrograph.StableDiffusion.load(url, { device: "cpu", signal });
    window.failure = (promise) => promise.then(() => "none", ({ name }) => name);
  });
});
after(async () => {
  await browser?.close();
  server?.close();
});

test("a signal for many calls keeps no listener", async () => {
  const [listeners, usable] = await page.evaluate(async (url) => {
    const controller = new AbortController();
    const { signal } = controller;
    let listeners = 0;
    const [add, remove] = [signal.addEventListener.bind(signal), signal.removeEventListener.bind(signal)];
    signal.addEventListener = (...parameters) => (listeners++, add(...parameters));
    signal.removeEventListener = (...parameters) => (listeners--, remove(...parameters));
    const model = await load(url, signal);
    const request = { prompt: "a cat", steps: 1, width: 16, height: 16, signal };
    for (let call = 0; call < 3; call++) await model.generate(request);
    await failure(model.generate({ ...request, steps: 0 }));
    const left = listeners;
    controller.abort();
    await new Promise((resolve) => setTimeout(resolve, 100));
    await model.generate({ ...request, signal: undefined });
    const { usable } = model;
    model.dispose();
    return [left, usable];
  }, url);
  assert.deepEqual([listeners, usable], [0, true]);
});

test("a request that waits for another one can be cancelled", async () => {
  const outcomes = await page.evaluate(async (url) => {
    const model = await load(url);
    const request = { prompt: "a cat", steps: 20, width: 16, height: 16 };
    const controller = new AbortController();
    const steps = [];
    const running = failure(model.generate(request));
    const waiting = failure(model.generate({ ...request, signal: controller.signal, onStep: (step) => steps.push(step) }));
    controller.abort();
    const outcomes = [await waiting, await running, await failure(model.generate({ ...request, steps: 1 })), steps.length];
    model.dispose();
    return outcomes;
  }, url);
  assert.deepEqual(outcomes, ["AbortError", "none", "none", 0]);
});

test("a load that is cancelled before its start does nothing", async () => {
  const [name, started] = await page.evaluate(async (url) => {
    const before = started;
    return [await failure(load(url, AbortSignal.abort(new DOMException("no", "TimeoutError")))), started - before];
  }, url);
  assert.deepEqual([name, started], ["TimeoutError", 0], "the signal's own reason");
});

test("a cancelled download leaves no incomplete files", async () => {
  const before = Object.keys(await dump(page));
  Object.assign(server.answers, answersOf("tests/reference/tiny-sd1", "/slow/"));
  const weights = "/slow/unet/diffusion_pytorch_model.safetensors";
  const { answer, started, finish } = slow(server.answers[weights]);
  server.answers[weights] = answer;
  await page.evaluate((url) => {
    window.controller = new AbortController();
    window.loading = failure(load(url, window.controller.signal));
  }, `${server.url}/slow/`);
  await started;
  assert.equal(await page.evaluate(() => (window.controller.abort(), window.loading)), "AbortError");
  assert.deepEqual(Object.keys(await dump(page)), before);
  finish();
});
