// WebLLM's engine.

import { asWebLLM, fieldsOf, rethrown, textOf, watched } from "./mlc_answers.js";
import {
  EmbeddingUnsupportedModelError,
  IncorrectPipelineLoadedError,
  ModelNotLoadedError,
  ReloadArgumentSizeUnmatchedError,
  ReloadModelIdNotUniqueError,
  SpecifiedModelNotFoundError,
  UnclearModelToUseError,
  WebGPUNotAvailableError,
} from "./mlc_errors.js";
import { setLogLevel, warn } from "./mlc_log.js";
import { addressOf, freshEngine, optionsOf, prebuiltAppConfig, recordOf, running } from "./mlc_models.js";
import { goesOnWith, processorOf, REGISTERED, saidIn } from "./mlc_processors.js";
import { resumed, sessionsOf } from "./mlc_sessions.js";

// Of the progress of a load: what the start of Python is, and all but the last moment.
const PYTHON = 0.05;
const ALMOST = 0.99;

/** Create an engine and load a model, or several. */
export async function CreateMLCEngine(modelId, engineConfig, chatOpts) {
  const engine = new MLCEngine(engineConfig);
  await engine.reload(modelId, chatOpts);
  return engine;
}

export class MLCEngine {
  /** What says that no model is loaded; the engines of workers have another. */
  static NotLoaded = ModelNotLoadedError;

  /** By models' ids. */
  logitProcessorRegistry;
  #appConfig;
  #onProgress;
  #engine = null;
  // By model_id: {id, name, source, fields, processor}, and of the last conversation: said, message,
  // usage, and forwarded, the tokens of forwardTokensAndSample.
  #models = new Map();
  #loading = new AbortController();
  #progress = 0; // of the load under way

  constructor({ appConfig, initProgressCallback, logitProcessorRegistry, logLevel } = {}) {
    this.setAppConfig(appConfig ?? prebuiltAppConfig);
    this.setInitProgressCallback(initProgressCallback);
    this.setLogitProcessorRegistry(logitProcessorRegistry);
    if (logLevel) this.setLogLevel(logLevel);
    this.chat = { completions: { create: (fields) => this.chatCompletion(fields) } };
    this.completions = { create: (fields) => this.completion(fields) };
    this.embeddings = { create: (fields) => this.embedding(fields) };
  }

  setAppConfig(appConfig) {
    this.#appConfig = appConfig;
  }

  setInitProgressCallback(callback) {
    this.#onProgress = callback;
  }

  getInitProgressCallback() {
    return this.#onProgress;
  }

  /** Of all engines. Warnings are logged; what goes wrong is thrown. */
  setLogLevel(level) {
    setLogLevel(level);
  }

  /** Counts from the next `reload` on. */
  setLogitProcessorRegistry(registry) {
    this.logitProcessorRegistry = registry;
  }

  /**
   * Load a model, or several, instead of those that are there. `unload` and another `reload` end it.
   * Where it fails no model is loaded, as in WebLLM, and none takes memory.
   */
  async reload(modelId, chatOpts) {
    const ids = [modelId].flat();
    const options = chatOpts === undefined ? ids.map(() => ({})) : [chatOpts].flat();
    if (options.length !== ids.length) {
      throw new ReloadArgumentSizeUnmatchedError(`There are ${ids.length} models and ${options.length} chatOpts.`);
    }
    if (new Set(ids).size < ids.length) {
      throw new ReloadModelIdNotUniqueError(`A model is named twice: ${ids.join(", ")}.`);
    }
    const models = ids.map((id, i) => {
      const record = recordOf(id, this.#appConfig);
      return { id, source: addressOf(record), ...optionsOf(record, options[i], this.#appConfig) };
    });
    const { signal } = this.#leave();
    try {
      await this.#load(models, signal);
    } catch (error) {
      if (!signal.aborted) {
        this.#models = new Map();
        await this.#engine?.load(null).catch(() => {}); // its worker may have ended
        rethrown()(error);
      }
      warn(`reload() of ${ids.join(", ")} was ended by unload() or another reload().`); // as WebLLM ends
    }
  }

  /** Free all models. */
  async unload() {
    const engine = this.#engine;
    this.#engine = null;
    this.#leave();
    running.delete(engine);
    await engine?.unload();
  }

  chatCompletion(fields) {
    return this.#answer("chat", fields);
  }

  completion(fields) {
    return this.#answer("completions", fields);
  }

  async embedding(fields) {
    const { engine, model } = this.#chosen(fields.model);
    const began = performance.now();
    const asked = engine.embeddings.create({ ...fields, model: model.name });
    const reply = await asked.catch(rethrown(EmbeddingUnsupportedModelError));
    const seconds = (performance.now() - began) / 1000;
    reply.usage.extra = { prefill_tokens_per_s: reply.usage.prompt_tokens / seconds };
    return Object.assign(reply, { model: model.id });
  }

  /** What the last answer says so far. */
  async getMessage(modelId) {
    return this.#chosen(modelId).model.message;
  }

  /** How fast the last answer was. */
  async runtimeStatsText(modelId) {
    const { prefill_tokens_per_s: prefill, decode_tokens_per_s: decode } =
      this.#chosen(modelId).model.usage?.timings ?? {};
    return `prefill: ${(prefill ?? 0).toFixed(4)} tokens/sec, decoding: ${(decode ?? 0).toFixed(4)} tokens/sec`;
  }

  /** Forget the last conversation. Requests hold all of theirs; what of it is cached is found again. */
  async resetChat(keepStats = false, modelId) {
    if (!this.#models.size || (modelId != null && !this.#models.has(modelId))) return; // as WebLLM does
    const { model } = this.#chosen(modelId);
    const { usage } = model;
    Object.assign(model, forgotten(), keepStats && { usage });
    model.processor?.resetState();
  }

  async interruptGenerate() {
    this.#engine?.interrupt();
  }

  /**
   * Go on with the tokens of the calls before, and these; the token that is drawn behind them, which
   * the next call has to bring. `resetChat`, and any other request, begin anew.
   */
  async forwardTokensAndSample(inputIds, isPrefill, modelId) {
    const { engine, model } = this.#chosen(modelId);
    const prompt = [...model.forwarded, ...inputIds];
    let drawn;
    const processor = processorOf(model.processor, () => true, (token) => (drawn = token));
    const fields = { ...fieldsOf("completions", {}, model), ignore_eos: true, max_tokens: 1, prompt };
    const asked = engine.completions.create({ ...fields, logits_processors: [processor] });
    const { usage } = await asked.catch(rethrown());
    Object.assign(model, { forwarded: prompt, usage });
    return drawn;
  }

  /** Answers that were cut off, the newest first. */
  async listResumableSessions() {
    return sessionsOf(this.#any().engine, (name) => this.#named(name)?.id ?? name);
  }

  /** What one of them said, or all of it once it is finished, or the pieces that are missing. */
  async resumeChatCompletion(sessionId, options = {}) {
    return resumed(this.#any().engine, sessionId, options, (name) => this.#named(name));
  }

  async deleteResumableSession(sessionId) {
    await this.#any().engine.forget(sessionId);
  }

  async getMaxStorageBufferBindingSize() {
    return (await adapter()).limits.maxStorageBufferBindingSize;
  }

  async getGPUVendor() {
    return (await adapter()).info.vendor;
  }

  /** Logit processors by models' ids; the engines of workers ask these too. */
  async [REGISTERED]() {
    return this.logitProcessorRegistry ?? new Map();
  }

  async #load(models, signal) {
    const began = performance.now();
    this.#progress = 0;
    const asked = this[REGISTERED]();
    const lives = running.has(this.#engine); // else its worker may have ended
    const reports = this.#reports(began, 0, models.length);
    const engine = lives ? this.#engine : await freshEngine(reports, signal);
    if (signal.aborted) {
      if (engine !== this.#engine) engine.close();
      throw signal.reason;
    }
    this.#engine = engine; // its first load unloads what was there
    let info;
    for (const [i, { id, source, load, fields }] of models.entries()) {
      const onProgress = this.#reports(began, i, models.length);
      const options = { onProgress, signal, ...load };
      info = await (i ? engine.addModel(source, options) : engine.load(source, options));
      const processor = (await asked).get(id);
      this.#models.set(id, { id, name: info.name, source, fields, processor, ...forgotten() });
    }
    this.#report(began, 1, `Finish loading on WebGPU - ${info.vendor}`); // what pages look for
  }

  /** Answer nothing any more, and end the load under way; what ends the next one. */
  #leave() {
    this.#models = new Map();
    this.#loading.abort(new DOMException("unload() or another reload() ended the load.", "AbortError"));
    return (this.#loading = new AbortController());
  }

  /** Where several models are loaded, any of them. */
  #any() {
    return this.#chosen([...this.#models.keys()][0]);
  }

  #named(name) {
    return [...this.#models.values()].find((model) => model.name === name);
  }

  #chosen(modelId) {
    const ids = [...this.#models.keys()];
    if (!ids.length) throw new this.constructor.NotLoaded("No model is loaded: await reload() first.");
    if (modelId == null && ids.length > 1) {
      throw new UnclearModelToUseError(`Several models are loaded: say which, of ${ids.join(", ")}.`);
    }
    const model = this.#models.get(modelId ?? ids[0]);
    if (model) return { engine: this.#engine, model };
    throw new SpecifiedModelNotFoundError(`"${modelId}" is not loaded, only ${ids.join(", ")}.`);
  }

  async #answer(kind, { model: modelId, ...given }) {
    const { engine, model } = this.#chosen(modelId);
    const { create } = kind === "chat" ? engine.chat.completions : engine.completions;
    const fields = fieldsOf(kind, given, model);
    const { messages = [] } = given;
    if (model.processor) {
      fields.logits_processors = [processorOf(model.processor, () => goesOnWith(model.said, messages))];
    }
    Object.assign(model, { message: "", forwarded: [] });
    const ended = () => {
      model.said = kind === "chat" ? [...saidIn(messages), ["assistant", model.message]] : [];
    };
    if (given.stream !== true) {
      const reply = asWebLLM(await create(fields).catch(rethrown()), model, given);
      model.message = textOf(reply.choices.at(-1));
      model.usage = reply.usage;
      ended();
      return reply;
    }
    fields.stream_options = { ...given.stream_options, include_usage: true };
    return watched(await create(fields).catch(rethrown()), model, given, ended);
  }

  /**
   * What tells of the progress of one of several loads, as WebLLM does. It never goes back, and is 1
   * only when all is done: pages wait for that.
   */
  #reports(began, index, count) {
    return ({ stage, loaded, total, text }) => {
      const part = total ? loaded / total : 0;
      const done = stage === "python" ? PYTHON * part : PYTHON + (ALMOST - PYTHON) * part;
      this.#report(began, (index + done) / count, text);
    };
  }

  #report(began, progress, text) {
    this.#progress = Math.max(this.#progress, progress);
    const timeElapsed = (performance.now() - began) / 1000;
    this.#onProgress?.({ progress: this.#progress, timeElapsed, text });
  }
}

/** What is known of a model's last conversation before there is one. */
function forgotten() {
  return { said: [], forwarded: [], message: "", usage: null };
}

/** The GPU that engines use, unless they are told another. */
async function adapter() {
  const found = await navigator.gpu?.requestAdapter({ powerPreference: "high-performance" });
  if (found) return found;
  throw new WebGPUNotAvailableError("This browser offers this page no WebGPU.");
}
