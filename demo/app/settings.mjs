// System prompt, how words are drawn, and longest answer; remembered by the browser.

import { onTouch } from "./focus.mjs";
import * as format from "./format.mjs";

const KEY = "webllm_py.settings";
// Fields that say how words are drawn, by their names in requests. Empty: as the model has it.
const SAMPLING = {
  top_p: "#top-p",
  top_k: "#top-k",
  min_p: "#min-p",
  repetition_penalty: "#repetition-penalty",
  seed: "#seed",
};
const nothing = Object.fromEntries(Object.keys(SAMPLING).map((name) => [name, ""]));
const DEFAULTS = { system: "", temperature: 0.2, maxTokens: 512, ...nothing };

export class Settings {
  #dialog = document.querySelector("#settings-dialog");
  #fields = {
    system: document.querySelector("#system"),
    temperature: document.querySelector("#temperature"),
    maxTokens: document.querySelector("#max-tokens"),
  };
  #sampling = Object.entries(SAMPLING).map(([name, place]) => [name, document.querySelector(place)]);

  #context = Infinity; // tokens; no answer is longer

  constructor() {
    document.querySelector("#settings-button").addEventListener("click", () => this.open());
    document.querySelector("#reset-settings").addEventListener("click", () => {
      this.#fill(DEFAULTS);
      this.#remember();
    });
    this.#dialog.addEventListener("input", () => {
      this.#show();
      this.#remember();
    });
    this.#fields.maxTokens.addEventListener("change", () => {
      this.#fields.maxTokens.value = this.options.max_tokens;
    });
    this.#fill({ ...DEFAULTS, ...recall() });
  }

  open() {
    this.#fields.system.autofocus = !onTouch.matches; // it would bring up a keyboard
    this.#dialog.showModal();
  }

  get system() {
    return this.#fields.system.value.trim();
  }

  /** The request's own fields, as OpenAI names them. */
  get options() {
    return {
      temperature: this.#fields.temperature.valueAsNumber,
      max_tokens: Math.min(this.#longest, this.#context),
      ...this.#drawing,
    };
  }

  /** The loaded model's context, in tokens. */
  set context(tokens) {
    this.#context = tokens;
    this.#show();
  }

  /** What is filled in, and can be. */
  get #drawing() {
    const filled = this.#sampling.filter(([, field]) => field.value !== "" && field.checkValidity());
    return Object.fromEntries(filled.map(([name, field]) => [name, field.valueAsNumber]));
  }

  get #longest() {
    const { valueAsNumber } = this.#fields.maxTokens;
    return Number.isNaN(valueAsNumber) ? DEFAULTS.maxTokens : Math.max(1, Math.round(valueAsNumber));
  }

  #fill(values) {
    for (const [name, field] of [...Object.entries(this.#fields), ...this.#sampling]) field.value = values[name];
    document.querySelector("#sampling").open = this.#sampling.some(([, field]) => field.value !== "");
    this.#show();
  }

  /** What is used, whatever the fields hold. */
  #show() {
    const { temperature, max_tokens: longest } = this.options;
    document.querySelector("#temperature-value").value = temperature.toFixed(2);
    document.querySelector("#max-tokens-value").value = format.tokens(longest);
  }

  #remember() {
    const { temperature } = this.options;
    const system = this.#fields.system.value;
    remember({ system, temperature, maxTokens: this.#longest, ...this.#drawing });
  }
}

// A browser that keeps nothing for this page throws; the settings then last as long as the page.
function recall() {
  try {
    return JSON.parse(localStorage.getItem(KEY)) ?? {};
  } catch {
    return {};
  }
}

function remember(values) {
  try {
    localStorage.setItem(KEY, JSON.stringify(values));
  } catch {
    // as above
  }
}
