// Types of web_llm.js: WebLLM's names, with the requests and responses of webllm_py.js.

import type {
  ChatCompletion,
  ChatCompletionChunk,
  ChatFields,
  Completion,
  CompletionFields,
  EmbeddingFields,
  EmbeddingReply,
  ModelSource,
} from "./webllm_py.js";

export interface InitProgressReport {
  /** From 0 to 1. */
  progress: number;
  /** Seconds. */
  timeElapsed: number;
  text: string;
}
export type InitProgressCallback = (report: InitProgressReport) => void;
export type LogLevel = "TRACE" | "DEBUG" | "INFO" | "WARN" | "ERROR" | "SILENT";

/** Other fields of WebLLM's are refused: the model's own files say them. -1 is none of a size. */
export interface ChatOptions {
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

export interface ModelRecord {
  /** The address of an MLC folder, or any other model that `createEngine` takes. */
  model: ModelSource;
  model_id: string;
  /** Not fetched. */
  model_lib?: string;
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

export interface MLCEngineConfig {
  appConfig?: AppConfig;
  initProgressCallback?: InitProgressCallback;
  /** Refused if it has any: logits do not come to the page. */
  logitProcessorRegistry?: Map<string, unknown>;
  logLevel?: LogLevel;
}

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

  /** Load a model, or several, instead of those that are there; another `reload` and `unload` end it. */
  reload(modelId: string | string[], chatOpts?: ChatOptions | ChatOptions[]): Promise<void>;
  unload(): Promise<void>;
  interruptGenerate(): Promise<void>;
  /** Requests hold their whole conversation: this forgets what the two functions below tell. */
  resetChat(keepStats?: boolean, modelId?: string): Promise<void>;
  getMessage(modelId?: string): Promise<string>;
  runtimeStatsText(modelId?: string): Promise<string>;
  getGPUVendor(modelId?: string): Promise<string>;
  getMaxStorageBufferBindingSize(): Promise<number>;

  setAppConfig(appConfig: AppConfig): void;
  setInitProgressCallback(callback?: InitProgressCallback): void;
  getInitProgressCallback(): InitProgressCallback | undefined;
  setLogLevel(level: LogLevel): void;
  setLogitProcessorRegistry(registry?: Map<string, unknown>): void;
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

/** Python has a worker of its own, whatever the page's does. */
export class WebWorkerMLCEngine extends MLCEngine {
  constructor(worker: unknown, engineConfig?: MLCEngineConfig);
}
export function CreateWebWorkerMLCEngine(
  worker: unknown,
  modelId: string | string[],
  engineConfig?: MLCEngineConfig,
  chatOpts?: ChatOptions | ChatOptions[],
): Promise<WebWorkerMLCEngine>;
export class ServiceWorkerMLCEngine extends MLCEngine {
  missedHeartbeat: number;
}
export function CreateServiceWorkerMLCEngine(
  modelId: string | string[],
  engineConfig?: MLCEngineConfig,
  chatOpts?: ChatOptions | ChatOptions[],
  keepAliveMs?: number,
): Promise<ServiceWorkerMLCEngine>;
export class ExtensionServiceWorkerMLCEngine extends MLCEngine {}
export function CreateExtensionServiceWorkerMLCEngine(
  modelId: string | string[],
  engineConfig?: MLCEngineConfig & { extensionId?: string; onDisconnect?: () => void },
  chatOpts?: ChatOptions | ChatOptions[],
  keepAliveMs?: number,
): Promise<ExtensionServiceWorkerMLCEngine>;

/** For scripts of workers, which have nothing left to do. */
declare class Idle {
  constructor(...given: unknown[]);
  onmessage(event?: unknown): void;
  setPort(port?: unknown): void;
}
export class WebWorkerMLCEngineHandler extends Idle {}
export class ServiceWorkerMLCEngineHandler extends Idle {}
export class ExtensionServiceWorkerMLCEngineHandler extends Idle {}

export function hasModelInCache(modelId: string, appConfig?: AppConfig): Promise<boolean>;
export function deleteModelAllInfoInCache(modelId: string, appConfig?: AppConfig): Promise<void>;
export function deleteModelInCache(modelId: string, appConfig?: AppConfig): Promise<void>;
export function deleteChatConfigInCache(modelId: string, appConfig?: AppConfig): Promise<void>;
export function deleteModelWasmInCache(modelId: string, appConfig?: AppConfig): Promise<void>;

export class EngineNotLoadedError extends Error {}
export class ModelNotFoundError extends Error {}
export class ReloadArgumentSizeUnmatchedError extends Error {}
export class ReloadModelIdNotUniqueError extends Error {}
export class SpecifiedModelNotFoundError extends Error {}
export class UnclearModelToUseError extends Error {}
export class UnsupportedFieldsError extends Error {}
export class WindowSizeConfigurationError extends Error {}
