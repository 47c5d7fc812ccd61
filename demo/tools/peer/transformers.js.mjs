// Measures transformers.js (onnxruntime-web on WebGPU) as webllm_py/bench/core.py measures webllm_py:
// the same prompts, numbers of tokens, warm-up and runs, through its own generate().
// Query and reports: see measure.mjs. The model is a folder, whose config.json says its dtype. Further:
//        check      JSON: what to compare with ours; see agreement.py
//        subgroups  "false": none are used

import { expect, options, query, repeated, report, seconds } from "./measure.mjs";
import {
  AutoModelForCausalLM,
  BaseStreamer,
  Tensor,
  env,
} from "./package/transformers/dist/transformers.min.js";

const RUNTIME = new URL("./package/onnxruntime-web/dist/", import.meta.url).href;

let prompts = 0;

async function main() {
  await report("step", { text: "transformers.js: loading the model" });
  const start = performance.now();
  const model = await load();
  const loadSeconds = seconds(start);
  const check = await checked(model, JSON.parse(query.get("check")));
  const decode = [];
  for (const context of options.contexts.toReversed()) {
    await report("step", { text: `transformers.js: decoding at ${context} tokens` });
    const ids = prompt(model, context);
    const runs = await repeated(() => request(model, ids, options.tokens));
    expect(runs, "generated", options.tokens);
    decode.unshift({ context, tokens_per_s: runs.map((run) => run.decode) });
  }
  const prefill = [];
  for (const length of options.prompt_tokens) {
    await report("step", { text: `transformers.js: prefill of ${length} tokens` });
    const runs = await repeated(() => request(model, prompt(model, length), 1));
    prefill.push({
      prompt_tokens: length,
      tokens_per_s: runs.map((run) => length / run.first),
      first_token_s: runs.map((run) => run.first),
    });
  }
  await report("done", {
    onnxruntime: env.backends.onnx.versions.web,
    dtype: model.config["transformers.js_config"].dtype,
    load_s: loadSeconds,
    prefill,
    decode,
    check,
  });
}

// As if the adapter had no features of that name.
function without(name) {
  const { requestDevice } = GPUAdapter.prototype;
  GPUAdapter.prototype.requestDevice = function (wanted = {}) {
    const features = Array.from(wanted.requiredFeatures ?? []).filter((f) => !f.startsWith(name));
    return requestDevice.call(this, { ...wanted, requiredFeatures: features });
  };
}

async function load() {
  if (query.get("subgroups") === "false") without("subgroup");
  env.allowRemoteModels = false;
  env.allowLocalModels = true;
  env.localModelPath = new URL("./", location.href).pathname;
  env.useBrowserCache = false; // as ours: nobody wants to keep random weights
  env.backends.onnx.wasm.wasmPaths = {
    mjs: `${RUNTIME}ort-wasm-simd-threaded.asyncify.mjs`,
    wasm: `${RUNTIME}ort-wasm-simd-threaded.asyncify.wasm`,
  };
  return AutoModelForCausalLM.from_pretrained(query.get("model").replace(/\/$/, ""), {
    device: "webgpu",
  });
}

// As Bench.prompt.
function prompt(model, length) {
  prompts += 1;
  const { vocab_size: size } = model.config;
  return Array.from({ length }, (_, i) => (prompts + i * 7919) % size);
}

function inputs(ids) {
  const shape = [1, ids.length];
  return {
    input_ids: new Tensor("int64", BigInt64Array.from(ids, BigInt), shape),
    attention_mask: new Tensor("int64", new BigInt64Array(ids.length).fill(1n), shape),
  };
}

// Notes when each token came; the prompt comes first.
class Clock extends BaseStreamer {
  times = [];

  put() {
    this.times.push(performance.now());
  }

  end() {}
}

// Greedy, exactly so many tokens: the model's config has none that ends a text.
async function request(model, ids, tokens) {
  const start = performance.now();
  const streamer = new Clock();
  const answer = await model.generate({
    ...inputs(ids),
    max_new_tokens: tokens,
    do_sample: false,
    streamer,
  });
  const [, first] = streamer.times;
  const last = streamer.times.at(-1);
  return {
    ids: Array.from(answer.data.slice(ids.length), Number),
    generated: streamer.times.length - 1,
    first: (first - start) / 1000,
    decode: (1000 * (tokens - 1)) / (last - first),
  };
}

// The logits after each prompt, and the tokens of a greedy answer to the first one.
async function checked(model, { prompts: all, tokens }) {
  const rows = [];
  for (const ids of all) {
    const { logits, ...cache } = await model(inputs(ids));
    rows.push(Array.from(logits.data));
    for (const tensor of Object.values(cache)) tensor.dispose();
  }
  const answer = await request(model, all[0], tokens);
  return { logits: rows, tokens: answer.ids };
}

main().catch((error) => {
  console.error(error);
  return report("error", { message: `transformers.js: ${error?.message ?? error}`.trim() });
});
