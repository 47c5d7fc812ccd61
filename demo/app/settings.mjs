// System prompt, temperature and longest answer; remembered by the browser.

import * as format from "./format.mjs";

const KEY = "webllm_py.settings";
const DEFAULTS = { system: "", temperature: 0.2, maxTokens: 512 };

export class Settings {
  #dialog = document.querySelector("#settings-dialog");
  #fields = {
    system: document.querySelector("#system"),
    temperature: document.querySelector("#temperature"),
    maxTokens: document.querySelector("#max-tokens"),
  };

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
    };
  }

  /** The loaded model's context, in tokens. */
  set context(tokens) {
    this.#context = tokens;
    this.#show();
  }

  get #longest() {
    const { valueAsNumber } = this.#fields.maxTokens;
    return Number.isNaN(valueAsNumber) ? DEFAULTS.maxTokens : Math.max(1, Math.round(valueAsNumber));
  }

  #fill(values) {
    for (const [name, field] of Object.entries(this.#fields)) field.value = values[name];
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
    remember({ system: this.#fields.system.value, temperature, maxTokens: this.#longest });
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
