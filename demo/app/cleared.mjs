// The chat that "New chat" cleared: it can come back until something else is asked.

import { goOn, hide } from "./focus.mjs";

const $ = (selector) => document.querySelector(selector);

export class Cleared {
  #line = $("#cleared");
  #conversation = null;
  #exchanges;

  /** `onBack()` is called when it is there again. */
  constructor(onBack) {
    $("#bring-back").addEventListener("click", () => {
      this.#conversation.restore(this.#exchanges);
      onBack();
      goOn();
    });
  }

  /** Keep what a conversation holds, which is about to be cleared. */
  keep(conversation) {
    if (conversation.isEmpty || conversation.waiting) return;
    this.#conversation = conversation;
    this.#exchanges = conversation.kept;
  }

  /** `conversation`: the one in view. */
  show(conversation) {
    if (!this.#conversation?.isEmpty) this.#conversation = this.#exchanges = null;
    if (this.#conversation && conversation === this.#conversation) this.#line.hidden = false;
    else hide(this.#line);
  }
}
