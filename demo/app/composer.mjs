// Where a message is written, sent and stopped, and where one that was sent is edited.
//
// A message is {text, images}; see attachments.mjs.

import { Attachments } from "./attachments.mjs";
import { goOn } from "./focus.mjs";

const $ = (selector) => document.querySelector(selector);

const NOTHING = { text: "", images: [] };

export class Composer {
  #prompt = $("#prompt");
  #send = $("#send");
  #stop = $("#stop");
  #draft = NOTHING; // what was written before a question was edited
  #attachments;
  #takesImages = true; // else they stay for when it does

  constructor({ onSend, onStop, onCancelEdit, onNoImage }) {
    this.#attachments = new Attachments(onNoImage);
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

  get message() {
    const images = this.#takesImages ? this.#attachments.images : [];
    return { text: this.#prompt.value.trim(), images };
  }

  set message({ text, images }) {
    this.#prompt.value = text;
    if (this.#takesImages) this.#attachments.images = images;
    this.#fit();
  }

  get isEmpty() {
    const { text, images } = this.message;
    return !text && images.length === 0;
  }

  /** Files of images, for the message. */
  attach(files) {
    this.#attachments.add(files);
  }

  /** Write on a question that was sent before; a draft is kept. */
  edit(message) {
    if ($("#editing").hidden) this.#draft = this.message;
    $("#editing").hidden = false;
    this.message = message;
    this.focus();
  }

  /** What is written was sent or given up; a draft from before an edit comes back. */
  clear() {
    $("#editing").hidden = true;
    this.message = this.#draft;
    this.#draft = NOTHING;
  }

  /** The question that is edited is gone; what is written stays, unless a draft comes back. */
  endEdit() {
    const { message } = this;
    this.clear();
    if (this.isEmpty) this.message = message;
  }

  /** Whether Stop is there in place of Send, whether Send does anything, and who asks for images. */
  show({ canStop, canSend, sees }) {
    $("#attach").hidden = !sees || !this.#takesImages;
    const onButton = [this.#send, this.#stop].includes(document.activeElement);
    this.#stop.hidden = !canStop;
    this.#send.hidden = canStop;
    this.#send.disabled = !canSend;
    if (onButton) goOn();
  }

  /** What is to be written, and whether images may be with it. */
  ask(words, { takesImages }) {
    this.#prompt.placeholder = words;
    this.#takesImages = takesImages;
    $("#composer").classList.toggle("text-alone", !takesImages);
  }

  focus() {
    this.#prompt.focus();
  }

  #fit() {
    this.#prompt.style.height = "auto";
    this.#prompt.style.height = `${this.#prompt.scrollHeight}px`;
  }
}
