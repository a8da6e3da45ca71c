/** Files that stay in the browser between visits, and their names. */

import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";

import { launch } from "./browser.js";
import { send, serve, status } from "./server.js";
import { clear, dump, load, openPage, remove, stored } from "./visits.js";

const PATHS = ["index.json", "absent.json", "weights.bin"];
const FILES = { "index.json": "{}", "weights.bin": "w".repeat(100_000) };

let server, browser, page;
let count = 0;
before(async () => {
  server = await serve();
  browser = await launch({ webgpu: false });
  page = await openPage(browser, server);
});
after(async () => {
  await browser?.close();
  server?.close();
});
beforeEach(() => clear(page));

/** The URL of a new folder on the server. */
function folder(files = FILES) {
  const path = `/model-${count++}/`;
  for (const [name, answer] of Object.entries(files)) server.answers[path + name] = answer;
  return server.url + path;
}

/** Loads the model, and returns what was fetched. */
async function visit(url, options = {}) {
  server.requests.length = 0;
  const result = await load(page, { url, paths: PATHS, ...options });
  const { pathname } = new URL(url);
  const fetched = server.requests.filter((path) => path.startsWith(pathname)).map((path) => path.slice(pathname.length));
  return { ...result, fetched };
}

/** A file that answers conditional requests; `versions` records the status codes. */
function versioned(body, validators) {
  const answered = [];
  const answer = (request, response) => {
    const { etag, "last-modified": modified } = validators;
    const same = etag ? request.headers["if-none-match"] === etag : request.headers["if-modified-since"] === modified;
    answered.push(same ? 304 : 200);
    return same ? response.writeHead(304, validators).end() : send(response, body, validators);
  };
  return { answer, answered };
}

test("a model that was opened needs no network any more", async () => {
  const url = folder();
  const first = await visit(url);
  assert.deepEqual([first.contents, first.fetched], [FILES, PATHS]);
  const second = await visit(url);
  assert.deepEqual([second.contents, second.stages, second.fetched], [FILES, ["check"], []]);
});

test("a model that cannot be opened is not stored", async () => {
  const url = folder();
  assert.equal((await visit(url, { broken: true })).error.name, "ModelError");
  assert.ok(!(await stored(page)).includes(new URL(url).pathname.slice(1, -1)));
  assert.deepEqual((await visit(url)).fetched, PATHS);
});

test("a stored model that cannot be opened any more is fetched again", async () => {
  const url = folder();
  await visit(url);
  const again = await visit(url, { broken: true });
  assert.deepEqual([again.error.name, again.fetched], ["ModelError", PATHS]);
});

test("a file that was not requested when the model was stored is requested", async () => {
  const url = folder({ ...FILES, "new.json": "[]" });
  await visit(url);
  assert.equal((await visit(url, { paths: [...PATHS, "new.json"] })).contents["new.json"], "[]");
});

test("files of earlier versions and damaged files are not read", async () => {
  const url = folder();
  await visit(url);
  await page.evaluate(async () => {
    const root = await (await navigator.storage.getDirectory()).getDirectoryHandle("pyrograph");
    const write = async (folder, name, text) => {
      const writer = await (await folder.getFileHandle(name, { create: true })).createWritable();
      await writer.write(text);
      await writer.close();
    };
    for await (const folder of root.values()) await write(folder, "0", "<!doctype html>");
    const old = await root.getDirectoryHandle("0".repeat(64), { create: true });
    await write(old, "0", "<!doctype html>");
    await write(old, "model.json", JSON.stringify({ url: "http://localhost/old/", files: [{ path: "index.json", size: 15, blocks: [] }] }));
  });
  assert.ok(!(await stored(page)).includes("old"));
  assert.deepEqual((await visit(url)).contents, FILES);
  assert.ok(!Object.values(await dump(page)).includes("<!doctype html>"), "and is deleted");
});

test("an incomplete index is ignored", async () => {
  const url = folder();
  await visit(url);
  const kept = await page.evaluate(async () => {
    const { storedModels } = await import("/crates/web/js/storage.js");
    const [folder] = await Array.fromAsync((await (await navigator.storage.getDirectory()).getDirectoryHandle("pyrograph")).values());
    const file = await folder.getFileHandle("model.json");
    const { size } = await file.getFile();
    const kept = [];
    for (let length = size; length >= 0; length -= 1 + (length % 7)) {
      const writer = await file.createWritable({ keepExistingData: true });
      await writer.truncate(length);
      await writer.close();
      kept.push((await storedModels()).length);
    }
    return kept;
  });
  assert.deepEqual(kept, [1, ...kept.slice(1).fill(0)]);
  assert.deepEqual((await visit(url)).fetched, PATHS);
});

for (const validators of [{ etag: '"a"' }, { "last-modified": "Mon, 01 Jun 2026 00:00:00 GMT" }]) {
  test(`a file that changes at its URL is fetched again, by ${Object.keys(validators)}`, async () => {
    const url = folder();
    const set = (body, validators) => {
      const { answer, answered } = versioned(body, validators);
      server.answers[new URL("index.json", url).pathname] = answer;
      return answered;
    };
    const answered = set("1", validators);
    await visit(url);
    assert.deepEqual((await visit(url)).fetched, ["index.json"]);
    assert.deepEqual(answered, [200, 304], "a conditional request");
    set("2", { etag: '"b"', "last-modified": "Tue, 02 Jun 2026 00:00:00 GMT" });
    assert.equal((await visit(url)).contents["index.json"], "2");
    assert.equal((await visit(url)).contents["index.json"], "2");
    assert.equal((await stored(page)).filter((name) => url.endsWith(`/${name}/`)).length, 1);
    server.answers[new URL("index.json", url).pathname] = status(500);
    assert.equal((await visit(url)).contents["index.json"], "2", "what is kept will do without an answer");
    server.answers[new URL("index.json", url).pathname] = (request) => request.socket.destroy();
    assert.equal((await visit(url)).contents["index.json"], "2", "and without a network");
  });
}

test("a single file that changes is fetched again, also from another origin", async () => {
  const elsewhere = await serve();
  const cors = { "access-control-allow-origin": "*" };
  const set = (body, modified) => {
    elsewhere.answers["/model.safetensors"] = (_, response) => send(response, body, { ...cors, "last-modified": modified });
  };
  set("1", "Mon, 01 Jun 2026 00:00:00 GMT");
  const url = `${elsewhere.url}/model.safetensors`;
  for (const stages of [["download"], ["check"]]) {
    const { contents, stages: seen } = await visit(url);
    assert.deepEqual([contents, seen], [{ "": "1" }, stages]);
  }
  set("2", "Tue, 02 Jun 2026 00:00:00 GMT");
  assert.equal((await visit(url)).contents[""], "2");
  elsewhere.close();
  assert.equal((await visit(url)).contents[""], "2");
});

test("neither a query nor a slash makes another model, and no token is stored", async () => {
  const url = folder();
  await visit(`${url}?token=SECRET`);
  assert.deepEqual(server.queries.slice(-3).map((path) => path.split("?")[1]), Array(3).fill("token=SECRET"));
  assert.deepEqual((await visit(url.slice(0, -1))).fetched, []);
  const file = url.replace(/\/$/, ".safetensors");
  server.answers[new URL(file).pathname] = "tensors";
  const signed = `${file}?X-Amz-Signature=SECRET&X-Amz-Expires=60&Expires=1&sig=SECRET#SECRET`;
  await visit(signed);
  assert.deepEqual((await visit(file)).fetched, []);
  const kept = await dump(page);
  assert.ok(!JSON.stringify(kept).includes("SECRET"));
});

test("a query that names the file is part of the URL, without its token", async () => {
  const file = folder({}).slice(0, -1);
  server.answers[new URL(file).pathname] = (request, response) => send(response, new URL(request.url, file).searchParams.get("modelVersionId"));
  const contents = async (query) => (await visit(file + query)).contents[""];
  assert.equal(await contents("?modelVersionId=1&token=SECRET"), "1");
  assert.equal(await contents("?modelVersionId=2&accessToken=SECRET"), "2");
  const again = await visit(`${file}?modelVersionId=1&token=OTHER`);
  assert.deepEqual([again.contents[""], again.stages], ["1", ["check"]]);
  assert.ok(!JSON.stringify(await dump(page)).includes("SECRET"));
});

test("relative URLs are removed, by pages and workers", async () => {
  const url = folder();
  const isKept = async () => (await stored(page)).includes(new URL(url).pathname.slice(1, -1));
  for (const relative of [new URL(url).pathname, `../../..${new URL(url).pathname}`, `${url}?token=1#part`]) {
    await visit(url);
    assert.ok(await isKept());
    await remove(page, relative);
    assert.ok(!(await isKept()), relative);
  }
  await visit(url);
  await page.evaluate(async (url) => {
    const worker = new Worker("/crates/web/tests/files.worker.js", { type: "module" });
    const done = new Promise((resolve) => (worker.onmessage = resolve));
    worker.postMessage({ name: "removeStoredModel", parameters: `../../..${new URL(url).pathname}` });
    await done;
  }, url);
  assert.ok(!(await isKept()), "relative to the worker's script");
});

test("too little storage is an error before the download, with the bytes", async () => {
  const url = folder({ ...FILES, "weights.bin": (_, response) => response.writeHead(200, { "content-length": 1e10 }).write("w".repeat(100)) });
  const { error } = await visit(url, { quota: 7e9 });
  assert.deepEqual([error.name, error.needed, error.available], ["QuotaExceededError", 1e10, 7e9]);
  assert.match(error.message, /7000\.0 MB left, .* 10000\.0 MB/);
  assert.deepEqual(await dump(page), {});
});

test("storage that runs out during a download is an error, and no incomplete files stay", async () => {
  const session = await browser.newCDPSession(page);
  const { usage } = await page.evaluate(() => navigator.storage.estimate());
  await session.send("Storage.overrideQuotaForOrigin", { origin: server.url, quotaSize: usage + 12_000_000 });
  const large = "w".repeat(20_000_000);
  const unknown = (_, response) => (response.write(large), response.end()); // of its length
  for (const [weights, needed] of [[large, large.length], [unknown, undefined]]) {
    const { error } = await visit(folder({ ...FILES, "weights.bin": weights }));
    assert.deepEqual([error.name, error.needed], ["QuotaExceededError", needed]);
    assert.ok(error.available > 0 && error.available <= 12_000_000, `${error.available} bytes`);
    assert.deepEqual(await dump(page), {});
  }
  await session.send("Storage.overrideQuotaForOrigin", { origin: server.url });
  assert.equal((await visit(folder({ ...FILES, "weights.bin": large }))).error, undefined);
});
