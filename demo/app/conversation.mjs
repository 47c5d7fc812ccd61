// The conversation: what was said, and how it is shown.

import { render } from "./markdown.mjs";
import * as format from "./format.mjs";

const FINISH_NOTES = { length: "cut at the longest answer", abort: "stopped" };

/** Turns of {role, content}, each with its element. */
export class Conversation {
  #list = document.querySelector("#messages");
  #scroller = document.querySelector("#scroller");
  #turns = [];
  #frame = 0;
  #follow = true;

  /** `onEdit(text)`: the last question goes back to the composer; `onRegenerate()`. */
  constructor({ onEdit, onRegenerate }) {
    this.#list.addEventListener("click", ({ target }) => {
      const button = target.closest("button");
      if (!button) return;
      if (button.className === "copy-code") {
        copy(button, button.closest("figure").querySelector("pre").textContent);
      } else if (button.dataset.action === "copy") {
        copy(button, this.#turns.find(({ element }) => element.contains(button)).content);
      } else if (button.dataset.action === "regenerate") {
        onRegenerate();
      } else if (button.dataset.action === "edit") {
        onEdit(this.takeBack());
      }
    });
    this.#scroller.addEventListener("scroll", () => {
      const { scrollTop, scrollHeight, clientHeight } = this.#scroller;
      this.#follow = scrollHeight - scrollTop - clientHeight < 48;
    });
    new ResizeObserver(() => this.#scroll()).observe(this.#scroller);
  }

  get isEmpty() {
    return this.#turns.length === 0;
  }

  /** As the engine takes it. */
  messages(system) {
    const said = this.#turns.filter(({ content }) => content);
    const turns = said.map(({ role, content }) => ({ role, content }));
    return system ? [{ role: "system", content: system }, ...turns] : turns;
  }

  clear() {
    this.#turns = [];
    this.#list.replaceChildren();
  }

  ask(text) {
    this.#add("user", text);
    this.#follow = true;
  }

  /** An empty answer, for `extend`, `endAnswer` and `failAnswer`. It may be cleared meanwhile. */
  beginAnswer() {
    const turn = this.#add("assistant", "");
    turn.element.dataset.busy = "";
    this.#scroll();
    return turn;
  }

  extend(turn, text) {
    turn.content += text;
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.#draw(turn);
    });
  }

  /** The answer is complete; `done` is the worker's message. */
  endAnswer(turn, { usage, timings, finish }) {
    const words = [];
    if (usage.completion_tokens) words.push(format.tokens(usage.completion_tokens));
    if (timings.tokens_per_second) words.push(format.speed(timings.tokens_per_second));
    if (finish in FINISH_NOTES) words.push(FINISH_NOTES[finish]);
    this.#finish(turn, words.join(" · "));
  }

  /** The answer failed; what was said of it stays, and it can be tried again. */
  failAnswer(turn, title) {
    this.#finish(turn, title);
  }

  /** Remove the last answer, so that its question can be answered anew. */
  dropAnswer() {
    if (this.#turns.at(-1)?.role === "assistant") this.#turns.pop().element.remove();
  }

  /** Remove the last question and its answer; the question's text. */
  takeBack() {
    this.dropAnswer();
    const turn = this.#turns.pop();
    turn?.element.remove();
    return turn?.content ?? "";
  }

  #add(role, content) {
    const element = document.createElement("li");
    element.className = role;
    const body = document.createElement("div");
    body.className = "body";
    if (role === "user") body.textContent = content;
    const speaker = document.createElement("h2");
    speaker.className = "unseen";
    speaker.textContent = role === "user" ? "You" : "Model";
    const foot = document.createElement("div");
    foot.className = "foot";
    foot.append(...(role === "user" ? [action("edit", "Edit")] : []));
    element.append(speaker, body, foot);
    this.#list.append(element);
    const turn = { role, content, element, body, foot };
    this.#turns.push(turn);
    return turn;
  }

  #draw({ body, content }) {
    render(body, content);
    this.#scroll();
  }

  #finish(turn, words) {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    const { element, foot } = turn;
    delete element.dataset.busy;
    const note = document.createElement("span");
    note.textContent = words;
    foot.replaceChildren(action("copy", "Copy"), action("regenerate", "Again"), note);
    this.#draw(turn);
  }

  #scroll() {
    if (this.#follow) this.#scroller.scrollTop = this.#scroller.scrollHeight;
  }
}

function action(name, label) {
  const button = document.createElement("button");
  button.type = "button";
  button.dataset.action = name;
  button.textContent = label;
  return button;
}

async function copy(button, text) {
  const label = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Not allowed";
  }
  setTimeout(() => (button.textContent = label), 1500);
}
