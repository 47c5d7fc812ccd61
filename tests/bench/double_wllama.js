// Stands in for wllama's package: a token a character and one that begins the text, times that
// follow from the numbers of tokens, and a log that says what llama.cpp's says.

let last = "";

export class Wllama {
  constructor(paths, { logger }) {
    this.logger = logger;
  }

  static getLibllamaVersion() {
    return "b1-double";
  }

  setCompat() {}

  getNumThreads() {
    return 2;
  }

  async loadModelFromUrl(url, { n_ctx: context, n_parallel: sequences }) {
    this.logger.debug("llama_model_load: loading");
    const bytes = await (await fetch(url)).arrayBuffer();
    if (new TextDecoder().decode(bytes.slice(0, 4)) !== "GGUF") throw new Error("no GGUF file");
    if (sequences !== 1 || !crossOriginIsolated) throw new Error("not what was asked for");
    this.context = context;
    this.logger.debug("load_tensors: offloaded 2/3 layers to GPU");
  }

  async createCompletion({ prompt, max_tokens: tokens, cache_prompt: cache = true, ...fields }) {
    const { temperature, ignore_eos: ignoresEnd, stream, onData } = fields;
    if (temperature !== 0 || !ignoresEnd || !stream) throw new Error("not greedy and streamed");
    const length = prompt.length + 1;
    if (length + tokens > this.context) throw new Error("the context is too small");
    const computed = cache && prompt === last ? 1 : length;
    last = prompt;
    for (let i = 1; i <= tokens; i++) {
      onData({
        timings: {
          prompt_n: computed,
          cache_n: length - computed,
          prompt_ms: 2 * computed,
          predicted_n: i,
          predicted_ms: 4 * (i - 1),
        },
      });
    }
  }
}
