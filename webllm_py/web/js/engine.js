// The engine of a page.

import { Documents } from "./documents.js";
import { serve } from "./endpoint.js";
import { EngineClosedError, NoAdapterError, StartError } from "./error_classes.js";
import { errorFrom } from "./errors.js";
import { Job } from "./job.js";
import { GivenProcessors } from "./processors.js";
import { checked, cloneable, OPTIONS_BESIDE, pythonNames, renamed } from "./plain.js";

const MADE = Symbol("by createEngine");

/** Start Python in a worker and load a model; `model: null` loads none yet. See webllm_py.d.ts. */
export async function createEngine({ model, onProgress, signal, ...options } = {}) {
  pythonNames(options); // refused before anything is started
  const engine = new Engine(MADE, onProgress);
  try {
    await untilAborted(engine.started, signal);
    if (model !== null) await engine.load(model, { onProgress, signal, ...options });
  } catch (error) {
    engine.close(error);
    throw error;
  }
  return engine;
}

export class Engine {
  /** When Python is up: {fromSnapshot, times}. Rejected where it cannot be. */
  started;
  /** Resolved, once there will be no answers any more, with the error that says why. */
  closed;
  #worker = null;
  #jobs = new Set();
  #loading = null; // the last load
  #closed = null; // what `closed` is resolved with
  #tellClosed;
  #endpoints = new Set();
  #onBusy = () => {};

  constructor(made, onProgress = () => {}) {
    if (made !== MADE) throw new TypeError("Engines are made by createEngine().");
    const create = (resource) => (fields, options) => this.#create(resource, fields, options);
    this.chat = { completions: { create: create("chat.completions") } };
    this.completions = { create: create("completions") };
    this.embeddings = { create: create("embeddings") };
    this.store = this.storeIn(null);
    this.closed = new Promise((resolve) => (this.#tellClosed = resolve));
    this.started = this.#start(onProgress);
    this.started.catch(() => {}); // whoever awaits it is told
  }

  /**
   * Load a model instead of the present one, which stays if this one's files are none; its info.
   * `null` is none: Python and the GPU's device, with its kernels, stay for the next load.
   */
  async load(model, { onProgress, signal, ...options } = {}) {
    if (model === null) return this.#begin({ kind: "unload", keeps_device: true }, signal).ended;
    askToKeep(model);
    const request = { kind: "load", options: pythonNames(options) };
    this.#loading = this.#begin(request, signal, cloneable(model));
    return told(this.#loading, signal, onProgress);
  }

  /** Load another model beside the first one; its info, whose name requests choose it by. */
  async addModel(model, { name, onProgress, signal, ...options } = {}) {
    askToKeep(model);
    const fields = { action: "add_model", name, options: pythonNames(options, OPTIONS_BESIDE) };
    return told(this.#beside(fields, signal, cloneable(model)), signal, onProgress);
  }

  /** Unload one that was added. */
  async removeModel(name) {
    return this.#beside({ action: "remove_model", name }).ended;
  }

  /** What runs where, of each model by its name; the first one's first. */
  async models() {
    return this.#beside({ action: "models" }).ended;
  }

  /** Close the files of the models that are loaded, which are not needed any more but to `recover`. */
  async closeFiles() {
    return this.#beside({ action: "close_files" }).ended;
  }

  /** Load a LoRA adapter beside a model, the first one unless `model` names another. */
  async loadAdapter(source, { name, model, fetch, signal } = {}) {
    askToKeep(source);
    const fields = { action: "load_adapter", name, model, options: pythonNames({ fetch }) };
    return this.#beside(fields, signal, cloneable(source)).ended.catch(rethrow(signal));
  }

  async unloadAdapter(name, { model } = {}) {
    return this.#beside({ action: "unload_adapter", name, model }).ended;
  }

  /** Answers to requests with `resumable` that were cut off when their tab ended. */
  async unfinished() {
    return this.#beside({ action: "unfinished" }).ended;
  }

  /** Finish one of them, as a stream of all of it; the newest without a name. null: there is none. */
  async resume(name, { signal } = {}) {
    const job = this.#beside({ action: "resume", name }, signal);
    return (await job.head.catch(rethrow(signal))) ? new Stream(job, signal) : null;
  }

  /** Delete one of them. */
  async forget(name) {
    return this.#beside({ action: "forget", name }).ended;
  }

  /** The models that are kept in another place than the best one of this browser. */
  storeIn(place) {
    const action = (name) => async (source, given) =>
      this.#begin({ kind: "store", action: name, source, place }, undefined, cloneable(given)).ended;
    return {
      ...Object.fromEntries(["list", "room", "delete", "has", "size"].map((name) => [name, action(name)])),
      exportTo: action("export"),
      importFrom: async (given) => action("import")("", given),
    };
  }

  /** Load the same model again on a new GPU device, after DeviceLostError; its info. */
  async recover({ onProgress, signal } = {}) {
    return told(this.#begin({ kind: "recover" }, signal), signal, onProgress);
  }

  /** What runs where: name, architecture, context_length, gpu_memory in bytes, adapter, ... */
  async info() {
    return this.#begin({ kind: "info" }).ended;
  }

  /** End the answer whose turn it is with the finish_reason "abort"; others go on. */
  interrupt() {
    this.#worker?.postMessage({ type: "interrupt" });
  }

  /** Free everything, the worker too. Answers under way end with EngineClosedError. */
  async unload() {
    if (this.#closed) return;
    this.#loading?.cancel();
    const unloading = this.#begin({ kind: "unload" });
    await unloading.ended.catch(() => {});
    this.close(new EngineClosedError("This engine was unloaded: create another one."));
  }

  /** End the worker at once, whatever it does; `error` is what is said to who waits or asks. */
  close(error = new EngineClosedError("This engine was closed: create another one.")) {
    if (this.#closed) return;
    this.#closed = error;
    this.#worker?.terminate();
    for (const endpoint of this.#endpoints) endpoint.close();
    for (const job of this.#jobs) job.fail(error);
    this.#tellClosed(error);
  }

  /** A collection of documents by its name; it is kept, and searched in the worker. */
  documents(collection) {
    const begin = ({ ...fields }, signal, given) =>
      this.#begin({ ...checked(fields), kind: "documents", collection }, signal, cloneable(given));
    return new Documents(begin, told, async (job, signal) => {
      const sources = await job.head.catch(rethrow(signal));
      return Object.assign(new Stream(job, signal), { sources });
    });
  }

  /** Answer `fetch("/v1/...")` of this site's pages, through a service worker. */
  async serve(script, options) {
    if (this.#closed) throw this.#closed;
    const watch = (onBusy) => (this.#onBusy = onBusy);
    const endpoint = await serve(this.#hand.bind(this), watch, script, options);
    this.#endpoints.add(endpoint);
    return endpoint;
  }

  async #start(onProgress) {
    if (!navigator.gpu) {
      throw new NoAdapterError("navigator.gpu is not there: this browser offers this page no WebGPU.");
    }
    const url = new URL("./worker.js", import.meta.url);
    this.#worker = new Worker(url, { type: "module", name: "webllm_py" });
    const failed = (reject) => (error) => {
      this.close(error);
      reject(error);
    };
    return new Promise((resolve, reject) => {
      this.#worker.onerror = ({ message }) =>
        failed(reject)(new StartError(message || "The worker could not be started."));
      this.#worker.onmessage = ({ data }) => {
        const { type, ...rest } = data;
        if (type === "progress") onProgress({ stage: "python", ...rest, text: "Starting Python" });
        else if (type === "started") resolve(rest);
        else if (type === "failed") failed(reject)(errorFrom(data.error));
        else if (type === "alive") this.#watch(rest.lock, failed(reject));
        else if (type === "busy") this.#onBusy(data.jobs);
      };
    });
  }

  /** Wait for a lock that the worker has for as long as it lives. */
  #watch(lock, failed) {
    const message =
      "The worker of this engine ended, maybe for want of memory. Create another engine; reload() of web_llm.js does.";
    navigator.locks.request(lock, () => failed(new EngineClosedError(message))).catch(() => {});
  }

  #beside(fields, signal, given) {
    return this.#begin({ kind: "engine", ...fields }, signal, given);
  }

  /** A job that ends early when the signal is aborted. */
  #begin(request, signal, model, processors) {
    if (this.#closed) throw this.#closed;
    signal?.throwIfAborted();
    const { port1, port2 } = new MessageChannel();
    const job = new Job(port1, processors);
    const cancel = () => job.cancel();
    this.#jobs.add(job);
    signal?.addEventListener("abort", cancel);
    job.ended.catch(() => {}).then(() => {
      this.#jobs.delete(job);
      signal?.removeEventListener("abort", cancel);
    });
    this.#hand(request, port2, model);
    return job;
  }

  /** Give the worker a job whose messages go to a port. */
  #hand(request, port, model) {
    const base = globalThis.document?.baseURI ?? location.href;
    this.#worker.postMessage({ type: "job", request, model, base }, [port]);
  }

  async #create(resource, { logits_processors: given, ...fields } = {}, { signal } = {}) {
    const processors = given == null ? null : new GivenProcessors(given);
    const request = { kind: "create", resource, fields: checked(fields), processors: processors?.count };
    const job = this.#begin(request, signal, undefined, processors);
    const isStreamed = fields.stream === true;
    const answer = await job[isStreamed ? "head" : "ended"].catch(rethrow(signal));
    return isStreamed ? new Stream(job, signal) : answer;
  }
}

/** The chunks of an answer. Leaving a `for await` over it, and `return()`, end the answer. */
class Stream {
  #job;
  #signal;

  constructor(job, signal) {
    this.#job = job;
    this.#signal = signal;
  }

  [Symbol.asyncIterator]() {
    return this;
  }

  async next() {
    return this.#job.next().catch(rethrow(this.#signal));
  }

  async return(value) {
    return this.#job.return(value);
  }
}

/** What a load ends with; its pieces tell of its progress. */
async function told(job, signal, onProgress = () => {}) {
  try {
    for await (const progress of job) onProgress(renamed(progress));
    return await job.ended;
  } catch (error) {
    return rethrow(signal)(error);
  }
}

/** Throws what went wrong; of a job that was cancelled by a signal that is the signal's reason. */
function rethrow(signal) {
  return (error) => {
    const isAbort = error.name === "AbortError" || error.name === "CancelledLoadError";
    throw signal?.aborted && isAbort ? signal.reason : error;
  };
}

/** Workers cannot ask that what they keep be kept; where a browser has to ask the user, it does. */
function askToKeep(model) {
  if (typeof model === "string") navigator.storage?.persist?.().catch(() => {});
}

function untilAborted(promise, signal) {
  if (!signal) return promise;
  signal.throwIfAborted();
  return Promise.race([
    promise,
    new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason))),
  ]);
}
