/** Shared by the tests: a browser, and images from the command line. */

import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { PNG } from "pngjs";

import { root } from "./server.js";

const FLAGS = "--disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync".split(" ");

/** Chromium with its own profile; WebGPU runs on its software adapter. */
export async function launch({ webgpu = true } = {}) {
  const flags = webgpu ? ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"] : ["--disable-features=WebGPU"];
  return chromium.launchPersistentContext(mkdtempSync(join(tmpdir(), "pyrograph-")), {
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", ...FLAGS, ...flags],
    acceptDownloads: true,
  });
}

/** Errors and warnings on the console of a page and its workers. */
export function complaints(page) {
  const found = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) found.push(`${message.type()}: ${message.text()}`);
  });
  page.on("pageerror", (error) => found.push(String(error)));
  return found;
}

/** An image from the command line, on the CPU. */
export function commandLine(prompt, options) {
  const output = join(mkdtempSync(join(tmpdir(), "pyrograph-")), "image.png");
  const target = process.env.CARGO_TARGET_DIR ?? join(root, "target");
  const flags = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]);
  execFileSync(join(target, "release/pyrograph"), ["txt2img", prompt, "--device", "cpu", "--output", output, ...flags]);
  return PNG.sync.read(readFileSync(output));
}

/** The mean absolute difference of two images in red, green and blue, on a scale of 255. */
export function difference(left, right) {
  if (left.width !== right.width || left.height !== right.height) throw new Error("images of different sizes");
  let sum = 0;
  for (let index = 0; index < left.data.length; index++) sum += Math.abs(left.data[index] - right.data[index]);
  return sum / (left.width * left.height * 3);
}
