/** Messages of the library, which names the options of its command line, as a page's author knows them. */

const OPTION = /(?<![\w/-])--([a-z]+(?:-[a-z]+)*)/g;
const FIELD = /^[a-z]+(_[a-z]+)+(?=:)/;

/** `--guidance-scale` and `guidance_scale` are `guidanceScale` here, and the device `wgpu` is `webgpu`. */
export function pageMessage(message) {
  const named = message.replace(OPTION, (_, option) => camelCase(option)).replace(FIELD, camelCase);
  return named.replace(/^device `wgpu`/, "device `webgpu`");
}

function camelCase(name) {
  return name.replace(/[-_]([a-z])/g, (_, letter) => letter.toUpperCase());
}
