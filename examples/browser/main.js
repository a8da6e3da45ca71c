import { StableDiffusion, removeStoredModel, storedModels } from "../../crates/web/pkg/index.js";

const DEFAULT_MODEL = new URL("../../assets/spark/", import.meta.url).href;

const form = document.querySelector("#request");
const fields = form.elements;
const element = Object.fromEntries(
  ["dice", "generate", "cancel", "image", "progress", "status", "error", "download", "stored"].map((id) => [
    id,
    document.getElementById(id),
  ]),
);
// Options in the address, for tests and experiments: `?device=cpu`, `?limits=webgpu-default`.
const options = Object.fromEntries(new URLSearchParams(location.search));

/** The loaded model and its source. */
let loaded = { source: undefined, model: undefined };

form.addEventListener("submit", (event) => {
  event.preventDefault();
  run();
});
fields.prompt.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
});
element.dice.addEventListener("click", () => {
  fields.seed.value = crypto.getRandomValues(new Uint32Array(1))[0];
});
fields.model.addEventListener("change", () => {
  for (const label of form.querySelectorAll("[data-model]")) label.hidden = label.dataset.model !== fields.model.value;
});
showStored();

/** Loads the chosen model unless it is loaded already, and generates an image. */
async function run() {
  const controller = new AbortController();
  const cancel = () => controller.abort();
  element.cancel.addEventListener("click", cancel);
  setBusy(true);
  try {
    const model = await load(controller.signal);
    await generate(model, controller.signal);
  } catch (error) {
    if (error.name === "AbortError") say("Cancelled.");
    else showError(error);
  } finally {
    element.cancel.removeEventListener("click", cancel);
    setBusy(false);
  }
}

async function load(signal) {
  const source = chosenSource();
  if (loaded.source === source && loaded.model.usable) return loaded.model;
  loaded.model?.dispose();
  loaded = { source: undefined, model: undefined };
  say("Starting …");
  const onProgress = ({ stage, loaded, total }) => {
    if (stage === "wait") return say("Waiting for another tab that stores this model, or for the server …");
    const verb = { download: "Downloading", check: "Checking", load: "Loading" }[stage];
    say(`${verb} the model: ${megabytes(loaded)} of ${megabytes(total)} MB`, loaded / total);
  };
  const model = await StableDiffusion.load(source, { ...options, onProgress, signal });
  loaded = { source, model };
  showStored();
  return model;
}

/** The URL or the chosen files. */
function chosenSource() {
  switch (fields.model.value) {
    case "url":
      if (!fields.url.value) throw new Error("Enter the URL of a model.");
      return fields.url.value;
    case "file":
      if (!fields.file.files.length) throw new Error("Choose a file.");
      return fields.file.files[0];
    case "folder":
      if (!fields.folder.files.length) throw new Error("Choose a folder.");
      return fields.folder.files;
    default:
      return DEFAULT_MODEL;
  }
}

async function generate(model, signal) {
  const number = (name) => (fields[name].value === "" ? undefined : fields[name].valueAsNumber);
  const place = model.device === "cpu" ? "the CPU, which is slow: this browser offers no WebGPU" : model.device;
  const steps = number("steps");
  say(`Generating on ${place}`, 0);
  const start = performance.now();
  const image = await model.generate({
    prompt: fields.prompt.value,
    negativePrompt: fields.negativePrompt.value,
    steps,
    guidanceScale: number("guidanceScale"),
    seed: number("seed"),
    width: number("width"),
    height: number("height"),
    scheduler: fields.scheduler.value || undefined,
    previewEvery: Math.ceil(steps / 5),
    signal,
    onStep({ index, count, preview }) {
      say(`Step ${index + 1} of ${count} on ${place}`, (index + 1) / count);
      if (preview) show(preview);
    },
  });
  show(image.blob);
  element.image.alt = fields.prompt.value;
  element.download.href = element.image.src;
  element.download.download = `pyrograph-${image.seed}.png`;
  element.download.hidden = false;
  say(`${((performance.now() - start) / 1000).toFixed(1)} s on ${place}`);
}

function show(blob) {
  const previous = element.image.src;
  element.image.src = URL.createObjectURL(blob);
  element.image.hidden = false;
  element.image.onload = () => element.image.classList.toggle("small", element.image.naturalWidth < 256);
  if (previous) URL.revokeObjectURL(previous);
}

function say(text, share) {
  element.status.textContent = text;
  element.progress.hidden = share === undefined;
  element.progress.value = share ?? 0;
}

function showError(error) {
  say("");
  element.error.textContent = error.message;
  element.error.hidden = false;
}

function setBusy(busy) {
  element.generate.hidden = busy;
  element.cancel.hidden = !busy;
  if (busy) {
    element.error.hidden = true;
    element.download.hidden = true;
    element.cancel.focus();
  } else {
    element.generate.focus();
    element.progress.hidden = true;
  }
}

/** Lists the models that the browser stores, each with a button to remove it. */
async function showStored() {
  const models = await storedModels().catch(() => []);
  element.stored.hidden = models.length === 0;
  element.stored.querySelector("ul").replaceChildren(
    ...models.map(({ url, bytes }) => {
      const item = document.createElement("li");
      const text = document.createElement("span");
      text.textContent = `${decodeURI(url.replace(/\/$/, "")).split("/").at(-1)}, ${megabytes(bytes)} MB`;
      const remove = document.createElement("button");
      remove.type = "button";
      remove.textContent = "Remove";
      remove.onclick = () => removeStoredModel(url).then(showStored);
      item.append(text, remove);
      return item;
    }),
  );
}

function megabytes(bytes) {
  return (bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0);
}
