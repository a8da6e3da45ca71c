import init, { Loader, OpenCheckpoint } from "./pyrograph_web.js";
import { openLocal } from "./files.js";
import { pageMessage } from "./messages.js";
import { openRemote } from "./remote.js";
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
    .catch((error) => postMessage({ id, error: plain(error) }))
    .finally(() => running.delete(id));
};

/** What the page needs of an error, as a message can carry it. */
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

/** JSON, which would turn a number that is none into nothing. */
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
    await new Promise((resolve) => setTimeout(resolve)); // lets a cancellation in
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
