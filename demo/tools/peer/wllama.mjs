// Measures wllama (llama.cpp in WebAssembly) as webllm_py/bench/core.py measures webllm_py: the same
// lengths of prompts, numbers of tokens, warm-up and runs. Its own defaults but for one sequence
// instead of four, and for a context of the length that is needed.
// Query and reports: see measure.mjs.

import { expect, options, query, repeated, report, seconds } from "./measure.mjs";
import { Wllama } from "./package/esm/index.js";

const OFFLOADED = /offloaded (\d+)\/(\d+) layers to GPU/;
// One token each, the first in vocabularies of words, the second in those of bytes.
const UNITS = [" a", "a"];

let layersOnGPU = [0, 0];
let logEnd = [];

async function main() {
  await report("step", { text: "wllama: loading the model" });
  const start = performance.now();
  const engine = await load();
  const loadSeconds = seconds(start);
  const prompt = await promptMaker(engine);
  const decode = [];
  for (const context of options.contexts.toReversed()) {
    await report("step", { text: `wllama: decoding at ${context} tokens` });
    await request(engine, prompt(context), 1);
    const runs = await repeated(() => request(engine, prompt(context), options.tokens));
    expect(runs, "prompt", context);
    expect(runs, "generated", options.tokens);
    decode.unshift({ context, tokens_per_s: runs.map((run) => run.decode) });
  }
  const prefill = [];
  for (const length of options.prompt_tokens) {
    await report("step", { text: `wllama: prefill of ${length} tokens` });
    const runs = await repeated(() => request(engine, prompt(length), 1, { cache_prompt: false }));
    expect(runs, "computed", length);
    prefill.push({
      prompt_tokens: length,
      tokens_per_s: runs.map((run) => run.prefill),
      first_token_s: runs.map((run) => run.first),
    });
  }
  const adapter = await navigator.gpu?.requestAdapter();
  await report("done", {
    llama_cpp: Wllama.getLibllamaVersion(),
    layers_on_gpu: layersOnGPU[0],
    layers: layersOnGPU[1],
    threads: engine.getNumThreads(),
    adapter_has_f16: adapter?.features.has("shader-f16") ?? false,
    load_s: loadSeconds,
    prefill,
    decode,
  });
}

async function load() {
  const wasm = new URL("./package/esm/wasm/wllama.wasm", import.meta.url).href;
  const engine = new Wllama({ default: wasm }, { logger: { ...console, debug: log, log, warn: log } });
  engine.setCompat(null); // what it would fetch for old browsers is on a CDN
  const model = new URL(query.get("model"), location.href).href;
  await engine.loadModelFromUrl(model, { n_ctx: Number(query.get("context")), n_parallel: 1 });
  return engine;
}

// llama.cpp says in its log alone what it runs on, and why it ended.
function log(...words) {
  console.log(...words);
  const line = words.join(" ").trim();
  if (line) logEnd = [...logEnd, line].slice(-5);
  const found = OFFLOADED.exec(line);
  if (found) layersOnGPU = [Number(found[1]), Number(found[2])];
}

// wllama takes text alone, and speed does not depend on what it says: one token over and over.
async function promptMaker(engine) {
  for (const unit of UNITS) {
    const some = await request(engine, unit.repeat(8), 1);
    const more = await request(engine, unit.repeat(16), 1);
    const begin = some.prompt - 8; // a token that begins each text, where the model has one
    if (more.prompt - some.prompt === 8) return (length) => unit.repeat(length - begin);
  }
  throw new Error("in this model's vocabulary no text of a known number of tokens was found");
}

// Greedy, exactly so many tokens; rates by llama.cpp's own clock, the first token's time by ours.
async function request(engine, prompt, tokens, fields = {}) {
  const start = performance.now();
  let first = null;
  let last = null;
  await engine.createCompletion({
    prompt,
    max_tokens: tokens,
    temperature: 0,
    ignore_eos: true,
    stream: true,
    onData: (chunk) => {
      first ??= seconds(start);
      last = chunk;
    },
    ...fields,
  });
  const { timings } = last;
  return {
    prompt: timings.prompt_n + timings.cache_n,
    computed: timings.prompt_n,
    generated: timings.predicted_n,
    first,
    prefill: (1000 * timings.prompt_n) / timings.prompt_ms,
    decode: (1000 * (tokens - 1)) / timings.predicted_ms,
  };
}

main().catch((error) => {
  console.error(error);
  const message = [`wllama: ${error?.message ?? error}`.trim(), ...logEnd].join("\n    ");
  return report("error", { message });
});
