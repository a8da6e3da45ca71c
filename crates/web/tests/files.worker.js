/** Fetches and stores the files of a model like the worker of the package, with a list of files instead of the readers. */

import { openRemote } from "/crates/web/js/remote.js";
import { removeStoredModel, storedModels } from "/crates/web/js/storage.js";

const controller = new AbortController();
const functions = { load, removeStoredModel, storedModels };

onmessage = async ({ data: { name, parameters, abort } }) => {
  if (abort) return controller.abort();
  try {
    postMessage({ result: await functions[name](parameters) });
  } catch ({ name, message, needed, available }) {
    postMessage({ error: { name, message, needed, available } });
  }
};

/** The contents by path. Only the files in `required` must exist; with `broken` they are not a model. The browser has space for `quota` bytes. */
async function load({ url, paths, required = [], broken = false, quota }) {
  if (quota) navigator.storage.estimate = async () => ({ quota, usage: 0 });
  const read = async (name, isFolder, find) => {
    const contents = {};
    for (const path of isFolder ? paths : [""]) {
      const file = await find(path);
      if (file) contents[path] = text(file);
      else if (required.includes(path)) throw modelError(`${name}: has no ${path}`);
    }
    if (broken) throw modelError(`${name}: is no model`);
    return contents;
  };
  const stages = new Set();
  const report = ({ stage }) => {
    if (!stages.has(stage)) postMessage({ stage });
    stages.add(stage);
  };
  const { checkpoint, name } = await openRemote(url, read, report, controller.signal);
  return { contents: checkpoint, name, stages: [...stages] };
}

function text(file) {
  const bytes = new Uint8Array(file.size);
  file.read(0, bytes);
  return new TextDecoder().decode(bytes);
}

function modelError(message) {
  return Object.assign(new Error(message), { name: "ModelError" });
}
