import init, { Loader, OpenCheckpoint } from "./pyrograph_web.js";
import { openLocal } from "./files.js";
import { pageMessage } from "./messages.js";
import { openRemote } from "./remote.js";
import { totalSize } from "./storage.js";

/** The functions that the page can call; each may send events before its result. */
const functions = { load, generate };

/** The calls that are not finished, by id. */
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
    .catch((error) => postMessage({ id, error: plain(error) }))
    .finally(() => running.delete(id));
};

/** The parts of an error that the page needs, in a form that a message can carry. */
function plain(error) {
  const { name = "Error", needed, available } = error ?? {};
  return { name, message: pageMessage(String(error?.message ?? error)), needed, available };
}

async function load({ source, name, request }, report, signal) {
  await init();
  const loader = await Loader.start(json(request)); // before anything is fetched
  signal.throwIfAborted();
  const open = (name, isFolder, find) => OpenCheckpoint.open(name, isFolder, find);
  const opened = typeof source === "string" ? await openRemote(source, open, report, signal) : await openLocal(source, open);
  signal.throwIfAborted();
  reportReading(opened.files, report);
  try {
    model = loader.load(opened.checkpoint, name ?? opened.name);
  } catch (error) {
    if (error.name === "ModelError") await opened.forget();
    throw error;
  }
  return { device: model.device, notes: model.notes };
}

/** Converts a request to JSON. `JSON.stringify` alone would write numbers that are not finite as `null`. */
function json(request) {
  return JSON.stringify(request, (field, value) => {
    if (typeof value === "number" && !Number.isFinite(value)) throw new RangeError(`${field}: must be a finite number, not ${value}`);
    return value;
  });
}

function reportReading(files, report) {
  const total = totalSize(files);
  let loaded = 0;
  for (const file of files) {
    file.onRead = (bytes) => {
      loaded = Math.min(loaded + bytes, total);
      report({ stage: "load", loaded, total });
    };
  }
}

async function generate({ previewEvery = 0, ...request }, report, signal) {
  const onStep = async (index, count, preview) => {
    report({ index, count, preview: preview && new Blob([preview], { type: "image/png" }) });
    await new Promise((resolve) => setTimeout(resolve)); // lets a cancellation arrive
    return !signal.aborted;
  };
  signal.throwIfAborted();
  const images = await model.generate(json(request), previewEvery, onStep);
  signal.throwIfAborted();
  return images.map((image) => {
    const copy = { blob: new Blob([image.png], { type: "image/png" }), parameters: image.parameters };
    image.free();
    return copy;
  });
}
