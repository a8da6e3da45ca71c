/** The example page in headless Chromium: its images, its stored models, and its error messages. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { PNG } from "pngjs";

import { commandLine, complaints, difference, launch } from "./browser.js";
import { root, serve } from "./server.js";

const PROMPT = "a red apple on a blue background";
const REQUEST = { steps: 10, seed: 7, "guidance-scale": 4 };
const SINGLE_FILE = join(root, "tests/reference/tiny-sd2.safetensors");
const MODEL = "/assets/spark/";
/** A software adapter needs long for the first use of each shader. */
const PATIENCE = 240_000;

let server, browser;
before(async () => {
  server = await serve();
  browser = await launch();
});
after(async () => {
  await browser?.close();
  server?.close();
});

async function open(query = "?device=webgpu", context = browser) {
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  const said = complaints(page);
  await page.goto(`${server.url}/examples/browser/${query}`);
  return { page, said };
}

async function fill(page, { steps, seed, "guidance-scale": guidance }) {
  await page.fill("[name=prompt]", PROMPT);
  await page.fill("[name=steps]", String(steps));
  await page.fill("[name=seed]", String(seed));
  await page.fill("[name=guidanceScale]", String(guidance));
}

/** Clicks, waits for the end, and downloads. */
async function generate(page) {
  await page.click("#generate");
  await page.waitForSelector("#generate:not([hidden])");
  assert.equal(await page.textContent("#error"), "");
  const [download] = await Promise.all([page.waitForEvent("download"), page.click("#download")]);
  return readFileSync(await download.path());
}

/** Records every value that a property of an element takes from now on. */
async function record(page, selector, property) {
  await page.evaluate(([selector, property]) => {
    const element = document.querySelector(selector);
    window[property] = [];
    const note = () => {
      if (window[property].at(-1) !== element[property]) window[property].push(element[property]);
    };
    new MutationObserver(note).observe(element, { attributes: true });
  }, [selector, property]);
  return () => page.evaluate((property) => window[property], property);
}

test("the image is the command line's", async () => {
  const { page, said } = await open();
  await fill(page, REQUEST);
  const images = await record(page, "#image", "src");
  const shares = await record(page, "#progress", "value");
  const png = await generate(page);
  assert.ok((await images()).length >= 3, "previews arrive before the image");
  assert.ok((await shares()).length > 5, "progress moves");
  const expected = commandLine(PROMPT, REQUEST);
  const off = difference(PNG.sync.read(png), expected);
  assert.ok(off <= 1, `mean absolute difference of ${off} of 255`);
  assert.match(png.toString("latin1"), /tEXtparameters\0a red apple on a blue background\nSteps: 10, .*Seed: 7/);
  assert.deepEqual(said, []);
  await page.close();
});

test("a run can be cancelled, and the next one is complete", async () => {
  const { page, said } = await open();
  await fill(page, { ...REQUEST, steps: 500 });
  await page.click("#generate");
  await page.waitForFunction(() => /^Step/.test(document.querySelector("#status").textContent));
  await page.click("#cancel");
  await page.waitForFunction(() => document.querySelector("#status").textContent === "Cancelled.");
  await fill(page, { ...REQUEST, steps: 2 });
  assert.ok((await generate(page)).length > 0);
  assert.deepEqual(said, []);
  await page.close();
});

test("a second visit needs no network, and a broken file is fetched again", async () => {
  const visit = async () => {
    const { page, said } = await open();
    await fill(page, { ...REQUEST, steps: 1 });
    server.requests.length = 0;
    await generate(page);
    assert.deepEqual(said, []);
    return { page, fetched: server.requests.filter((path) => path.startsWith(MODEL)) };
  };
  const second = await visit();
  assert.deepEqual(second.fetched, []);
  await second.page.evaluate(async () => {
    const models = await (await navigator.storage.getDirectory()).getDirectoryHandle("pyrograph");
    for await (const model of models.values()) {
      for await (const file of model.values()) {
        const { size } = await file.getFile();
        if (size < 1e6) continue;
        const writer = await file.createWritable({ keepExistingData: true });
        await writer.write({ type: "write", position: size - 3, data: "x" });
        await writer.close();
      }
    }
  });
  await second.page.close();
  const third = await visit();
  assert.ok(third.fetched.length > 0, "what is broken is fetched");
  await third.page.close();
  const fourth = await visit();
  assert.deepEqual(fourth.fetched, [], "and kept");
  await fourth.page.close();
});

for (const limits of ["adapter", "webgpu-default"]) {
  test(`a local file gives the command line's image, with limits: ${limits}`, async () => {
    const { page, said } = await open(`?device=webgpu&limits=${limits}`);
    await fill(page, REQUEST);
    await page.click("summary");
    await page.selectOption("[name=model]", "file");
    const [chooser] = await Promise.all([page.waitForEvent("filechooser"), page.click("[name=file]")]);
    await chooser.setFiles(SINGLE_FILE);
    await page.fill("[name=width]", "64");
    await page.fill("[name=height]", "64");
    const png = PNG.sync.read(await generate(page));
    const off = difference(png, commandLine(PROMPT, { ...REQUEST, model: SINGLE_FILE, width: 64, height: 64 }));
    assert.ok(off <= 1, `mean absolute difference of ${off} of 255`);
    assert.deepEqual(said, []);
    await page.close();
  });
}

test("errors are shown", async () => {
  const { page } = await open();
  const error = async () => {
    await page.click("#generate");
    await page.waitForSelector("#error:not([hidden])");
    return page.textContent("#error");
  };
  await page.click("summary");
  await page.selectOption("[name=model]", "url");
  await page.fill("[name=url]", `${server.url}/nothing.safetensors`);
  assert.match(await error(), /nothing\.safetensors cannot be fetched: 404/);
  await page.fill("[name=url]", "http://localhost:1/model.safetensors");
  assert.match(await error(), /localhost:1\/model\.safetensors cannot be fetched/);
  await page.selectOption("[name=model]", "file");
  await page.setInputFiles("[name=file]", join(root, "assets/red-apple.png"));
  assert.match(await error(), /red-apple\.png: /);
  await page.close();
});

test("an image that is too large is an error, and the next one is generated", async () => {
  const { page } = await open("?device=cpu");
  await fill(page, { ...REQUEST, steps: 1 });
  await page.click("summary");
  await page.evaluate(() => (document.querySelector("#request").noValidate = true)); // the form has a limit of its own
  const resize = async (side) => {
    for (const name of ["width", "height"]) await page.fill(`[name=${name}]`, side);
  };
  for (const side of ["16384", "8192"]) {
    await resize(side);
    await page.click("#generate");
    await page.waitForSelector("#error:not([hidden])");
    assert.match(await page.textContent("#error"), /needs \d+ bytes and the device allows \d+/, side);
  }
  await resize("64");
  await page.click("#generate");
  await page.waitForSelector("#download:not([hidden])");
  await page.close();
});

test("without WebGPU the CPU generates the same image, and the page says so", async () => {
  const context = await launch({ webgpu: false });
  const { page, said } = await open("", context);
  await fill(page, REQUEST);
  const png = PNG.sync.read(await generate(page));
  assert.match(await page.textContent("#status"), /CPU, which is slow/);
  assert.ok(difference(png, commandLine(PROMPT, REQUEST)) <= 1);
  assert.deepEqual(said, []);
  await context.close();
});
