/** Messages of the library, which names the options of its command line, as a page's author knows them. */

const OPTION = /(?<![\w/-])--([a-z]+(?:-[a-z]+)*)/g;
const FIELD = /^[a-z]+(_[a-z]+)+(?=:)/;

/** `--guidance-scale` and `guidance_scale` are `guidanceScale` here. */
export function pageMessage(message) {
  return message.replace(OPTION, (_, option) => camelCase(option)).replace(FIELD, camelCase);
}

function camelCase(name) {
  return name.replace(/[-_]([a-z])/g, (_, letter) => letter.toUpperCase());
}
