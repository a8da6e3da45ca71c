/** A server with answers chosen by the tests; it also serves the files of the repository. */

import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, resolve } from "node:path";

export const root = resolve(import.meta.dirname, "../../..");

const TYPES = { ".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm" };

/**
 * Serves the repository, and in front of it `answers`: by path a text, bytes, or `(request, response, path)`. `otherwise` answers all other paths.
 * `requests` has the requested paths, `queries` the paths with their queries.
 */
export async function serve({ answers = {}, otherwise = notFound } = {}) {
  const server = createServer((request, response) => {
    const { pathname, search } = new URL(request.url, "http://localhost");
    const path = decodeURIComponent(pathname);
    served.requests.push(path);
    served.queries.push(path + search);
    const answer = served.answers[path];
    if (answer === undefined) return sendRepository(path, request, response, served.otherwise);
    return typeof answer === "function" ? answer(request, response, path) : send(response, answer);
  });
  await new Promise((done) => server.listen(0, "localhost", done));
  const url = `http://localhost:${server.address().port}`;
  const close = () => (server.closeAllConnections(), server.close());
  const served = { url, answers, otherwise, requests: [], queries: [], close };
  return served;
}

/** Sends a whole body with its length. */
export function send(response, body, headers = {}, status = 200) {
  const bytes = Buffer.from(body);
  response.writeHead(status, { "content-type": "application/octet-stream", "content-length": bytes.length, ...headers }).end(bytes);
}

/** An answer with this status. */
export function status(code, headers) {
  return (_, response) => send(response, "no", { "content-type": "text/plain", ...headers }, code);
}

/** An answer that does not end until `finish` is called: `{ answer, started, finish }`. */
export function slow(body, headers = {}) {
  const [started, finished] = [withResolvers(), withResolvers()];
  const answer = async (_, response) => {
    response.writeHead(200, { "content-type": "application/octet-stream", "content-length": Buffer.byteLength(body), ...headers });
    response.write(body.slice(0, 1));
    started.resolve();
    await finished.promise;
    response.end(body.slice(1));
  };
  return { answer, started: started.promise, finish: finished.resolve };
}

function withResolvers() {
  let resolve;
  const promise = new Promise((done) => (resolve = done));
  return { promise, resolve };
}

function notFound(_, response) {
  response.writeHead(404).end();
}

async function sendRepository(path, request, response, otherwise) {
  const file = join(root, path.replace(/\/$/, "/index.html"));
  const size = await stat(file).then((found) => found.isFile() && found.size, () => false);
  if (size === false) return otherwise(request, response, path);
  response.writeHead(200, { "content-type": TYPES[extname(file)] ?? "application/octet-stream", "content-length": size });
  createReadStream(file).pipe(response);
}
