// System prompt, temperature and longest answer; remembered by the browser.

const KEY = "webllm_py.settings";
const DEFAULTS = { system: "", temperature: 0.2, maxTokens: 512 };

export class Settings {
  #dialog = document.querySelector("#settings-dialog");
  #fields = {
    system: document.querySelector("#system"),
    temperature: document.querySelector("#temperature"),
    maxTokens: document.querySelector("#max-tokens"),
  };

  constructor() {
    document.querySelector("#settings-button").addEventListener("click", () => this.open());
    document.querySelector("#reset-settings").addEventListener("click", () => this.#show(DEFAULTS));
    this.#dialog.addEventListener("input", () => this.#changed());
    this.#show({ ...DEFAULTS, ...recall() });
  }

  open() {
    this.#dialog.showModal();
  }

  get system() {
    return this.#fields.system.value.trim();
  }

  /** The request's own fields, as OpenAI names them. */
  get options() {
    const longest = Math.round(this.#fields.maxTokens.valueAsNumber);
    return {
      temperature: this.#fields.temperature.valueAsNumber,
      max_tokens: longest >= 1 ? longest : DEFAULTS.maxTokens,
    };
  }

  #show(values) {
    for (const [name, field] of Object.entries(this.#fields)) field.value = values[name];
    this.#changed();
  }

  #changed() {
    const { temperature, max_tokens: maxTokens } = this.options;
    document.querySelector("#temperature-value").value = temperature.toFixed(2);
    remember({ system: this.#fields.system.value, temperature, maxTokens });
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
