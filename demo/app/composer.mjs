// Where a message is written, sent and stopped.

const $ = (selector) => document.querySelector(selector);

export class Composer {
  #prompt = $("#prompt");
  #send = $("#send");
  #stop = $("#stop");

  constructor({ onSend, onStop }) {
    this.#prompt.addEventListener("input", () => this.#fit());
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
  }

  get text() {
    return this.#prompt.value.trim();
  }

  set text(text) {
    this.#prompt.value = text;
    this.#fit();
  }

  /** Whether Stop is there in place of Send, and whether Send does anything. */
  show({ canStop, canSend }) {
    const onButton = [this.#send, this.#stop].includes(document.activeElement);
    this.#stop.hidden = !canStop;
    this.#send.hidden = canStop;
    this.#send.disabled = !canSend;
    if (onButton) (canStop ? this.#stop : this.#prompt).focus();
  }

  focus() {
    this.#prompt.focus();
  }

  #fit() {
    this.#prompt.style.height = "auto";
    this.#prompt.style.height = `${this.#prompt.scrollHeight}px`;
  }
}
