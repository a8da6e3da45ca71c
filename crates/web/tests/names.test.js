/** URLs, names and messages, which need no browser. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { pageMessage } from "../js/messages.js";
import { fileIn, modelName, withoutAccess } from "../js/url.js";

const shown = (url) => withoutAccess(new URL(url)).replace(/^https:\/\/h\//, "");

test("a URL is stored without its query if the path names a file or a folder", () => {
  for (const query of ["?token=a", "?v=2", "?download=true", "?X-Amz-Signature=a&X-Amz-Expires=1", "#part", ""]) {
    assert.equal(shown(`https://h/sd15/${query}`), "sd15/");
    assert.equal(shown(`https://user:secret@h/sd15/model.SAFETENSORS${query}`), "sd15/model.SAFETENSORS");
  }
});

test("a query that names the file is stored, without the parameters that give access", () => {
  for (const [url, expected] of [
    ["api/download/models/1?type=Model&format=SafeTensor", "api/download/models/1?type=Model&format=SafeTensor"],
    ["download?modelVersionId=5&token=a", "download?modelVersionId=5"],
    ["download?access_token=a&api-key=b&apikey=c&id=1", "download?id=1"],
    ["get?id=1&Expires=1&Signature=a&Key-Pair-Id=b&Policy=c", "get?id=1"],
    ["get?id=1&X-Amz-Algorithm=a&X-Amz-Credential=b&X-Amz-Signature=c&X-Goog-Date=d&GoogleAccessId=e&AWSAccessKeyId=f", "get?id=1"],
    ["blob?sv=2024&se=2026&sr=b&sp=r&sig=a&spr=https&skoid=a&sktid=b&skt=c&ske=d&sks=e&skv=f&id=1", "blob?id=1"],
    ["get?design=1&monkey=2&size=pruned&author=a", "get?design=1&monkey=2&size=pruned&author=a"],
  ]) {
    assert.equal(shown(`https://h/${url}`), expected);
  }
});

test("a folder's query is sent for each file", () => {
  for (const folder of ["https://h/sd15/?token=a", "https://h/sd15?token=a"]) {
    assert.equal(fileIn(new URL(folder), "unet/a b#1.json").href, "https://h/sd15/unet/a%20b%231.json?token=a");
  }
});

test("the name of a model is the last part of its path", () => {
  for (const [path, name] of [["/sd/v1-5.safetensors", "v1-5"], ["/sd/v1-5/", "v1-5"], ["/a%20b.ckpt", "a b"], ["/100%.pt", "100%"], ["/", "model"]]) {
    assert.equal(modelName(path), name);
  }
});

test("messages name the page's fields and leave files alone", () => {
  for (const [message, expected] of [
    ["--steps: must be at least 1", "steps: must be at least 1"],
    ["--guidance-scale: must be a finite number", "guidanceScale: must be a finite number"],
    ["clip_skip: leaves no block", "clipSkip: leaves no block"],
    ["unet produced NaN; try `--dtype f32` (--clip-skip)", "unet produced NaN; try `dtype f32` (clipSkip)"],
    ["device `wgpu`: there is none", "device `webgpu`: there is none"],
    ["models--someone--tiny-sd: has no model_index.json", "models--someone--tiny-sd: has no model_index.json"],
    ["https://h/--a/my_model: has no vae", "https://h/--a/my_model: has no vae"],
  ]) {
    assert.equal(pageMessage(message), expected);
  }
});
