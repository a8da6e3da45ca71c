/** Several tabs, or several workers of one tab, that load, store and remove the same model. */

import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";

import { launch } from "./browser.js";
import { serve, slow } from "./server.js";
import { clear, dump, load, openPage, remove, start, stored } from "./visits.js";

const PATHS = ["index.json", "absent.json", "weights.bin"];
const FILES = { "index.json": "{}", "weights.bin": "w".repeat(300_000) };

let server, browser, idle, url;
let count = 0;
before(async () => {
  server = await serve();
  browser = await launch({ webgpu: false });
  idle = await openPage(browser, server);
});
after(async () => {
  await browser?.close();
  server?.close();
});
beforeEach(async () => {
  await clear(idle);
  url = `${server.url}/model-${count++}/`;
  for (const [path, text] of Object.entries(FILES)) server.answers[new URL(path, url).pathname] = text;
  server.requests.length = 0;
});

const asked = (path) => server.requests.filter((request) => request === new URL(path, url).pathname).length;
const hold = (path) => {
  const { answer, ...held } = slow(FILES[path] ?? "absent");
  server.answers[new URL(path, url).pathname] = answer;
  return held;
};
const whole = (visit) => assert.deepEqual(visit.contents, FILES, visit.error?.message);

for (const delay of [0, 2, 5, 10, 20, 40]) {
  test(`two tabs, ${delay} ms apart, both load, and one stores`, async () => {
    const pages = [await openPage(browser, server), await openPage(browser, server)];
    const first = start(pages[0], { url, paths: PATHS });
    await new Promise((resolve) => setTimeout(resolve, delay));
    const second = start(pages[1], { url, paths: PATHS });
    for (const visit of [first, second]) whole(await (await visit).result());
    assert.equal(asked("weights.bin"), 1, "it is fetched once");
    await Promise.all(pages.map((page) => page.close()));
  });
}

test("two workers of one page, too", async () => {
  const page = await openPage(browser, server);
  for (const visit of await Promise.all([1, 2, 3].map(() => load(page, { url, paths: PATHS })))) whole(visit);
  assert.equal(asked("weights.bin"), 1);
  await page.close();
});

test("if the storing tab is closed, the next one stores", async () => {
  const held = hold("weights.bin");
  const [first, second] = [await openPage(browser, server), await openPage(browser, server)];
  await start(first, { url, paths: PATHS });
  await held.started;
  const waiting = await start(second, { url, paths: PATHS });
  await waiting.stage("wait");
  server.answers[new URL("weights.bin", url).pathname] = FILES["weights.bin"];
  await first.close();
  whole(await waiting.result());
  assert.deepEqual(Object.keys(await dump(second)).filter((path) => path.endsWith("/1")).length, (await stored(second)).length);
  await second.close();
});

for (const path of PATHS) {
  test(`a tab that ends while it fetches ${path} leaves nothing that is taken for whole, and the next one sweeps it`, async () => {
    const held = hold(path);
    const [first, second] = [await openPage(browser, server), await openPage(browser, server)];
    const before = Object.keys(await dump(second)).length;
    await start(first, { url, paths: PATHS });
    await held.started;
    await first.close();
    assert.ok(!(await stored(second)).includes(new URL(url).pathname.slice(1, -1)));
    held.finish();
    server.answers[new URL(path, url).pathname] = FILES[path];
    whole(await load(second, { url, paths: PATHS }));
    assert.equal(Object.keys(await dump(second)).length, before + 3, "two files and the index");
    await second.close();
  });
}

test("another model does not wait", async () => {
  const held = hold("weights.bin");
  const page = await openPage(browser, server);
  const waiting = await start(page, { url, paths: PATHS });
  await held.started;
  const other = new URL("../another/", url).href;
  server.answers["/another/index.json"] = "{}";
  const { contents, stages } = await load(page, { url: other, paths: PATHS });
  assert.deepEqual([contents, stages], [{ "index.json": "{}" }, ["download"]]);
  held.finish();
  whole(await waiting.result());
  await page.close();
});

test("a waiting tab can cancel", async () => {
  const held = hold("weights.bin");
  const page = await openPage(browser, server);
  const storing = await start(page, { url, paths: PATHS });
  await held.started;
  const waiting = await start(page, { url, paths: PATHS });
  await waiting.stage("wait");
  await waiting.abort();
  assert.equal((await waiting.result()).error.name, "AbortError");
  held.finish();
  whole(await storing.result());
  await page.close();
});

test("removal while another tab stores lets it finish", async () => {
  const held = hold("weights.bin");
  const pages = [await openPage(browser, server), await openPage(browser, server)];
  const storing = await start(pages[0], { url, paths: PATHS });
  await held.started;
  await remove(pages[1], url);
  held.finish();
  whole(await storing.result());
  whole(await load(pages[1], { url, paths: PATHS }));
  assert.equal(asked("weights.bin"), 1);
  await Promise.all(pages.map((page) => page.close()));
});

test("removal while another tab reads deletes the files afterwards", async () => {
  const pages = [await openPage(browser, server), await openPage(browser, server)];
  whole(await load(pages[0], { url, paths: PATHS }));
  const reading = await start(pages[0], { url, paths: [...PATHS.slice(0, 2), ...Array(50).fill("weights.bin")] });
  await reading.stage("check");
  await remove(pages[1], url);
  whole(await reading.result());
  assert.ok(!(await stored(pages[1])).includes(new URL(url).pathname.slice(1, -1)));
  await pages[0].close();
  await load(pages[1], { url, paths: PATHS });
  await remove(pages[1], url);
  await pages[1].close();
  const last = await openPage(browser, server);
  server.answers["/last/index.json"] = "{}";
  await load(last, { url: `${server.url}/last/`, paths: PATHS });
  const folders = new Set(Object.keys(await dump(last)).map((path) => path.split("/")[2]));
  assert.equal(folders.size, (await stored(last)).length, "no folder of a model that is not kept");
  await last.close();
});

test("aborting a download leaves nothing", async () => {
  const held = hold("weights.bin");
  const page = await openPage(browser, server);
  const before = Object.keys(await dump(page));
  const visit = await start(page, { url, paths: PATHS });
  await held.started;
  await visit.abort();
  assert.equal((await visit.result()).error.name, "AbortError");
  assert.deepEqual(Object.keys(await dump(page)), before);
  held.finish();
  await page.close();
});
