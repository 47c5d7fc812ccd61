// Requests as the engine takes them where WebLLM's differ, and answers and errors as WebLLM gives them.

import { ContextLengthError, NoAdapterError } from "./error_classes.js";
import {
  ContextWindowSizeExceededError,
  IncorrectPipelineLoadedError,
  WebGPUNotAvailableError,
} from "./mlc_errors.js";

const ENDLESS = 2 ** 31 - 1; // tokens: OpenAI has a completion end after 16
const RATES = [
  "prefill_tokens_per_s",
  "decode_tokens_per_s",
  "time_to_first_token_s",
  "time_per_output_token_s",
];

/** A request's fields, of a chat or a completion. */
export function fieldsOf(kind, given, model) {
  const own = Object.entries(model.fields).filter(([name]) => given[name] == null);
  const fields = { ...given, ...Object.fromEntries(own), model: model.name, enable_latency_breakdown: true };
  if (fields.extra_body) {
    const { enable_latency_breakdown: _, resumable, ...rest } = fields.extra_body;
    fields.extra_body = rest;
    if (resumable?.enabled) fields.resumable = resumable.sessionId ?? true;
  }
  if (kind === "completions") fields.max_tokens ??= ENDLESS;
  // A page finds thoughts in the text; a text in a form holds none.
  else if (["text", undefined].includes(given.response_format?.type)) fields.reasoning_format ??= "none";
  return fields;
}

/** Whether a request asks how long each token took. */
export function wantsBreakdown({ extra_body, enable_latency_breakdown }) {
  return Boolean(extra_body?.enable_latency_breakdown ?? enable_latency_breakdown);
}

/** Under the name that the page has for the model, with times, and log-probabilities as in a chat. */
export function asWebLLM(reply, { id }, given) {
  const { usage } = reply;
  if (usage?.extra) {
    // Pages count on numbers.
    for (const name of RATES) usage.extra[name] ??= 0;
    if (!wantsBreakdown(given)) delete usage.extra.latencyBreakdown;
  }
  if (given.logprobs === true) {
    for (const choice of reply.choices) {
      if (choice.logprobs?.tokens) choice.logprobs = asInChats(choice.logprobs, given);
    }
  }
  return Object.assign(reply, { model: id });
}

function asInChats({ tokens, token_logprobs, top_logprobs, text_offset }, { echo, prompt }) {
  const entry = (token, logprob) => ({ token, logprob, bytes: [...new TextEncoder().encode(token)] });
  const content = tokens.map((token, i) => ({
    ...entry(token, token_logprobs[i]),
    top_logprobs: Object.entries(top_logprobs?.[i] ?? {}).map(([text, logprob]) => entry(text, logprob)),
  }));
  const shown = echo && typeof prompt === "string" ? [...prompt].length : 0;
  return { content: content.filter((_, i) => text_offset[i] >= shown) };
}

/** The text of a choice, or what a piece of one adds to it. */
export function textOf({ message, delta, text }) {
  return (message ?? delta)?.content ?? text ?? "";
}

/** The chunks of an answer, whose text and usage are kept. */
export async function* watched(stream, model, given, onEnd) {
  const wantsUsage = given.stream_options?.include_usage === true;
  try {
    for await (const chunk of stream) {
      const [first] = chunk.choices;
      if (first?.index === 0) model.message += textOf(first);
      if (chunk.usage) model.usage = chunk.usage;
      if (first || wantsUsage) yield asWebLLM(chunk, model, given);
    }
  } finally {
    onEnd();
  }
}

/** Throws an error, by WebLLM's name where it has one; `other`: of a model that cannot do what was asked. */
export function rethrown(other = IncorrectPipelineLoadedError) {
  return (error) => {
    const kinds = [
      [ContextLengthError, ContextWindowSizeExceededError],
      [NoAdapterError, WebGPUNotAvailableError],
    ];
    let [, Class] = kinds.find(([Ours]) => error?.constructor === Ours) ?? [];
    if (error?.code === "model_not_supported") Class = other;
    if (Class) Object.setPrototypeOf(error, Class.prototype);
    throw error;
  };
}
