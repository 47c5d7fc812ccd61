// Where a message is written, sent and stopped, and where one that was sent is edited.

import { goOn } from "./focus.mjs";

const $ = (selector) => document.querySelector(selector);

export class Composer {
  #prompt = $("#prompt");
  #send = $("#send");
  #stop = $("#stop");
  #draft = ""; // what was written before a question was edited

  constructor({ onSend, onStop, onCancelEdit }) {
    this.#prompt.addEventListener("input", () => this.#fit());
    addEventListener("resize", () => this.#fit());
    this.#prompt.addEventListener("keydown", (event) => {
      // While an input method composes, Enter picks a word; Safari tells it by the key code alone.
      const composing = event.isComposing || event.keyCode === 229;
      if (event.key !== "Enter" || event.shiftKey || composing) return;
      event.preventDefault();
      onSend();
    });
    $("#composer").addEventListener("submit", (event) => {
      event.preventDefault();
      onSend();
    });
    this.#stop.addEventListener("click", onStop);
    $("#cancel-edit").addEventListener("click", onCancelEdit);
  }

  get text() {
    return this.#prompt.value.trim();
  }

  set text(text) {
    this.#prompt.value = text;
    this.#fit();
  }

  /** Write on a question that was sent before; a draft is kept. */
  edit(text) {
    if ($("#editing").hidden) this.#draft = this.text;
    $("#editing").hidden = false;
    this.text = text;
    this.focus();
  }

  /** What is written was sent or given up; a draft from before an edit comes back. */
  clear() {
    $("#editing").hidden = true;
    this.text = this.#draft;
    this.#draft = "";
  }

  /** The question that is edited is gone; what is written stays, unless a draft comes back. */
  endEdit() {
    const { text } = this;
    this.clear();
    this.text ||= text;
  }

  /** Whether Stop is there in place of Send, and whether Send does anything. */
  show({ canStop, canSend }) {
    const onButton = [this.#send, this.#stop].includes(document.activeElement);
    this.#stop.hidden = !canStop;
    this.#send.hidden = canStop;
    this.#send.disabled = !canSend;
    if (onButton) goOn();
  }

  set placeholder(words) {
    this.#prompt.placeholder = words;
  }

  focus() {
    this.#prompt.focus();
  }

  #fit() {
    this.#prompt.style.height = "auto";
    this.#prompt.style.height = `${this.#prompt.scrollHeight}px`;
  }
}
