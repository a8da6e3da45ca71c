/** Messages of the library in the terms of this package: the library names the options of its command line. */

const OPTION = /(?<![\w/-])--([a-z]+(?:-[a-z]+)*)/g;
const FIELD = /^[a-z]+(_[a-z]+)+(?=:)/;

/** `--guidance-scale` and `guidance_scale` become `guidanceScale`, and the device `wgpu` becomes `webgpu`. */
export function pageMessage(message) {
  const named = message.replace(OPTION, (_, option) => camelCase(option)).replace(FIELD, camelCase);
  return named.replace(/^device `wgpu`/, "device `webgpu`");
}

function camelCase(name) {
  return name.replace(/[-_]([a-z])/g, (_, letter) => letter.toUpperCase());
}
