// The panel that shows a load: stage, bytes, rate and a way to cancel.

import { announce } from "./announcer.mjs";
import { hide } from "./focus.mjs";
import * as format from "./format.mjs";

// Of Python's start and of the engine's loads: the word on the panel that a stage belongs to,
// and what the stage does.
const STAGES = {
  python: ["python", "Starting Python"],
  opening: ["model", "Opening the model"],
  tokenizer: ["model", "Reading the tokenizer"],
  weights: ["model", "Weights"], // short: bytes, rate and time left stand beside it
  kernels: ["kernels", "Compiling GPU kernels"],
  ready: ["kernels", "Ready"],
};
const COUNTED = new Set(["python", "weights"]); // the stages that the bytes belong to
const STEADY_SECONDS = 2; // a rate says nothing before that
const STEADY_SHARE = 0.05; // of the bytes; before that nobody knows what is left

export class LoadingPanel {
  #panel = document.querySelector("#loading");
  #bar = document.querySelector("#loading-bar");
  #text = document.querySelector("#loading-text");
  #cancel = document.querySelector("#cancel");
  #words = [...document.querySelectorAll("#stages li")];
  #stage = "";
  #began = 0; // when the stage did

  constructor(onCancel) {
    this.#cancel.addEventListener("click", onCancel);
  }

  show(stage, { cancellable = true } = {}) {
    this.#panel.hidden = false;
    this.#cancel.hidden = !cancellable;
    this.update({ stage });
  }

  hide() {
    hide(this.#panel);
    this.#stage = "";
  }

  /** What the engine tells of its progress. */
  update({ stage, loaded, total, bytesPerSecond: rate, text, problem }) {
    if (stage !== this.#stage) this.#enter(stage);
    if (problem) {
      this.#text.textContent = text; // the bar stays where it is
      return;
    }
    const parts = [STAGES[stage][1]];
    const counted = COUNTED.has(stage) && total > loaded;
    if (counted) parts.push(`${format.bytes(loaded)} of ${format.bytes(total)}`);
    if (counted && rate && performance.now() - this.#began > STEADY_SECONDS * 1e3) {
      parts.push(`${format.bytes(rate)}/s`);
      if (loaded > STEADY_SHARE * total) parts.push(format.left((total - loaded) / rate));
    }
    this.#text.textContent = parts.join(" · ");
    if (counted) this.#bar.value = loaded / total;
    else this.#bar.removeAttribute("value"); // how long it takes is not known
  }

  #enter(stage) {
    const [word, title] = STAGES[stage];
    if (word !== STAGES[this.#stage]?.[0]) announce(title);
    this.#stage = stage;
    this.#began = performance.now();
    const at = this.#words.findIndex((item) => item.dataset.stage === word);
    this.#words.forEach((item, index) => {
      item.className = index < at ? "done" : index === at ? "active" : "";
    });
  }
}
