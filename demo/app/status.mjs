// The line under the composer.

import * as format from "./format.mjs";

const STATES = {
  starting: "Starting",
  loading: "Loading",
  ready: "Ready",
  answering: "Answering",
  empty: "No model",
  lost: "Device lost",
  failed: "Cannot run here",
};

const ROWS = {
  state: "State",
  speed: "Speed",
  first: "First token",
  context: "Context",
  memory: "GPU",
  adapter: "Adapter",
};
const OF_ANSWERS = ["speed", "first", "context"];

/** One line of facts, in the order of ROWS; a fact that is not known is not shown. */
export class Status {
  #rows = {};

  constructor() {
    for (const [name, label] of Object.entries(ROWS)) {
      const row = document.createElement("div");
      row.id = `status-${name}`;
      row.append(document.createElement("dt"), document.createElement("dd"));
      row.firstChild.textContent = label;
      document.querySelector("#status").append(row);
      this.#rows[name] = row;
    }
    this.info = null;
    this.state = "starting";
  }

  set state(state) {
    document.body.dataset.state = state;
    this.#set("state", STATES[state]);
  }

  /** What a loaded model tells of itself; null clears the line. */
  set info(info) {
    this.newChat();
    this.#memory(info);
    this.#set("adapter", info?.adapter, info && adapterDetails(info));
  }

  /** There is no answer any more to tell of. */
  newChat() {
    for (const name of OF_ANSWERS) this.#set(name, null);
  }

  /** What an answer tells: the engine's "done". */
  answered({ usage, timings, info }) {
    const { prompt_tokens: prompt, completion_tokens: completion, cached_tokens: cached } = usage;
    const rate = timings.tokens_per_second;
    this.#set("speed", rate && format.speed(rate));
    this.#set("first", timings.first_token && format.seconds(timings.first_token));
    const used = format.count(prompt + completion);
    const room = info?.context_length ? ` of ${format.count(info.context_length)}` : "";
    this.#set("context", `${used}${room}`, `${cached} of ${prompt} prompt tokens were cached`);
    this.#memory(info);
  }

  #memory(info) {
    this.#set("memory", info?.gpu_memory && format.bytes(info.gpu_memory));
  }

  #set(name, value, title) {
    const row = this.#rows[name];
    row.hidden = !value;
    row.title = title ?? "";
    row.lastChild.textContent = value || "";
  }
}

function adapterDetails({ adapter, kernels, features, nudged }) {
  const waits = nudged ? "\nRead-backs: nudged" : "";
  return `${adapter}\nKernels: ${kernels}\nFeatures: ${features.join(", ")}${waits}`;
}
