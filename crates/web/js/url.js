/** The URLs of models: resolving them, their names, and the parts that are stored. */

/** File extensions of single-file checkpoints. */
const SINGLE_FILE = /\.(safetensors|ckpt|pth?|bin)$/i;

/** Words in query parameters that give access to a file and do not identify it: `?token=`, `?X-Amz-Signature=`, `?Expires=`. */
const ACCESS = new Set(
  "access auth authorization bearer credential credentials expires expiry key password policy secret session sig signature token".split(" "),
);
/** More such parameters, without these words: those of Amazon and Google, and those of Azure. */
const ACCESS_NAMES = /^(x-(amz|goog)-.*|accesstoken|apikey|googleaccessid|awsaccesskeyid|s[eprstv]|spr|srt|sk(oid|tid|[estv]))$/i;

/** The URL passed to `load`, relative to the page, or in a worker to its script. */
export function resolve(url) {
  return new URL(url, globalThis.document?.baseURI ?? globalThis.location.href);
}

/** Whether the path ends like that of a single-file checkpoint. */
export function namesFile({ pathname }) {
  return SINGLE_FILE.test(pathname);
}

/** Whether the path is that of a folder. */
export function namesFolder({ pathname }) {
  return pathname.endsWith("/");
}

/**
 * The URL without the parts that must not be shown or stored: user, password, fragment and query. If the path names neither a file nor a folder, the
 * query does, as in `/download?modelVersionId=1&token=..`; then only the parameters that give access are removed.
 */
export function withoutAccess(url) {
  const shown = new URL(url);
  shown.username = shown.password = shown.hash = "";
  const isPart = (name) => !namesFile(url) && !namesFolder(url) && !givesAccess(name);
  shown.search = new URLSearchParams([...shown.searchParams].filter(([name]) => isPart(name)));
  return shown.href;
}

function givesAccess(parameter) {
  const words = parameter.replace(/([a-z])([A-Z])/g, "$1-$2").toLowerCase().split(/[^a-z]+/);
  return ACCESS_NAMES.test(parameter) || words.some((word) => ACCESS.has(word));
}

/** The URL of a file in a folder, with the folder's query. */
export function fileIn(folder, path) {
  const url = new URL(folder);
  url.pathname = `${url.pathname.replace(/\/$/, "")}/${path.split("/").map(encodeURIComponent).join("/")}`;
  return url;
}

/** The last part of a path or URL, without a checkpoint's extension. */
export function modelName(path) {
  const last = path.split("/").filter(Boolean).at(-1) ?? "model";
  return decode(last).replace(SINGLE_FILE, "");
}

/** The text without percent encoding, if it has valid encoding. */
export function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
