// The tabs: the chat, and the documents.

const $ = (selector) => document.querySelector(selector);

export class Views {
  #list = $("#views");
  #tabs = [...this.#list.querySelectorAll("[role=tab]")];
  #onShow;
  #onHindered;
  #hindrance = "";

  /**
   * `onShow(name)` is called with the name of the panel that is shown: "chat" or "documents";
   * `onHindered(words)` when another one is asked for that cannot be shown yet.
   */
  constructor({ onShow, onHindered }) {
    this.#onShow = onShow;
    this.#onHindered = onHindered;
    this.#list.addEventListener("click", ({ target }) => {
      const tab = target.closest("[role=tab]");
      if (tab) this.#ask(tab);
    });
    this.#list.addEventListener("keydown", (event) => {
      if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
      event.preventDefault();
      const next = this.#tabs.find((tab) => tab !== event.target);
      if (this.#ask(next)) next.focus();
    });
  }

  get shown() {
    return this.#tabs.find((tab) => tab.ariaSelected === "true").getAttribute("aria-controls");
  }

  /** Show the panel of that name. */
  show(name) {
    this.#show(this.#tabs.find((tab) => tab.getAttribute("aria-controls") === name));
  }

  /** Why no other one can be shown now, or an empty text. */
  get hindrance() {
    return this.#hindrance;
  }

  set hindrance(words) {
    this.#hindrance = words;
    for (const tab of this.#tabs) {
      const isHindered = words && tab.ariaSelected !== "true";
      tab.ariaDisabled = isHindered ? "true" : null; // not disabled: it could not be asked why
      tab.title = isHindered ? words : "";
    }
  }

  /** Show a tab's panel if it can be; whether it is. */
  #ask(tab) {
    const isHindered = tab.ariaDisabled === "true";
    if (isHindered) this.#onHindered(this.#hindrance);
    else this.#show(tab);
    return !isHindered;
  }

  #show(shown) {
    for (const tab of this.#tabs) {
      tab.ariaSelected = tab === shown;
      tab.tabIndex = tab === shown ? 0 : -1;
      $(`#${tab.getAttribute("aria-controls")}`).hidden = tab !== shown;
    }
    this.#onShow(this.shown);
  }
}
