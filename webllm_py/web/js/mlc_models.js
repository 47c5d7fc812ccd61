// WebLLM's lists of models, its options of one, and what of them is kept in the browser.

import { createEngine } from "./engine.js";
import { SourceError } from "./error_classes.js";
import { ModelNotFoundError, UnsupportedFieldsError, WindowSizeConfigurationError } from "./mlc_errors.js";
import { pinsOf } from "./mlc_integrity.js";
import prebuilt from "./prebuilt.js";

export const ModelType = Object.freeze({ LLM: 0, embedding: 1, VLM: 2, 0: "LLM", 1: "embedding", 2: "VLM" });
export const prebuiltAppConfig = { model_list: prebuilt, cacheBackend: "opfs" };
/** All that chat: calls are written and read in the form of each model's own template. */
export const functionCallingModelIds = prebuilt
  .filter(({ model_type }) => model_type !== ModelType.embedding)
  .map(({ model_id }) => model_id);
/** No libraries are fetched: records may name them all the same. */
export const modelVersion = "";
export const modelLibURLPrefix = "";

const PLACES = { cache: "cache", indexeddb: "indexeddb", opfs: "opfs" };
const SAMPLING = ["temperature", "top_p", "repetition_penalty", "frequency_penalty", "presence_penalty"];
const WINDOWS = ["context_window_size", "sliding_window_size", "attention_sink_size"];
const TEMPLATE = ["conv_template", "conv_config"];
const WITHOUT_EFFECT = ["prefill_chunk_size", "max_history_size"];

/** The record of a model. */
export function recordOf(modelId, appConfig = prebuiltAppConfig) {
  const record = appConfig.model_list.find(({ model_id }) => model_id === modelId);
  if (record) return record;
  throw new ModelNotFoundError(`appConfig.model_list has no model_id "${modelId}".`);
}

/** Options of a load, and fields that requests have by default, from a record and WebLLM's ChatOptions. */
export function optionsOf(record, chatOptions, appConfig) {
  const given = { ...record.overrides, ...chatOptions };
  const known = [...SAMPLING, ...WINDOWS, ...TEMPLATE, ...WITHOUT_EFFECT];
  const others = Object.keys(given).filter((name) => !known.includes(name));
  if (others.length) {
    throw new UnsupportedFieldsError(
      `${others.join(", ")}: of ChatOptions there are ${known.join(", ")}; all else is as the model's files say.`,
    );
  }
  const [context, window, sinks] = WINDOWS.map((name) => (given[name] >= 0 ? given[name] : null));
  if (context && window) {
    throw new WindowSizeConfigurationError(
      "context_window_size and sliding_window_size are both positive: set one of them to -1.",
    );
  }
  const store = storeOf(appConfig);
  const load = {
    ...(window ? { slidingWindowSize: window, attentionSinkSize: sinks } : { contextLength: context || null }),
    chatTemplate: templateOf(given),
    fetch: { ...(store && { store }), ...pinsOf(record.integrity) },
  };
  const said = SAMPLING.filter((name) => given[name] != null).map((name) => [name, given[name]]);
  return { load, fields: Object.fromEntries(said) };
}

/** The fields of a conversation template that stand before the model's own; null if there are none. */
function templateOf(given) {
  const said = TEMPLATE.filter((name) => given[name] != null);
  for (const name of said) {
    if (typeof given[name] !== "object") {
      throw new UnsupportedFieldsError(`${name} must be an object, as mlc-chat-config.json has it.`);
    }
  }
  return said.length ? Object.assign({}, ...said.map((name) => given[name])) : null;
}

/** Where models are kept; null for the best place of the browser. */
function storeOf({ cacheBackend, useIndexedDBCache }) {
  return PLACES[cacheBackend] ?? (useIndexedDBCache ? "indexeddb" : null);
}

/**
 * The address of a model. One of a record with a `model_lib`, which was written for WebLLM, is below
 * resolve/main/ as WebLLM has it, unless it says so itself.
 */
export function addressOf({ model, model_lib }) {
  if (!model_lib || typeof model !== "string" || /^hf:|\.gguf$/.test(model)) return model;
  const folder = model.endsWith("/") ? model : `${model}/`;
  return /.\/resolve\/.+\//.test(folder) ? folder : `${folder}resolve/main/`;
}

/** Engines that live and have, or had, models. */
export const running = new Set();
let waiting = null; // an engine that has none, for who needs one next

/** An engine without a model, one of those that are running until it is closed. */
export async function freshEngine(onProgress, signal) {
  const asked = waiting ?? createEngine({ model: null, onProgress, signal });
  waiting = null;
  const engine = await asked;
  running.add(engine);
  engine.closed.then(() => running.delete(engine));
  return engine;
}

function waitingEngine() {
  if (!waiting) {
    const asked = (waiting = createEngine({ model: null }));
    const forget = () => waiting === asked && (waiting = null);
    asked.then(({ closed }) => closed.then(forget), forget);
  }
  return waiting;
}

async function stored(modelId, appConfig, act) {
  const source = addressOf(recordOf(modelId, appConfig));
  const store = storeOf(appConfig);
  const [busy] = running;
  const engine = busy ?? (await waitingEngine());
  return act(store ? engine.storeIn(store) : engine.store, source);
}

/** Whether a model is kept whole. */
export function hasModelInCache(modelId, appConfig = prebuiltAppConfig) {
  return stored(modelId, appConfig, (store, source) => store.has(source));
}

/** Delete what is kept of a model, which may be loaded; a model is kept as one. */
export function deleteModelAllInfoInCache(modelId, appConfig = prebuiltAppConfig) {
  return stored(modelId, appConfig, async (store, source) => {
    try {
      await store.delete(source);
    } catch (error) {
      if (!(error instanceof SourceError) || !running.size) throw error;
      for (const engine of running) await engine.closeFiles().catch(() => {}); // it may have none
      await store.delete(source);
    }
  });
}

export const deleteModelInCache = deleteModelAllInfoInCache;
/** Done with the model: there is nothing else of it. */
export async function deleteChatConfigInCache() {}
export async function deleteModelWasmInCache() {}
