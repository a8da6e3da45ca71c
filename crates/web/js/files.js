/** The files of a model. */

import { modelName } from "./url.js";

/** A file that is read synchronously, which is possible only in workers. */
export class ModelFile {
  #reader = new FileReaderSync();

  constructor(blob) {
    this.blob = blob;
    this.onRead = () => {};
  }

  get size() {
    return this.blob.size;
  }

  /** Fills `bytes` from `position` on; returns the number of bytes read. */
  read(position, bytes) {
    const part = this.#reader.readAsArrayBuffer(this.blob.slice(position, position + bytes.length));
    bytes.set(new Uint8Array(part));
    this.onRead(part.byteLength);
    return part.byteLength;
  }
}

/** Opens the files that the user chose: one file, or the files of a folder. Parameters and result are those of `openRemote`. */
export async function openLocal(picked, open) {
  if (picked.length === 0) throw new Error("there is no file to load");
  const isFolder = picked.length > 1;
  const files = new Map(picked.map((file) => [isFolder ? pathInFolder(file) : "", new ModelFile(file)]));
  const name = isFolder ? picked[0].webkitRelativePath.split("/")[0] || "model" : picked[0].name;
  const checkpoint = await open(name, isFolder, (path) => files.get(path));
  return { checkpoint, files: [...files.values()], name: modelName(name), forget() {} };
}

function pathInFolder(file) {
  return file.webkitRelativePath.split("/").slice(1).join("/") || file.name;
}
