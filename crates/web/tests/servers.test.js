/** All kinds of servers, and the meaning of their answers. */

import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { gzipSync } from "node:zlib";

import { launch } from "./browser.js";
import { send, serve, status } from "./server.js";
import { clear, load, openPage, stored } from "./visits.js";

const FILES = { "index.json": "{}", "weights.bin": "w".repeat(100_000) };
const PATHS = ["index.json", "optional.json", "weights.bin"];
const PAGE = "<!DOCTYPE html><title>The page of a development server</title><script src=/main.js></script>";
const HTML = { "content-type": "text/html; charset=utf-8" };
const CORS = { "access-control-allow-origin": "*" };

let own, other, browser, page;
before(async () => {
  [own, other] = [await serve(), await serve()];
  browser = await launch({ webgpu: false });
  page = await openPage(browser, own);
});
after(async () => {
  await browser?.close();
  for (const server of [own, other]) server?.close();
});
beforeEach(async () => {
  await clear(page);
  for (const server of [own, other]) {
    server.answers = {};
    server.requests.length = 0;
  }
});

/** Puts a folder on a server and loads it. */
function visit(files, { server = own, headers = {}, ...options } = {}) {
  for (const [path, answer] of Object.entries({ ...FILES, ...files })) {
    server.answers[`/m/${path}`] = typeof answer === "function" ? answer : (_, response) => send(response, answer, headers);
  }
  return load(page, { url: `${server.url}/m/`, paths: PATHS, required: Object.keys(FILES), ...options });
}

for (const code of [404, 410]) {
  test(`${code} means that there is no file`, async () => {
    assert.deepEqual((await visit({ "optional.json": status(code) })).contents, FILES);
  });
}

for (const code of [400, 401, 403, 500, 502]) {
  test(`${code} is an error that names the file, optional or not`, async () => {
    const { error } = await visit({ "optional.json": status(code) });
    assert.match(error.message, new RegExp(`/m/optional\\.json cannot be fetched: ${code} `));
    assert.deepEqual(await stored(page), []);
  });
}

for (const [kind, text, headers] of [
  ["a page", PAGE, HTML],
  ["a page of another type", `\n${PAGE}`, { "content-type": "text/plain" }],
  ["a text that says it is a page", "Not found", HTML],
]) {
  test(`${kind} with status 200 is no file`, async () => {
    own.otherwise = (_, response) => send(response, text, headers);
    assert.deepEqual((await visit({})).contents, FILES);
    const { error } = await load(page, { url: `${own.url}/blob/model.safetensors`, paths: PATHS });
    assert.match(error.message, /model\.safetensors cannot be fetched: .*web page/);
    assert.deepEqual(await stored(page), ["m"]);
    own.otherwise = (_, response) => response.writeHead(404).end();
  });
}

for (const type of ["text/html", "text/plain", "application/json", "image/png"]) {
  test(`a file is one, even as ${type}`, async () => {
    const weights = `\0\0${"w".repeat(1000)}`;
    const { contents } = await visit({ "weights.bin": weights }, { headers: { "content-type": type } });
    assert.deepEqual(contents, { ...FILES, "weights.bin": weights });
  });
}

for (const after of ["1", new Date(Date.now() + 2000).toUTCString()]) {
  for (const code of [429, 503]) {
    test(`${code} with retry-after: ${after} is asked again`, async () => {
      let answers = 0;
      const busy = (_, response) => (answers++ < 2 ? status(code, { "retry-after": answers === 1 ? after : "0" }) : status(404))(_, response);
      const { contents, stages } = await visit({ "optional.json": busy });
      assert.deepEqual([contents, answers], [FILES, 3]);
      assert.ok(stages.includes("wait"));
    });
  }
}

test("a server that stays busy, or asks for an hour, is an error", async () => {
  for (const after of ["0", "3600"]) {
    const { error } = await visit({ "weights.bin": status(429, { "retry-after": after }) });
    assert.match(error.message, /weights\.bin cannot be fetched: 429 Too Many Requests/);
  }
});

test("a missing file of another origin counts as missing, even if pages may not see the answer", async () => {
  const { contents } = await visit({ "optional.json": status(404) }, { server: other, headers: CORS });
  assert.deepEqual(contents, FILES);
  await clear(page);
  const { error } = await visit({ "weights.bin": status(404) }, { server: other, headers: CORS });
  assert.match(error.message, /has no weights\.bin; .*weights\.bin cannot be fetched: .*CORS/);
});

test("a network failure does not count as a missing file", async () => {
  const reset = (request) => request.socket.destroy();
  assert.match((await visit({ "optional.json": reset })).error.message, /optional\.json cannot be fetched: .*CORS/, "of the own origin");
  assert.match((await visit({}, { server: other })).error.message, /index\.json cannot be fetched: .*CORS/, "of the first file");
  let isFirst = true;
  const dies = (request, response) => (isFirst ? ((isFirst = false), send(response, "{}", CORS)) : request.socket.destroy());
  const { error } = await visit({ "index.json": dies, "optional.json": reset }, { server: other, headers: CORS });
  assert.match(error.message, /optional\.json cannot be fetched: .*CORS/, "of a server that is gone");
});

test("compressed files are complete, also from another origin, and without a header for it", async () => {
  const files = { "index.json": JSON.stringify({ text: "x".repeat(1000) }), "weights.bin": "w".repeat(100_000) };
  const zipped = (text, headers) => (_, response) => send(response, gzipSync(text), headers);
  const all = (headers) => Object.fromEntries(Object.entries(files).map(([path, text]) => [path, zipped(text, headers)]));
  assert.deepEqual((await visit(all({ "content-encoding": "gzip" }))).contents, files);
  assert.deepEqual((await visit(all({ "content-encoding": "gzip", ...CORS }), { server: other })).contents, files);
  await clear(page);
  assert.deepEqual((await visit({ ...files, "index.json": zipped(files["index.json"]) })).contents, files);
});

test("redirected files belong to the same folder", async () => {
  const elsewhere = (path) => (_, response) => response.writeHead(302, { ...CORS, location: `${other.url}/blobs/${path.length}` }).end();
  for (const [path, text] of Object.entries(FILES)) other.answers[`/blobs/${path.length}`] = (_, response) => send(response, text, CORS);
  const { contents } = await visit(Object.fromEntries(Object.keys(FILES).map((path) => [path, elsewhere(path)])));
  assert.deepEqual(contents, FILES);
  assert.deepEqual(own.requests.filter((path) => path.startsWith("/m/")), PATHS.map((path) => `/m/${path}`));
});

test("a file that ends early is an error, and no part of it is stored", async () => {
  const cut = (request, response) => {
    response.writeHead(200, { "content-length": 100_000 }).write("w".repeat(60_000), () => setTimeout(() => request.socket.destroy(), 100));
  };
  const { error } = await visit({ "weights.bin": cut });
  assert.match(error.message, /weights\.bin cannot be fetched: it ended after \d+ of 100000 bytes/);
  assert.deepEqual(await stored(page), []);
});

test("a single file may have any URL", async () => {
  const tensors = "tensors".repeat(100);
  own.answers["/named.safetensors"] = tensors;
  own.answers["/download/1"] = (_, response) => send(response, tensors, { "content-disposition": 'attachment; filename="dreamy.safetensors"' });
  own.answers["/download/2"] = (_, response) => send(response, tensors, { "content-disposition": "attachment; filename*=UTF-8''tr%C3%A4umend.ckpt" });
  own.answers["/download/3"] = tensors;
  for (const [path, name] of [["named.safetensors", "named"], ["download/1?type=Model", "dreamy"], ["download/2", "träumend"], ["download/3", "3"]]) {
    for (const visits of ["first", "second"]) {
      const opened = await load(page, { url: `${own.url}/${path}`, paths: PATHS });
      assert.deepEqual([opened.contents, opened.name], [{ "": tensors }, name], visits);
    }
  }
});

for (const [answer, what] of [[status(404), "404"], [status(403), "403"], [(_, response) => send(response, PAGE, HTML), "a page"]]) {
  test(`a folder's URL needs no slash where it answers with ${what}`, async () => {
    own.answers["/m"] = answer;
    await visit({});
    await clear(page);
    const { contents, name } = await load(page, { url: `${own.url}/m`, paths: PATHS });
    assert.deepEqual([contents, name], [FILES, "m"]);
  });
}
