// One question and its answer: what was said, and the two list items that show it.

import { pictures } from "./attachments.mjs";
import * as format from "./format.mjs";
import { render } from "./markdown.mjs";
import { Sources } from "./sources.mjs";

export class Exchange {
  answer = "";
  thought = ""; // the reasoning before it, which is shown but not part of the conversation
  isWaiting = false;
  #asked = item("user", "You");
  #answered = item("assistant", "Model");
  #frame = 0;
  #isBehind = false; // not all of the answer is shown
  #thinking = null; // the element with the reasoning
  #isAnswering = false; // the reasoning is over
  #sources = null; // what it is answered from, where that is documents
  #passages; // those of the sources
  #ended = "stopped"; // how the answer ended; until it does, how a reload will have ended it

  /**
   * `message`: {text, images}, see attachments.mjs.
   * `replaced`: the exchange that this one stands in for, because its question was edited or is
   * answered again. It can come back while nothing has come of this one.
   */
  constructor(message, replaced = null) {
    this.message = message;
    this.replaced = replaced;
    this.#asked.body.append(...shown(message));
    this.#asked.body.dir = "auto";
    this.#asked.foot.append(action("edit", "Edit"));
  }

  /** What was written. */
  get question() {
    return this.message.text;
  }

  /** The question as the engine takes it: images come before what is asked of them. */
  get content() {
    const { text, images } = this.message;
    if (images.length === 0) return text;
    const parts = images.map(({ url }) => ({ type: "image_url", image_url: { url } }));
    return text ? [...parts, { type: "text", text }] : parts;
  }

  /** Whether it asks what the one that it replaces asked. */
  get isRepeat() {
    if (!this.replaced) return false;
    const [mine, theirs] = [this.message, this.replaced.message];
    return mine.text === theirs.text && mine.images.length === theirs.images.length &&
      mine.images.every((image, index) => image === theirs.images[index]);
  }

  /** An element with what is to be known of the answer: its text, else why there is none. */
  get told() {
    const element = document.createElement("div");
    if (this.answer) render(element, this.answer);
    else element.textContent = this.#answered.foot.lastElementChild.textContent;
    return element;
  }

  /** Plain values that `restore` takes. */
  get kept() {
    const { message, answer, thought, isWaiting } = this;
    return { message, answer, thought, isWaiting, passages: this.#passages, ended: this.#ended };
  }

  /** Be what another one was; a question that waited waits again. */
  restore({ answer, thought, isWaiting, passages, ended }) {
    if (isWaiting) {
      this.wait();
      return;
    }
    Object.assign(this, { answer, thought });
    if (passages) this.showSources(passages);
    this.#finish(ended);
  }

  set isEdited(edited) {
    for (const element of this.elements) element.toggleAttribute("data-edited", edited);
  }

  get elements() {
    return [this.#asked.element, this.#answered.element];
  }

  /** There is no model yet that could answer. */
  wait() {
    this.isWaiting = true;
    this.#note("waits for the model", action("take-back", "Take back"));
  }

  begin() {
    this.isWaiting = false;
    this.#answered.element.dataset.busy = "";
    this.#note("");
  }

  think(text) {
    this.thought += text;
    this.#frame ||= requestAnimationFrame(() => this.#draw());
  }

  /** The passages that the model is shown, below its answer. */
  showSources(passages) {
    this.#passages = passages.map(({ title, text }) => ({ title, text }));
    this.#sources = new Sources(passages);
    this.#answered.body.after(this.#sources.element);
  }

  extend(text) {
    this.answer += text;
    this.#frame ||= requestAnimationFrame(() => this.#draw());
  }

  /** Nothing may be selected any more in the part that is drawn anew as it grows. */
  catchUp() {
    if (this.#isBehind) this.#draw();
  }

  /** The answer is over; `message` says how. */
  end(message) {
    const { usage, timings } = message;
    const words = [];
    if (usage?.completion_tokens) words.push(format.tokens(usage.completion_tokens));
    if (timings?.tokens_per_second) words.push(format.speed(timings.tokens_per_second));
    if (!this.answer && message.type === "done") words.push("the model said nothing");
    this.#finish([...words, finishNote(message)].filter(Boolean).join(" · "));
  }

  /** The answer failed, or will never be; what was said of it stays, and it can be tried again. */
  fail(title) {
    this.#finish(title);
  }

  remove() {
    for (const element of this.elements) element.remove();
  }

  #finish(words) {
    this.#ended = words;
    this.isWaiting = false;
    if (this.answer) this.replaced = null;
    delete this.#answered.element.dataset.busy;
    this.#note(words, action("copy", "Copy"), action("regenerate", "Again"));
    this.#draw();
    this.#sources?.link(this.#answered.body);
  }

  #note(words, ...actions) {
    const note = document.createElement("span");
    note.textContent = words;
    this.#answered.foot.replaceChildren(...actions, note);
  }

  #draw() {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    this.#isBehind = isSelected(this.#answered.body.lastElementChild);
    if (!this.#isBehind) render(this.#answered.body, this.answer);
    if (this.thought) this.#drawThought();
  }

  /** Open while there is no answer yet, unless the reader wants it otherwise. */
  #drawThought() {
    if (!this.#thinking) {
      this.#thinking = document.createElement("details");
      this.#thinking.className = "thought";
      this.#thinking.open = true;
      const [summary, text] = ["summary", "div"].map((tag) => document.createElement(tag));
      text.dir = "auto";
      this.#thinking.append(summary, text);
      this.#answered.body.before(this.#thinking);
    }
    const [summary, text] = this.#thinking.children;
    summary.textContent = this.answer || !("busy" in this.#answered.element.dataset) ? "Thoughts" : "Thinking";
    if (text.textContent !== this.thought) text.textContent = this.thought;
    if (this.answer && !this.#isAnswering) this.#thinking.open = false;
    this.#isAnswering = Boolean(this.answer);
  }
}

function shown({ text, images }) {
  if (images.length === 0) return [text];
  const words = document.createElement("span");
  words.textContent = text;
  return text ? [pictures(images), words] : [pictures(images)];
}

function isSelected(element) {
  const selection = getSelection();
  return Boolean(element) && !selection.isCollapsed && selection.containsNode(element, true);
}

function finishNote({ type, finish, usage, info }) {
  if (type === "cancelled" || finish === "abort") return "stopped";
  if (finish !== "length") return "";
  const full = usage.prompt_tokens + usage.completion_tokens >= info.context_length;
  return full ? "the context is full" : "cut at the longest answer";
}

function item(role, name) {
  const [element, speaker, body, foot] = ["li", "h2", "div", "div"].map((tag) =>
    document.createElement(tag));
  element.className = role;
  speaker.className = "unseen";
  speaker.textContent = name;
  body.className = "body";
  foot.className = "foot";
  element.append(speaker, body, foot);
  return { element, body, foot };
}

function action(name, label) {
  const button = document.createElement("button");
  button.type = "button";
  button.dataset.action = name;
  button.textContent = label;
  return button;
}
