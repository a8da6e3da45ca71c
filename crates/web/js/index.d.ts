/** Stable Diffusion 1 and 2 in a web page. All work is done in a worker and never blocks the page. */

/**
 * The source of a model: the URL of a diffusers folder or of a single `.safetensors` or `.ckpt` file, a file, or the files of a folder. A relative
 * URL is resolved against the URL of the page, or in a worker against that of its script. The query of a folder's URL, such as a token, is sent for
 * each of its files.
 */
export type ModelSource = string | URL | File | Iterable<File>;

export interface LoadOptions {
  /** `auto`, the default, is WebGPU where the browser has it, else the CPU, which is slow. */
  device?: "auto" | "webgpu" | "cpu";
  /** The limits of the device: those of the adapter, the default, or those that every browser with WebGPU supports. */
  limits?: "adapter" | "webgpu-default";
  /** The number format of UNet and text encoder; `auto`, the default, is `f16` where the adapter supports it. */
  dtype?: "auto" | "f16" | "f32";
  /** The prediction type of the UNet, for single files that do not state it. */
  predictionType?: "epsilon" | "v-prediction" | "sample";
  /** The name of the model in the parameters of images; by default the last part of its URL, or the name of the file or folder. */
  name?: string;
  /** Called with the progress of loading. */
  onProgress?: (progress: LoadProgress) => void;
  /** Cancels loading: the promise is rejected with the signal's reason, and no incomplete files stay. One signal may serve many calls. */
  signal?: AbortSignal;
}

export interface LoadProgress {
  /**
   * `download`: from the network to the browser's storage. `check`: of the stored files. `load`: to the device. `wait`: for another tab that stores
   * the same model, or for a server that asked to retry later.
   */
  stage: "download" | "check" | "load" | "wait";
  /** Bytes done. */
  loaded: number;
  /** Total bytes, as far as they are known; 0 while waiting. */
  total: number;
}

export interface GenerateRequest {
  /** The prompt: a description of the image. */
  prompt: string;
  /** What the image should not show. */
  negativePrompt?: string;
  /** Denoising steps; by default the model's own, else 50. */
  steps?: number;
  /** Weight of the prompt; by default the model's own, else 7.5. At 1 or less, guidance is off and a step needs half the work. */
  guidanceScale?: number;
  /** How far the standard deviation is moved back to that without guidance, 0 to 1; by default 0. */
  guidanceRescale?: number;
  /** Seed of the noise, as in `torch.Generator("cpu")`; by default, or if negative, a random seed. Image `k` of a batch has the seed `seed + k`. */
  seed?: number;
  /** Number of images; by default 1. */
  batchSize?: number;
  /** Width in pixels; by default the model's own. */
  width?: number;
  /** Height in pixels; by default the model's own. */
  height?: number;
  /**
   * `ddpm ddim pndm lms euler euler-ancestral heun dpm-solver++ dpm-solver++-sde unipc lcm deis kdpm2 kdpm2-ancestral`; by default the model's own.
   */
  scheduler?: string;
  /** Whether to use the noise levels of Karras et al. */
  karras?: boolean;
  /** The prediction type of the UNet; by default the model's. */
  predictionType?: "epsilon" | "v_prediction" | "sample";
  /** Number of last blocks of the text encoder to skip; by default 0. */
  clipSkip?: number;
  /** Number of steps between previews; 0 for none, which is fastest. */
  previewEvery?: number;
  /** Called after each step. */
  onStep?: (step: Step) => void;
  /** Cancels the request: the promise is rejected with the signal's reason. */
  signal?: AbortSignal;
}

export interface Step {
  /** Index of the step, from 0. */
  index: number;
  count: number;
  /** A PNG of the image so far. */
  preview?: Blob;
}

export interface GeneratedImage {
  /** A PNG that stores the request as text. */
  blob: Blob;
  /** This text, in the format of AUTOMATIC1111's web UI. */
  parameters: string;
  seed: number;
}

/** The first image, and all of them. */
export interface GeneratedImages extends GeneratedImage {
  images: GeneratedImage[];
}

export class StableDiffusion {
  private constructor();
  /**
   * Loads a model. Downloaded files are stored in the Origin Private File System after they have been opened. When the model is loaded again, the
   * server is asked by `ETag` or `Last-Modified` whether `model_index.json`, or the single file, has changed. If it has, the model is downloaded
   * again; if there is no answer, the stored files are loaded. If two tabs load a model, one stores it and the other waits.
   *
   * A file counts as missing if the server says so (404, 410) or sends a web page instead. The promise is rejected with an error whose `name` is
   * - `ModelError`: a file is missing, broken, or of another kind of model;
   * - `QuotaExceededError`: the storage is full; `needed` and `available` are the bytes of the next file and the free bytes;
   * - `Error`: all other errors, such as another answer of the server. The message names the file.
   */
  static load(source: ModelSource, options?: LoadOptions): Promise<StableDiffusion>;
  /** The adapter's name, or `cpu`. */
  readonly device: string;
  /** Notes about the model, one sentence each: the vocabulary used, and settings that are ignored or assumed. */
  readonly notes: string[];
  /** Whether the model can generate images: not after `dispose`, and not after memory ran out. */
  readonly usable: boolean;
  /** Generates the images of a request. Requests run one after the other. */
  generate(request: GenerateRequest): Promise<GeneratedImages>;
  /** Ends the worker and frees all memory. */
  dispose(): void;
}

export interface StoredModel {
  /** The URL passed to `load`, without the parts that `removeStoredModel` ignores. */
  url: string;
  bytes: number;
}

/** The models that this browser stores. */
export function storedModels(): Promise<StoredModel[]>;

/**
 * Deletes the stored files of a model. Files that a tab uses are deleted when it is done, and a running download continues.
 *
 * A model is stored under its URL without fragment, user, password and query. Tokens are therefore neither stored nor needed here. Only if the path
 * ends neither in `/` nor like the name of a checkpoint file, as in `/download?modelVersionId=1&token=..`, the query is part of the URL, without the
 * parameters that give access: those with the words `token`, `key`, `signature`, `expires` and similar ones, and those of signed URLs of Amazon,
 * Google and Azure.
 */
export function removeStoredModel(url: string | URL): Promise<void>;
