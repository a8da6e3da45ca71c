import init, { Model } from "./pyrograph_web.js";
import { SINGLE_FILE, localFiles, remoteFiles } from "./files.js";
import { totalSize } from "./storage.js";

/** The functions that the page calls; each may send events before its result. */
const functions = { load, generate };

/** The calls that are not done, by their ids. */
const running = new Map();
let model;
let queue = Promise.resolve();

onmessage = ({ data: { id, name, parameters, cancel } }) => {
  if (cancel !== undefined) {
    running.get(cancel)?.abort();
    return;
  }
  const controller = new AbortController();
  running.set(id, controller);
  queue = queue
    .then(() => functions[name](parameters, (event) => postMessage({ id, event }), controller.signal))
    .then((result) => postMessage({ id, result }))
    .catch((error) => postMessage({ id, error: { name: error?.name ?? "Error", message: String(error?.message ?? error) } }))
    .finally(() => running.delete(id));
};

async function load({ source, request }, report, signal) {
  await init();
  const remote = typeof source === "string";
  const files = remote ? await remoteFiles(source, report, signal) : localFiles(source);
  signal.throwIfAborted();
  const total = totalSize(files);
  let loaded = 0;
  for (const file of files) {
    file.onRead = (bytes) => {
      loaded = Math.min(loaded + bytes, total);
      report({ stage: "load", loaded, total });
    };
  }
  const name = request.name ?? modelName(remote ? new URL(source).pathname : files[0].path);
  model = await Model.load(files, JSON.stringify({ ...request, name }));
  return { device: model.device, notes: model.notes };
}

/** The last part of a path that is no extension. */
function modelName(path) {
  const parts = decodeURIComponent(path).split("/").filter(Boolean);
  return (parts.at(-1) ?? "model").replace(SINGLE_FILE, "");
}

async function generate({ previewEvery = 0, ...request }, report, signal) {
  const onStep = async (index, count, preview) => {
    report({ index, count, preview: preview && new Blob([preview], { type: "image/png" }) });
    await new Promise((resolve) => setTimeout(resolve)); // lets a cancellation in
    return !signal.aborted;
  };
  signal.throwIfAborted();
  const image = await model.generate(JSON.stringify(request), previewEvery, onStep);
  signal.throwIfAborted();
  const picture = { blob: new Blob([image.png], { type: "image/png" }), parameters: image.parameters };
  image.free();
  return picture;
}
