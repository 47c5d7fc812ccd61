// Types of webllm_py.js. Requests and responses have OpenAI's fields and shapes, and the fields that
// this package has besides them; what is not named here is checked by Python, which refuses a field
// that it does not know by name.

/** An address, "hf:org/name[@revision][:file or quantization]", one of WebLLM's names, or what the user picked. */
export type ModelSource =
  | string
  | URL
  | File
  | FileSystemFileHandle
  | FileSystemDirectoryHandle
  | FileList
  | File[]
  | { name: string; files: File[] };

export interface Progress {
  stage: "python" | "opening" | "tokenizer" | "weights" | "kernels" | "ready";
  /** Bytes so far: of Python, then of the model's weights. */
  loaded: number;
  /** Bytes in all; null before they are known. */
  total: number | null;
  bytesPerSecond?: number | null;
  secondsLeft?: number | null;
  /** Whose weights are on their way, and the bytes of each file that came so far. */
  file?: string | null;
  files?: Record<string, number>;
  /** What went wrong with a server that is asked again soon; null while all goes well. */
  problem?: string | null;
  /** The same for people. */
  text: string;
}

/** Where models are kept: the origin-private file system, the Cache API, IndexedDB, or nowhere. */
export type StorePlace = "opfs" | "cache" | "indexeddb" | "memory";

export interface FetchOptions {
  /** The first of these that the browser offers, if it is left out. */
  store?: StorePlace;
  /** Keep what is downloaded in the browser's storage (true), and read from there what is in it. */
  keep?: boolean;
  /** Ask the server again for a model that is kept. */
  refresh?: boolean;
  /** Sent to the Hugging Face hub alone. */
  token?: string;
  /** Of the hub, or of a mirror of it. */
  endpoint?: string;
  /** Requests to one server at a time (4). */
  parallel?: number;
  /** Seconds without a byte after which a request is given up (30). */
  timeout?: number;
  tries?: number;
  backoff?: number;
  /** Digests by files' names, as Subresource Integrity has them: other files are refused. */
  integrity?: Record<string, string>;
  /** What comes of another file: an IntegrityError, or a warning on the console ("error"). */
  mismatch?: "error" | "warn";
}

export interface LoadOptions {
  /** Most positions of a conversation; left out, what the model was trained for and the GPU can hold. */
  contextLength?: number | null;
  device?: "high-performance" | "low-power";
  /** Make blocks of float weights while loading; or by patterns of tensors' names. */
  quantize?: "q4" | "q8" | Record<string, "q4" | "q8" | null>;
  kvDtype?: "f16" | "f32" | "q8";
  /** Try kernels' shapes on this GPU: true as long as it takes, false not at all. */
  tune?: boolean;
  fetch?: FetchOptions;
  /** The address of llama.cpp's projector file of a GGUF model that sees. */
  vision?: string | URL;
  /** Instead of contextLength: a conversation may be longer, and its oldest tokens drop out. */
  slidingWindowSize?: number;
  /** How many of a conversation's first tokens never drop out (4). */
  attentionSinkSize?: number;
  /** Instead of the files' own: the text of a Jinja template, or MLC's conv_template or parts of it. */
  chatTemplate?: string | Record<string, unknown>;
  onProgress?: (progress: Progress) => void;
  /** Aborting it undoes the load, which is rejected with the signal's reason. */
  signal?: AbortSignal;
}

export interface EngineOptions extends LoadOptions {
  /** Left out: the pocket model that ships. null: none yet; see `Engine.load`. */
  model?: ModelSource | null;
}

/**
 * Start Python in a worker and load a model.
 *
 * Rejected with StartError or NoAdapterError where that cannot be, and with the model's error: none
 * of a worker is left then. A name that is no option is a TypeError.
 */
export function createEngine(options?: EngineOptions): Promise<Engine>;

export interface RequestOptions {
  /** Aborting it ends the answer; who waits for it is rejected with the signal's reason. */
  signal?: AbortSignal;
}

interface Create<Fields, Reply, Chunk> {
  create(fields: Fields & { stream: true }, options?: RequestOptions): Promise<AnswerStream<Chunk>>;
  create(fields: Fields & { stream?: false | null }, options?: RequestOptions): Promise<Reply>;
}

/** Chunks of an answer. Leaving a `for await` over it, and `return()`, end the answer. */
export interface AnswerStream<Chunk> extends AsyncIterableIterator<Chunk> {
  return(value?: unknown): Promise<IteratorResult<Chunk>>;
}

export class Engine {
  private constructor();
  readonly chat: { completions: Create<ChatFields, ChatCompletion, ChatCompletionChunk> };
  readonly completions: Create<CompletionFields, Completion, Completion>;
  readonly embeddings: {
    create(fields: EmbeddingFields, options?: RequestOptions): Promise<EmbeddingReply>;
  };
  /** The models that were downloaded, and are kept in this browser. */
  readonly store: Store;
  /** Those that `fetch: { store: place }` kept. */
  storeIn(place: StorePlace): Store;
  /** When Python is up. Times are of the parts of its start, in ms since 1970. */
  readonly started: Promise<{ fromSnapshot: boolean; times: Record<string, number> }>;

  /**
   * Load a model instead of the present one, which is unloaded when the other's files are found to be
   * a model's: until then an error, or an abort, leaves it as it is.
   */
  load(model?: ModelSource, options?: LoadOptions): Promise<ModelInfo>;
  /** Unload the present models; Python, and the GPU's device with its kernels, stay for another. */
  load(model: null, options?: { signal?: AbortSignal }): Promise<null>;
  /** Load the same model again on a new GPU device, after a DeviceLostError. */
  recover(options?: Pick<LoadOptions, "onProgress" | "signal">): Promise<ModelInfo>;
  /** What runs where. */
  info(): Promise<ModelInfo>;
  /**
   * Load another model beside the first one, on the same device: from then on the `model` of a
   * request chooses, and without one the first model answers.
   *
   * @returns its info. `name` of the options, or of it, is what requests call it.
   */
  addModel(
    model?: ModelSource,
    options?: Omit<LoadOptions, "device"> & { name?: string },
  ): Promise<ModelInfo>;
  /** Unload one that was added. */
  removeModel(name: string): Promise<void>;
  /** All of them by the names that requests choose them by, the first one first. */
  models(): Promise<Record<string, ModelInfo & { adapters: string[] }>>;
  /** Close the files of models that are loaded, so that the store can delete them. */
  closeFiles(): Promise<void>;

  /**
   * Load a LoRA adapter beside a model's weights: PEFT's folder or a GGUF file. Requests ask for it
   * with `adapters: { name: scale }`, or as their `model`.
   *
   * Rejected with AdapterError where it is of a kind that is not run, or of another model.
   */
  loadAdapter(
    source: ModelSource,
    options?: { name?: string; model?: string; fetch?: FetchOptions; signal?: AbortSignal },
  ): Promise<AdapterInfo>;
  unloadAdapter(name: string, options?: { model?: string }): Promise<void>;

  /** Answers to requests with `resumable` whose tab ended before they did, the newest first. */
  unfinished(): Promise<UnfinishedAnswer[]>;
  /**
   * Finish one of them: a stream of what was said, which comes at once, and of the rest. Without a
   * name the newest one that this engine's models began; null if there is none.
   *
   * Rejected with StateError where there is no such answer, or another model began it.
   */
  resume(
    name?: string,
    options?: RequestOptions,
  ): Promise<AnswerStream<ChatCompletionChunk & Completion> | null>;
  /** Delete one of them; no error if it is not there. */
  forget(name: string): Promise<void>;

  /** End the answer whose turn it is with the finish_reason "abort"; others go on. */
  interrupt(): void;
  /**
   * Resolved, once there will be no answers any more, with the error that says why: the engine was
   * unloaded or closed, or its worker ended, for want of memory say.
   */
  readonly closed: Promise<Error>;
  /** Free everything, the worker too; later calls are rejected with EngineClosedError. */
  unload(): Promise<void>;
  /** End the worker at once, whatever it does. */
  close(): void;

  /** A collection of documents by its name. */
  documents(collection: string): Documents;

  /**
   * Answer `fetch("/v1/chat/completions")`, completions, embeddings and models of the site's pages
   * through a service worker. Where several tabs do, the one that asks answers, else one that is in
   * view, else the newest; when it closes, another one.
   *
   * @param script of the service worker, in which `import ".../webllm_py_service.js"` stands; at the
   *   top of the pages that it is for. Left out: "service.js".
   */
  serve(script?: string | URL, options?: { scope?: string }): Promise<Endpoint>;
}

/** Needs no model: `createEngine({ model: null })` is enough. */
export interface Store {
  /** All models, the last used first. */
  list(): Promise<KeptModel[]>;
  /** Whether a model is there, complete: it loads without a network. */
  has(source: string): Promise<boolean>;
  /** Bytes that a model takes; without a source, all models. */
  size(source?: string): Promise<number>;
  /** How much is taken, by the whole site, and how much there is room for. */
  room(): Promise<{ used: number; free: number | null; persistent: boolean }>;
  /** No error where it is not there; SourceError where it is in use, in another tab too. */
  delete(source: string): Promise<void>;
  /** Copy a model that is complete to a folder, or into one file (a tar archive). */
  exportTo(
    source: string,
    target: FileSystemDirectoryHandle | FileSystemFileHandle,
  ): Promise<void>;
  /**
   * Take in a model that was exported; the address that it names, as `load` takes it. It replaces
   * nothing that is kept whole: a SourceError says so where it would.
   */
  importFrom(given: ModelSource): Promise<string>;
}

export interface AdapterInfo {
  /** What requests call it. */
  name: string;
  /** The highest of its ranks. */
  rank: number;
  /** How many linear layers it is for. */
  modules: number;
  /** Bytes on the GPU. */
  nbytes: number;
  [name: string]: unknown;
}

export interface UnfinishedAnswer {
  /** What `resume` takes: the request's `resumable` if that was a name, else the answer's id. */
  name: string;
  /** The model that gave it, by its name here if it is loaded. */
  model: string;
  /** When, in seconds since 1970. */
  begun: number;
  /** How many were said, of all choices together. */
  tokens: number;
  /** What the first choice said, its thoughts too; null where its model is not loaded here. */
  text: string | null;
}

export interface KeptModel {
  /** Its address, as `load` takes it. */
  source: string;
  nbytes: number;
  /** Whether all of the files that were opened are there. */
  complete: boolean;
  /** When it was last used, in seconds since 1970. */
  used: number;
  /** Bytes of each file, null where that is not known yet. */
  files: Record<string, number | null>;
}

/**
 * Documents that are split, searched and quoted in answers, and kept in the browser's store. They are
 * searched by words (BM25), with an embedder by meaning as well.
 */
export interface Documents {
  list(): Promise<{ documents: DocumentInfo[]; embedder: string | null }>;
  /**
   * Add a document in the place of one of that name: its text, or a file with text, Markdown or PDF.
   *
   * Rejected with DocumentError where there is no text in it.
   */
  add(name: string, content: string | Blob, options?: DocumentOptions): Promise<DocumentInfo>;
  remove(name: string): Promise<void>;
  /** The passages that fit a question best, the best first. */
  search(question: string, k?: number): Promise<Passage[]>;
  /** An answer from the documents, which names its sources as [1], [2]. */
  ask(
    question: string,
    fields?: Omit<ChatFields, "messages" | "stream"> & { k?: number },
    options?: RequestOptions,
  ): Promise<AsyncIterableIterator<ChatCompletionChunk> & { sources: Passage[] }>;
  /**
   * Search with a text embedder from now on, which all collections share; its name. null: by words.
   *
   * The prefixes are what the model wants in front of questions and passages, as E5's "query: ".
   */
  use(
    embedder: ModelSource | null,
    options?: DocumentOptions & { queryPrefix?: string; passagePrefix?: string },
  ): Promise<string | null>;
}

export interface DocumentOptions {
  /** Of a load as `stage` names it; of "passages" so many are embedded. */
  onProgress?(progress: { stage: string; loaded: number; total: number | null }): void;
  signal?: AbortSignal;
}

export interface DocumentInfo {
  name: string;
  characters: number;
  passages: number;
  /** Whether they have vectors of the embedder in use. */
  embedded: boolean;
}

export interface Passage {
  document: string;
  /** Word by word as it stands in the document. */
  text: string;
  /** In the document's text, in code points. */
  start: number;
  end: number;
  headings: string[];
  /** Of a PDF, from 1. */
  page: number | null;
  /** The document, the page and the headings, for people. */
  title: string;
  score: number;
}

export interface Endpoint {
  /** What OpenAI's clients take as their `baseURL`. */
  readonly baseURL: string;
  /** Answer nothing any more; the service worker stays. */
  close(): Promise<void>;
}

/**
 * A `fetch` for OpenAI's clients whose streams go on when the browser stops the service worker in
 * the middle of one, and whose requests end when they are aborted, before the reply has begun too.
 */
export function resumingFetch(fetch?: typeof globalThis.fetch): typeof globalThis.fetch;

export interface ModelInfo {
  name: string;
  architecture: string;
  quantization: string;
  parameters: number;
  context_length: number;
  /** Bytes. */
  gpu_memory: number;
  adapter: string;
  /** The architecture of what reads images; null where the model reads text only. */
  vision: string | null;
  [name: string]: unknown;
}

// --- OpenAI's shapes

export interface SamplingFields {
  model?: string;
  max_tokens?: number | null;
  temperature?: number | null;
  top_p?: number | null;
  top_k?: number | null;
  min_p?: number | null;
  frequency_penalty?: number | null;
  presence_penalty?: number | null;
  repetition_penalty?: number | null;
  logit_bias?: Record<string, number> | null;
  seed?: number | null;
  stop?: string | string[] | null;
  n?: number | null;
  stream_options?: { include_usage?: boolean } | null;
  response_format?: { type: string; [name: string]: unknown } | null;
  timeout?: number | null;
  /** Keep what is said in the browser's store until the answer is whole; a name for `resume`. */
  resumable?: boolean | string | null;
  /** LoRA adapters by name, and their scales. */
  adapters?: string[] | Record<string, number> | null;
  return_hidden_states?: boolean | null;
  return_attentions?: boolean | null;
  /** They see the logits of each step first, in order; a step waits for them. */
  logits_processors?: LogitsProcessor[] | null;
  [name: string]: unknown;
}

/** A function that gets the logits of a step, and returns them or others, as many. */
export interface LogitsProcessor {
  (logits: Float32Array): Float32Array | Promise<Float32Array>;
  /** Called with each token that is drawn. */
  accept?(token: number): void;
  /** Called before an answer's first token. */
  reset?(): void;
}

export type ContentPart =
  | { type: "text"; text: string }
  /** Of users' messages, for models that see; an http(s) or a `data:image/...` URL. */
  | { type: "image_url"; image_url: { url: string; detail?: "auto" | "low" | "high" } };

export interface ChatMessage {
  role: "system" | "developer" | "user" | "assistant" | "tool";
  content?: string | ContentPart[] | null;
  name?: string;
  tool_calls?: ToolCall[];
  tool_call_id?: string;
}

export interface ChatFields extends SamplingFields {
  messages: ChatMessage[];
  max_completion_tokens?: number | null;
  logprobs?: boolean | null;
  top_logprobs?: number | null;
  tools?: { type: "function"; function: { name: string; [name: string]: unknown } }[] | null;
  tool_choice?: unknown;
}

export interface CompletionFields extends SamplingFields {
  prompt: string | string[] | number[] | number[][];
  echo?: boolean | null;
  suffix?: string | null;
  logprobs?: number | null;
}

export interface EmbeddingFields {
  input: string | string[] | number[] | number[][];
  model?: string;
  encoding_format?: "float" | "base64";
  dimensions?: number;
}

export interface ToolCall {
  id: string;
  type: "function";
  function: { name: string; arguments: string };
}

/** float32, row-major, little-endian. */
export interface ArrayInBase64 {
  dtype: "float32";
  shape: number[];
  base64: string;
}

/** Of the prompt and the answer, in choices that have ended, where the request asks for it. */
export interface Inspected {
  token_ids?: number[];
  /** (layers + 1, tokens, hidden) */
  hidden_states?: ArrayInBase64;
  /** (layers, heads, tokens, tokens) */
  attentions?: ArrayInBase64;
}

export type FinishReason = "stop" | "length" | "tool_calls" | "abort";

export interface Usage {
  prompt_tokens: number;
  completion_tokens: number;
  total_tokens: number;
  prompt_tokens_details?: { cached_tokens: number };
  [name: string]: unknown;
}

export interface ChatCompletion {
  id: string;
  object: "chat.completion";
  created: number;
  model: string;
  choices: (Inspected & {
    index: number;
    finish_reason: FinishReason;
    message: {
      role: "assistant";
      content: string | null;
      reasoning_content?: string | null;
      tool_calls?: ToolCall[];
    };
    logprobs: unknown;
  })[];
  usage: Usage;
}

export interface ChatCompletionChunk {
  id: string;
  object: "chat.completion.chunk";
  created: number;
  model: string;
  choices: (Inspected & {
    index: number;
    finish_reason: FinishReason | null;
    delta: {
      role?: "assistant";
      content?: string | null;
      reasoning_content?: string | null;
      tool_calls?: (Partial<ToolCall> & { index: number })[];
    };
    logprobs?: unknown;
  })[];
  usage?: Usage | null;
}

export interface Completion {
  id: string;
  object: "text_completion";
  created: number;
  model: string;
  choices: (Inspected & {
    index: number;
    text: string;
    finish_reason: FinishReason | null;
    logprobs: unknown;
  })[];
  usage?: Usage | null;
}

export interface EmbeddingReply {
  object: "list";
  model: string;
  data: { object: "embedding"; index: number; embedding: number[] | string }[];
  usage: { prompt_tokens: number; total_tokens: number };
}

// --- errors: a class for each of Python's, which the build writes

export * from "./js/error_classes.js";
