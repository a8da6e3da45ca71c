/** Stable Diffusion 1 and 2 in a web page. All work is done in a worker; the page never waits. */

/**
 * Where a model comes from: the URL of a diffusers folder or of a single `.safetensors` or `.ckpt` file, a file, or the files of a folder. A
 * relative URL is resolved against the page's, and in a worker against that of its script. The query of a folder's URL, such as a token, is
 * sent for each of its files.
 */
export type ModelSource = string | URL | File | Iterable<File>;

export interface LoadOptions {
  /** `auto`, the default, is WebGPU where the browser has it, else the CPU, which is slow. */
  device?: "auto" | "webgpu" | "cpu";
  /** How much of the adapter is used: all, the default, or what every browser with WebGPU has. */
  limits?: "adapter" | "webgpu-default";
  /** The number format of UNet and text encoder; `auto`, the default, is `f16` where the adapter has it. */
  dtype?: "auto" | "f16" | "f32";
  /** What the UNet predicts, for single files that do not say. */
  predictionType?: "epsilon" | "v-prediction" | "sample";
  /** What the model is called in the text of images; the last part of its URL, or the name of the file or folder. */
  name?: string;
  /** Is told how far loading is. */
  onProgress?: (progress: LoadProgress) => void;
  /** Gives loading up: the promise is rejected with the signal's reason, and nothing half stays. One signal may serve for many calls. */
  signal?: AbortSignal;
}

export interface LoadProgress {
  /**
   * `download`: from the network to the browser's storage. `check`: what the storage has. `load`: to the device. `wait`: another tab is
   * storing the same model, or the server asks to be patient.
   */
  stage: "download" | "check" | "load" | "wait";
  /** Bytes done. */
  loaded: number;
  /** Bytes in all, as far as is known; 0 while waiting. */
  total: number;
}

export interface GenerateRequest {
  /** What is to be seen. */
  prompt: string;
  /** What is to be avoided. */
  negativePrompt?: string;
  /** Denoising steps; the model's own, else 50. */
  steps?: number;
  /** Weight of the prompt; the model's own, else 7.5. At 1 and less there is no guidance, which is twice as fast. */
  guidanceScale?: number;
  /** How far the contrast that guidance adds is pulled back, 0 to 1; 0. */
  guidanceRescale?: number;
  /** Seed of the noise, that of `torch.Generator("cpu")`; random, also where it is negative. Image `k` of a batch has the seed `seed + k`. */
  seed?: number;
  /** Number of images; 1. */
  batchSize?: number;
  /** Pixels; the model's own size. */
  width?: number;
  /** Pixels; the model's own size. */
  height?: number;
  /** `ddpm ddim pndm lms euler euler-ancestral heun dpm-solver++ dpm-solver++-sde unipc lcm deis kdpm2 kdpm2-ancestral`; the model's own. */
  scheduler?: string;
  /** Whether noise levels are spaced as Karras et al. do. */
  karras?: boolean;
  /** The quantity that the UNet predicts; the model's. */
  predictionType?: "epsilon" | "v_prediction" | "sample";
  /** Blocks of the text encoder to leave out at its end; 0. */
  clipSkip?: number;
  /** After how many steps there is a preview; 0 for none, which is fastest. */
  previewEvery?: number;
  /** Is told of each step. */
  onStep?: (step: Step) => void;
  /** Gives the picture up: the promise is rejected with the signal's reason. */
  signal?: AbortSignal;
}

export interface Step {
  /** From 0. */
  index: number;
  count: number;
  /** A PNG of what there is so far. */
  preview?: Blob;
}

export interface Picture {
  /** A PNG, which carries the request as text. */
  blob: Blob;
  /** That text, in the form of AUTOMATIC1111's web UI. */
  parameters: string;
  seed: number;
}

/** The first image, and all of them. */
export interface Pictures extends Picture {
  images: Picture[];
}

export class StableDiffusion {
  private constructor();
  /**
   * Loads a model. What comes from the network is kept in the Origin Private File System once it has been opened. When it is loaded again the
   * server is asked whether `model_index.json`, or the single file, has changed, by `ETag` or `Last-Modified`; if it has, the model is fetched
   * anew, and if there is no answer, what is kept is loaded. Of two tabs that load a model, one stores it and the other waits.
   *
   * A file does not exist if the server says so (404, 410) or sends a web page in its place. The promise is rejected with an error whose `name` is
   * - `ModelError`: a file is missing or broken, or of another kind of model;
   * - `QuotaExceededError`: the storage is full; `needed` and `available` are the next file's bytes and those that are left;
   * - `Error`: all else, such as another answer of the server, which the message names with the file.
   */
  static load(source: ModelSource, options?: LoadOptions): Promise<StableDiffusion>;
  /** The adapter's name, or `cpu`. */
  readonly device: string;
  /** What you should know about the model, a sentence each: whose vocabulary is used, which settings are ignored or assumed. */
  readonly notes: string[];
  /** Whether it can still make pictures: not after `dispose`, nor after running out of memory. */
  readonly usable: boolean;
  /** Makes the images of a request; requests wait for each other. */
  generate(request: GenerateRequest): Promise<Pictures>;
  /** Ends the worker, and gives all memory back. */
  dispose(): void;
}

export interface StoredModel {
  /** As `load` took it, without what `removeStoredModel` does not look at. */
  url: string;
  bytes: number;
}

/** The models that this browser keeps. */
export function storedModels(): Promise<StoredModel[]>;

/**
 * Deletes what is kept of a model. What a tab still uses is deleted when that is done, and a download that is under way goes on.
 *
 * A model is kept under its URL without fragment, user and password, and without the query, so that tokens are neither stored nor needed here. Only
 * where the path ends neither in `/` nor as a checkpoint's file name does, as in `/download?modelVersionId=1&token=..`, the query is part of the
 * URL, without the parameters that give access: those with the words `token`, `key`, `signature`, `expires` and the like, and those of signed
 * URLs of Amazon, Google and Azure.
 */
export function removeStoredModel(url: string | URL): Promise<void>;
