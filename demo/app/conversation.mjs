// The conversation: exchanges in their order, and the part of it that is in view.

import { Exchange } from "./exchange.mjs";

const NEAR_END = 48; // pixels

export class Conversation {
  #list = document.querySelector("#messages");
  #scroller = document.querySelector("#scroller");
  #exchanges = [];
  #top = 0; // where the view was scrolled to at last
  #follow = true; // the view stays at the end while that grows

  /** `on`: what to do with an exchange, by the action's name: edit, regenerate, take-back. */
  constructor(on) {
    this.#list.addEventListener("click", ({ target }) => {
      const button = target.closest("button");
      if (!button) return;
      const exchange = this.#exchanges.find(({ elements }) =>
        elements.includes(button.closest("#messages > li")));
      if (button.className === "copy-code") {
        copy(button, button.closest("figure").querySelector("pre").textContent);
      } else if (button.dataset.action === "copy") {
        copy(button, exchange.answer);
      } else {
        on[button.dataset.action](exchange);
      }
    });
    this.#scroller.addEventListener("scroll", () => this.#scrolled());
    const observer = new ResizeObserver(() => this.#scroll());
    for (const element of [this.#scroller, this.#list]) observer.observe(element);
  }

  get isEmpty() {
    return this.#exchanges.length === 0;
  }

  /** The exchange whose question waits for a model, if there is one. */
  get waiting() {
    return this.#exchanges.find(({ isWaiting }) => isWaiting);
  }

  /**
   * As the engine takes it, up to the question of `asked`. A question without an answer is left
   * out: many templates refuse two questions in a row, and what was refused would be so again.
   */
  messages(system, asked) {
    const messages = system ? [{ role: "system", content: system }] : [];
    for (const { question, answer } of this.#exchanges.filter((one) => one !== asked && one.answer)) {
      messages.push({ role: "user", content: question }, { role: "assistant", content: answer });
    }
    return [...messages, { role: "user", content: asked.question }];
  }

  /** A new exchange at the end, in the place of another one if `replaced` is given. */
  add(question, replaced = null) {
    if (replaced) this.remove(replaced);
    const exchange = new Exchange(question, replaced);
    this.#exchanges.push(exchange);
    this.#list.append(...exchange.elements);
    this.#follow = true;
    return exchange;
  }

  remove(exchange) {
    this.#exchanges = this.#exchanges.filter((other) => other !== exchange);
    exchange.remove();
  }

  /** Put what an exchange replaced back before it. */
  putBack(exchange) {
    const { replaced } = exchange;
    if (!replaced) return;
    exchange.replaced = null;
    this.#exchanges.splice(this.#exchanges.indexOf(exchange), 0, replaced);
    exchange.elements[0].before(...replaced.elements);
  }

  clear() {
    this.#exchanges = [];
    this.#list.replaceChildren();
    this.#scroller.scrollTop = 0;
  }

  // Only a person scrolls up. Where the end is moves by itself: answers grow, notices come and go.
  #scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.#scroller;
    if (scrollHeight - scrollTop - clientHeight < NEAR_END) this.#follow = true;
    else if (scrollTop < this.#top) this.#follow = false;
    this.#top = scrollTop;
  }

  #scroll() {
    if (this.#follow && !this.isEmpty) this.#scroller.scrollTop = this.#scroller.scrollHeight;
  }
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
