// WebLLM's engine.

import {
  EngineNotLoadedError,
  ReloadArgumentSizeUnmatchedError,
  ReloadModelIdNotUniqueError,
  SpecifiedModelNotFoundError,
  UnclearModelToUseError,
  UnsupportedFieldsError,
} from "./mlc_errors.js";
import { freshEngine, optionsOf, prebuiltAppConfig, recordOf, running } from "./mlc_models.js";

/** Create an engine and load a model, or several. */
export async function CreateMLCEngine(modelId, engineConfig, chatOpts) {
  const engine = new MLCEngine(engineConfig);
  await engine.reload(modelId, chatOpts);
  return engine;
}

export class MLCEngine {
  #appConfig;
  #onProgress;
  #logLevel;
  #engine = null;
  #models = new Map(); // by model_id: {id, name, fields, message, usage}
  #loading = new AbortController();

  constructor({ appConfig, initProgressCallback, logitProcessorRegistry, logLevel = "WARN" } = {}) {
    this.setAppConfig(appConfig ?? prebuiltAppConfig);
    this.setInitProgressCallback(initProgressCallback);
    this.setLogitProcessorRegistry(logitProcessorRegistry);
    this.setLogLevel(logLevel);
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

  /** Nothing is logged; what goes wrong is thrown. */
  setLogLevel(level) {
    this.#logLevel = level;
  }

  setLogitProcessorRegistry(registry) {
    if (registry?.size) {
      throw new UnsupportedFieldsError(
        "logitProcessorRegistry: logits do not come to the page. From Python, requests take logits_processors.",
      );
    }
  }

  /** Load a model, or several, instead of those that are there. `unload` and another `reload` end it. */
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
      return { id, source: record.model, ...optionsOf(record, options[i], this.#appConfig) };
    });
    const { signal } = this.#leave();
    const began = performance.now();
    const engine = this.#engine ?? (await freshEngine(this.#reports(began, 0, models.length), signal));
    if (signal.aborted) {
      if (engine !== this.#engine) engine.close();
      throw signal.reason;
    }
    running.add((this.#engine = engine)); // its first load unloads what was there
    for (const [i, { id, source, load, fields }] of models.entries()) {
      const onProgress = this.#reports(began, i, models.length);
      const { name } = i
        ? await engine.addModel(source, { name: id, onProgress, signal, ...load })
        : await engine.load(source, { onProgress, signal, ...load });
      this.#models.set(id, { id, name, fields, message: "", usage: null });
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
    return this.#answer("chat", fields, (choice) => (choice.message ?? choice.delta)?.content);
  }

  completion(fields) {
    return this.#answer("completions", fields, (choice) => choice.text);
  }

  async embedding(fields) {
    const { engine, model } = this.#chosen(fields.model);
    return renamed(await engine.embeddings.create({ ...fields, model: model.name }), model);
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

  /** Forget the last answer. Requests hold their whole conversation; what of it is cached is found again. */
  async resetChat(keepStats = false, modelId) {
    const { model } = this.#chosen(modelId);
    model.message = "";
    if (!keepStats) model.usage = null;
  }

  async interruptGenerate() {
    this.#engine?.interrupt();
  }

  async forwardTokensAndSample() {
    throw new UnsupportedFieldsError(
      "forwardTokensAndSample: ask completions.create() for a prompt of token ids and max_tokens 1.",
    );
  }

  async getMaxStorageBufferBindingSize() {
    const adapter = await navigator.gpu?.requestAdapter();
    return adapter?.limits.maxStorageBufferBindingSize ?? 0;
  }

  async getGPUVendor(modelId) {
    return (await this.#chosen(modelId).engine.info()).vendor;
  }

  /** Answer nothing any more, and end the load under way; what ends the next one. */
  #leave() {
    this.#models = new Map();
    this.#loading.abort(new DOMException("unload() or another reload() ended the load.", "AbortError"));
    return (this.#loading = new AbortController());
  }

  #chosen(modelId) {
    const ids = [...this.#models.keys()];
    if (!ids.length) throw new EngineNotLoadedError("No model is loaded: await reload() first.");
    if (modelId == null && ids.length > 1) {
      throw new UnclearModelToUseError(`Several models are loaded: say which, of ${ids.join(", ")}.`);
    }
    const model = this.#models.get(modelId ?? ids[0]);
    if (model) return { engine: this.#engine, model };
    throw new SpecifiedModelNotFoundError(`"${modelId}" is not loaded, only ${ids.join(", ")}.`);
  }

  async #answer(kind, { model: modelId, ...given }, textOf) {
    const { engine, model } = this.#chosen(modelId);
    const { create } = kind === "chat" ? engine.chat.completions : engine.completions;
    const fields = { ...model.fields, ...given, model: model.name };
    model.message = "";
    if (given.stream !== true) {
      const reply = renamed(await create(fields), model);
      model.message = textOf(reply.choices[0]) ?? "";
      model.usage = reply.usage;
      return reply;
    }
    const asked = given.stream_options?.include_usage === true;
    const stream = await create({ ...fields, stream_options: { ...given.stream_options, include_usage: true } });
    return watched(stream, model, asked, textOf);
  }

  /** What tells of the progress of one of several loads, as WebLLM does. */
  #reports(began, index, count) {
    return ({ loaded, total, text }) =>
      this.#onProgress?.({
        progress: (index + (total ? loaded / total : 0)) / count,
        timeElapsed: (performance.now() - began) / 1000,
        text,
      });
  }
}

/** The chunks of an answer, whose text and usage are kept. */
async function* watched(stream, model, wantsUsage, textOf) {
  for await (const chunk of stream) {
    const [first] = chunk.choices;
    if (first?.index === 0) model.message += textOf(first) ?? "";
    if (chunk.usage) model.usage = chunk.usage;
    if (first || wantsUsage) yield renamed(chunk, model);
  }
}

/** Under the name that the page has for the model, and with times where WebLLM has them. */
function renamed(reply, { id }) {
  const { usage } = reply;
  if (usage?.timings) usage.extra ??= { ...usage.timings };
  return Object.assign(reply, { model: id });
}
