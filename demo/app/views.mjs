// The tabs: the chat, and the documents.

const $ = (selector) => document.querySelector(selector);

export class Views {
  #list = $("#views");
  #tabs = [...this.#list.querySelectorAll("[role=tab]")];
  #onShow;

  /** `onShow(name)` is called with the name of the panel that is shown: "chat" or "documents". */
  constructor(onShow) {
    this.#onShow = onShow;
    this.#list.addEventListener("click", ({ target }) => {
      const tab = target.closest("[role=tab]");
      if (tab) this.#show(tab);
    });
    this.#list.addEventListener("keydown", (event) => {
      if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
      event.preventDefault();
      const next = this.#tabs.find((tab) => tab !== event.target);
      if (next.disabled) return;
      this.#show(next);
      next.focus();
    });
  }

  get shown() {
    return this.#tabs.find((tab) => tab.ariaSelected === "true").getAttribute("aria-controls");
  }

  /** Show the panel of that name. */
  show(name) {
    this.#show(this.#tabs.find((tab) => tab.getAttribute("aria-controls") === name));
  }

  /** Whether another one can be shown. */
  get enabled() {
    return this.#tabs.every((tab) => !tab.disabled);
  }

  set enabled(enabled) {
    for (const tab of this.#tabs) tab.disabled = !enabled && tab.ariaSelected !== "true";
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
