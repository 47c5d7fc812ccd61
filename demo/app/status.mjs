// The line under the composer, and the panel that shows a load.

import * as format from "./format.mjs";

const STATES = {
  starting: "Starting",
  loading: "Loading",
  ready: "Ready",
  answering: "Answering",
  empty: "No model",
  lost: "Device lost",
  failed: "Stopped",
};

const ROWS = {
  state: "State",
  speed: "Speed",
  first: "First token",
  context: "Context",
  memory: "GPU",
  adapter: "Adapter",
  kernels: "Kernels",
};

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
    for (const name of ["speed", "first", "context"]) this.#set(name, null);
    this.#memory(info);
    this.#set("adapter", info?.adapter);
    this.#set("kernels", info?.kernels, info?.features?.join(", "));
  }

  /** What an answer tells: the "done" message of the worker. */
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

  #set(name, value, title = "") {
    const row = this.#rows[name];
    row.hidden = !value;
    row.title = title;
    row.lastChild.textContent = value || "";
  }
}

// The engine's stages, and which of the three words on the panel they belong to.
const STAGES = {
  python: ["python", "Starting Python"],
  opening: ["model", "Opening the model"],
  tokenizer: ["model", "Reading the tokenizer"],
  weights: ["model", "Loading the weights"],
  kernels: ["kernels", "Compiling GPU kernels"],
  ready: ["kernels", "Ready"],
};

/** Stage, bytes, rate and a way to cancel. */
export class LoadingPanel {
  #panel = document.querySelector("#loading");
  #bar = document.querySelector("#loading-bar");
  #text = document.querySelector("#loading-text");
  #cancel = document.querySelector("#cancel");
  #stages = [...document.querySelectorAll("#stages li")];

  constructor(onCancel) {
    this.#cancel.addEventListener("click", onCancel);
  }

  show(stage, { cancellable = true } = {}) {
    this.#panel.hidden = false;
    this.#cancel.hidden = !cancellable;
    this.update({ stage, loaded: 0, total: null, rate: null });
  }

  hide() {
    this.#panel.hidden = true;
  }

  update({ stage, loaded, total, rate }) {
    const arrived = total > 0 && loaded >= total;
    // Kernels compile while the weights arrive; they are what is left when the weights are there.
    const [group, title] = STAGES[stage === "weights" && arrived ? "kernels" : stage];
    const at = this.#stages.findIndex((item) => item.dataset.stage === group);
    this.#stages.forEach((item, index) => {
      item.className = index < at ? "done" : index === at ? "active" : "";
    });
    const words = [title];
    if (total && !arrived) words.push(`${format.bytes(loaded)} of ${format.bytes(total)}`);
    if (rate && !arrived) words.push(`${format.bytes(rate)}/s`);
    if (rate && total > loaded) words.push(format.left((total - loaded) / rate));
    this.#text.value = words.join(" · ");
    // With all bytes there and the stage still going, how long it takes is not known.
    if (total && !arrived) this.#bar.value = loaded / total;
    else this.#bar.removeAttribute("value");
  }
}
