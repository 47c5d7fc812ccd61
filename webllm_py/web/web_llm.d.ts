// Types of web_llm.js: WebLLM's names, with the requests and responses of webllm_py.js.

import type {
  ChatCompletion as Reply,
  ChatCompletionChunk as Chunk,
  ChatFields,
  ChatMessage,
  Completion as Text,
  CompletionFields,
  ContentPart,
  EmbeddingFields,
  EmbeddingReply,
  ModelSource,
  ToolCall,
} from "./webllm_py.js";
import { ContextLengthError, NoAdapterError, RequestError } from "./webllm_py.js";

export interface InitProgressReport {
  /** From 0 to 1, which it is only when all models are loaded; it never goes back. */
  progress: number;
  /** Seconds. */
  timeElapsed: number;
  text: string;
}
export type InitProgressCallback = (report: InitProgressReport) => void;
export type LogLevel = "TRACE" | "DEBUG" | "INFO" | "WARN" | "ERROR" | "SILENT";

/** How a conversation is written, as mlc-chat-config.json has it. */
export interface ConvTemplateConfig {
  system_template: string;
  system_message: string;
  roles: Record<string, string>;
  role_templates?: Record<string, string>;
  seps: string[];
  role_content_sep?: string;
  role_empty_sep?: string;
  stop_str: string[];
  stop_token_ids: number[];
  system_prefix_token_ids?: number[];
  add_role_after_system_message?: boolean;
  [name: string]: unknown;
}

/** Other fields of WebLLM's are refused: the model's own files say them. -1 is none of a size. */
export interface ChatOptions {
  /** Fields that stand before the model's own; those of `conv_config` before both. */
  conv_template?: Partial<ConvTemplateConfig>;
  conv_config?: Partial<ConvTemplateConfig>;
  context_window_size?: number;
  sliding_window_size?: number;
  attention_sink_size?: number;
  /** What requests have where they do not say it. */
  temperature?: number;
  top_p?: number;
  repetition_penalty?: number;
  frequency_penalty?: number;
  presence_penalty?: number;
}

/** Digests as Subresource Integrity writes them: "sha256-", "sha384-" or "sha512-" and base64. */
export type SRIString = string;
export type FileIntegrityMap = Record<string, SRIString>;

/** Files that are read must have these digests. */
export interface ModelIntegrity {
  /** Of mlc-chat-config.json. */
  config?: SRIString;
  /** Libraries are not fetched, so that there is none to compare. */
  model_lib?: SRIString;
  /** By files' names. */
  tokenizer?: FileIntegrityMap;
  /** The same of weights, which WebLLM does not compare. */
  params?: FileIntegrityMap;
  /** An IntegrityError (the default), or a warning on the console. */
  onFailure?: "error" | "warn";
}

export interface ModelRecord {
  /**
   * The address of an MLC folder, or any other model that `createEngine` takes. Beside a `model_lib`
   * it is WebLLM's: the files are below "resolve/main/", if it does not say so itself.
   */
  model: ModelSource;
  model_id: string;
  /** Not fetched. */
  model_lib?: string;
  integrity?: ModelIntegrity;
  overrides?: ChatOptions;
  vram_required_MB?: number;
  low_resource_required?: boolean;
  buffer_size_required_bytes?: number;
  required_features?: string[];
  model_type?: number;
}

export interface AppConfig {
  model_list: ModelRecord[];
  cacheBackend?: "cache" | "indexeddb" | "opfs" | "cross-origin";
  useIndexedDBCache?: boolean;
}

export interface LogitProcessor {
  /** The logits of a step, changed, or others; as many. */
  processLogits(logits: Float32Array): Float32Array | Promise<Float32Array>;
  /** Each token that is drawn. */
  processSampledToken(token: number): void;
  /** Before an answer that does not go on with the conversation of the last one; by `resetChat` too. */
  resetState(): void;
}

export interface MLCEngineConfig {
  appConfig?: AppConfig;
  initProgressCallback?: InitProgressCallback;
  /** By models' ids; they see each step's logits, which costs a wait a token. */
  logitProcessorRegistry?: Map<string, LogitProcessor>;
  logLevel?: LogLevel;
}

// --- requests and answers, by WebLLM's names

/**
 * In a request's `extra_body`: keep what the answer says until it is whole, so that another tab can
 * finish it. An answer that the page ends itself is over, and not kept.
 */
export interface ResumableOptions {
  enabled: boolean;
  /** What `resumeChatCompletion` takes; else the answer's id is. */
  sessionId?: string;
  /** These change nothing: what was said is kept each 0.4 s, and keys and values are not. */
  checkpointIntervalTokens?: number;
  checkpointPrompt?: boolean;
  durabilityMode?: "exact" | "relaxed";
  strictPersistence?: boolean;
}
export interface ResumableSession {
  sessionId: string;
  model: string;
  /** When it began, in ms since 1970. */
  createdAt: number;
  /** How many were said. */
  tokens: number;
}
export interface ResumeResult {
  sessionId: string;
  /** What was said; with `continueGeneration` all of the answer. */
  recoveredText: string;
  /** Tokens are kept, and go through the model again. */
  recoveryMode: "token_replay";
}

export type ChatCompletionRequest = ChatFields;
export type ChatCompletionRequestBase = ChatFields;
export type ChatCompletionRequestStreaming = ChatFields & { stream: true };
export type ChatCompletionRequestNonStreaming = ChatFields & { stream?: false | null };
export type ChatCompletionMessageParam = ChatMessage;
export type ChatCompletionSystemMessageParam = ChatMessage & { role: "system" };
export type ChatCompletionUserMessageParam = ChatMessage & { role: "user" };
export type ChatCompletionAssistantMessageParam = ChatMessage & { role: "assistant" };
export type ChatCompletionToolMessageParam = ChatMessage & { role: "tool" };
export type ChatCompletionContentPart = ContentPart;
export type ChatCompletionMessageToolCall = ToolCall;
export type ChatCompletionTool = NonNullable<ChatFields["tools"]>[number];
export type ChatCompletionFinishReason = Reply["choices"][number]["finish_reason"];
export type ResponseFormat = NonNullable<ChatFields["response_format"]>;
export type CompletionCreateParams = CompletionFields;
export type CompletionCreateParamsBase = CompletionFields;
export type CompletionCreateParamsStreaming = CompletionFields & { stream: true };
export type CompletionCreateParamsNonStreaming = CompletionFields & { stream?: false | null };
export type CompletionChoice = Text["choices"][number];
export type EmbeddingCreateParams = EmbeddingFields;
export type CreateEmbeddingResponse = EmbeddingReply;
export type Embedding = EmbeddingReply["data"][number];

/** Seconds of each token. */
export interface LatencyBreakdown {
  logitProcessorTime: number[];
  logitBiasTime: number[];
  penaltyTime: number[];
  sampleTime: number[];
  totalTime: number[];
  grammarBitmaskTime: number[];
}

export interface CompletionUsage {
  completion_tokens: number;
  prompt_tokens: number;
  total_tokens: number;
  extra: {
    e2e_latency_s: number;
    prefill_tokens_per_s: number;
    decode_tokens_per_s: number;
    time_to_first_token_s: number;
    time_per_output_token_s: number;
    /** Of compiling a grammar, and of its masks by tokens, where there is one. */
    grammar_init_s?: number;
    grammar_per_token_s?: number;
    /** With `extra_body: { enable_latency_breakdown: true }`. */
    latencyBreakdown?: LatencyBreakdown;
  };
}
type Used<Answer> = Omit<Answer, "usage"> & { usage?: CompletionUsage };
/** Thoughts are in the content, as the model writes them. */
export type ChatCompletion = Used<Reply>;
export type ChatCompletionChunk = Used<Chunk>;
export type Completion = Used<Text>;

export const prebuiltAppConfig: AppConfig;
export const ModelType: { readonly LLM: 0; readonly embedding: 1; readonly VLM: 2 };
export const functionCallingModelIds: string[];
export const modelVersion: string;
export const modelLibURLPrefix: string;

export interface MLCEngineInterface {
  readonly chat: { completions: { create: MLCEngineInterface["chatCompletion"] } };
  readonly completions: { create: MLCEngineInterface["completion"] };
  readonly embeddings: { create: MLCEngineInterface["embedding"] };

  chatCompletion(fields: ChatFields & { stream: true }): Promise<AsyncGenerator<ChatCompletionChunk>>;
  chatCompletion(fields: ChatFields & { stream?: false | null }): Promise<ChatCompletion>;
  completion(fields: CompletionFields & { stream: true }): Promise<AsyncGenerator<Completion>>;
  completion(fields: CompletionFields & { stream?: false | null }): Promise<Completion>;
  embedding(fields: EmbeddingFields): Promise<EmbeddingReply>;

  /**
   * Load a model, or several, instead of those that are there. Another `reload`, and `unload`, end it:
   * it resolves then, without a model. Wrong arguments leave what is loaded as it is; where the load
   * itself fails no model is loaded any more, also of several, and none takes memory.
   *
   * Where the browser ended the worker, for want of memory say, all calls are rejected with
   * EngineClosedError until a `reload`, which starts another one.
   */
  reload(modelId: string | string[], chatOpts?: ChatOptions | ChatOptions[]): Promise<void>;
  unload(): Promise<void>;
  interruptGenerate(): Promise<void>;
  /** Requests hold their whole conversation: this forgets what the two functions below tell. */
  resetChat(keepStats?: boolean, modelId?: string): Promise<void>;
  getMessage(modelId?: string): Promise<string>;
  runtimeStatsText(modelId?: string): Promise<string>;
  /**
   * Go on with the tokens of the calls before and these; the token that is drawn behind them, which
   * the next call has to bring. `resetChat`, and any other request, begin anew.
   */
  forwardTokensAndSample(inputIds: number[], isPrefill: boolean, modelId?: string): Promise<number>;
  /** Answers to requests with `extra_body.resumable` that were cut off, the newest first. */
  listResumableSessions(): Promise<ResumableSession[]>;
  /**
   * What one of them said; with `continueGeneration` its model, which must be loaded, finishes it.
   * With `stream` too the pieces behind what was said come as they are generated.
   *
   * Rejected with StateError where there is no such answer, or it is under way in another tab.
   */
  resumeChatCompletion(
    sessionId: string,
    options?: { continueGeneration?: boolean; stream?: false },
  ): Promise<ResumeResult>;
  resumeChatCompletion(
    sessionId: string,
    options: { continueGeneration: true; stream: true },
  ): Promise<AsyncGenerator<ChatCompletionChunk>>;
  deleteResumableSession(sessionId: string): Promise<void>;

  getGPUVendor(): Promise<string>;
  getMaxStorageBufferBindingSize(): Promise<number>;

  setAppConfig(appConfig: AppConfig): void;
  setInitProgressCallback(callback?: InitProgressCallback): void;
  getInitProgressCallback(): InitProgressCallback | undefined;
  /** Of all engines; there are few warnings, and nothing else. */
  setLogLevel(level: LogLevel): void;
  /** Counts from the next `reload` on. */
  setLogitProcessorRegistry(registry?: Map<string, LogitProcessor>): void;
}

export class MLCEngine implements MLCEngineInterface {
  constructor(engineConfig?: MLCEngineConfig);
}
export interface MLCEngine extends MLCEngineInterface {}
export function CreateMLCEngine(
  modelId: string | string[],
  engineConfig?: MLCEngineConfig,
  chatOpts?: ChatOptions | ChatOptions[],
): Promise<MLCEngine>;

/**
 * Python has a worker of its own, whatever the page's does. Logit processors are those of the engine's
 * config and those of the worker's handler.
 */
export class WebWorkerMLCEngine extends MLCEngine {
  readonly worker: unknown;
  constructor(worker: unknown, engineConfig?: MLCEngineConfig);
}
export function CreateWebWorkerMLCEngine(
  worker: unknown,
  modelId: string | string[],
  engineConfig?: MLCEngineConfig,
  chatOpts?: ChatOptions | ChatOptions[],
): Promise<WebWorkerMLCEngine>;
export class ServiceWorkerMLCEngine extends WebWorkerMLCEngine {
  missedHeartbeat: number;
  constructor(engineConfig?: MLCEngineConfig);
}
export function CreateServiceWorkerMLCEngine(
  modelId: string | string[],
  engineConfig?: MLCEngineConfig,
  chatOpts?: ChatOptions | ChatOptions[],
  keepAliveMs?: number,
): Promise<ServiceWorkerMLCEngine>;
export class ExtensionServiceWorkerMLCEngine extends ServiceWorkerMLCEngine {}
export function CreateExtensionServiceWorkerMLCEngine(
  modelId: string | string[],
  engineConfig?: MLCEngineConfig & { extensionId?: string; onDisconnect?: () => void },
  chatOpts?: ChatOptions | ChatOptions[],
  keepAliveMs?: number,
): Promise<ExtensionServiceWorkerMLCEngine>;

/** For scripts of workers, which have nothing left to do but to process logits. */
export class WebWorkerMLCEngineHandler {
  constructor(engine?: MLCEngine);
  setLogitProcessorRegistry(registry?: Map<string, LogitProcessor>): void;
  onmessage(event: MessageEvent): void;
}
export class ServiceWorkerMLCEngineHandler {
  constructor(...given: unknown[]);
  /** Refused if it has any: give them to the page's engine. */
  setLogitProcessorRegistry(registry?: Map<string, LogitProcessor>): void;
  onmessage(event?: unknown): void;
  setPort(port?: unknown): void;
}
export class ExtensionServiceWorkerMLCEngineHandler extends ServiceWorkerMLCEngineHandler {}

/** Whether a text is a digest as Subresource Integrity writes it. */
export function isValidSRI(text: string): boolean;
/** Compare bytes with a digest; an IntegrityError, or a warning, where they are others. */
export function verifyIntegrity(
  data: ArrayBuffer,
  expected: SRIString,
  url: string,
  onFailure?: "error" | "warn",
): Promise<void>;

export function hasModelInCache(modelId: string, appConfig?: AppConfig): Promise<boolean>;
export function deleteModelAllInfoInCache(modelId: string, appConfig?: AppConfig): Promise<void>;
export function deleteModelInCache(modelId: string, appConfig?: AppConfig): Promise<void>;
export function deleteChatConfigInCache(modelId: string, appConfig?: AppConfig): Promise<void>;
export function deleteModelWasmInCache(modelId: string, appConfig?: AppConfig): Promise<void>;

/** What of the engine went wrong, by WebLLM's names; all else is told by webllm_py.js's own errors. */
export class ModelNotFoundError extends Error {}
export class ModelNotLoadedError extends Error {}
export class ReloadArgumentSizeUnmatchedError extends Error {}
export class ReloadModelIdNotUniqueError extends Error {}
export class SpecifiedModelNotFoundError extends Error {}
export class UnclearModelToUseError extends Error {}
export class UnsupportedFieldsError extends Error {}
export class WindowSizeConfigurationError extends Error {}
export class WorkerEngineModelNotLoadedError extends Error {}
export class ContextWindowSizeExceededError extends ContextLengthError {}
export class EmbeddingUnsupportedModelError extends RequestError {}
export class IncorrectPipelineLoadedError extends RequestError {}
export class WebGPUNotAvailableError extends NoAdapterError {}
export { IntegrityError } from "./webllm_py.js";
