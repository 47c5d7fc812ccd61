// The conversation: exchanges in their order.

import { End } from "./end.mjs";
import { Exchange } from "./exchange.mjs";

export class Conversation {
  #list;
  #scroller = document.querySelector("#scroller");
  #exchanges = [];
  #edited = null;
  #end;

  /**
   * `list`: the element of its exchanges. `on`: what to do with one, by the action's name: edit,
   * regenerate, take-back.
   */
  constructor(list, on) {
    this.#list = list;
    this.#end = new End(list);
    this.#list.addEventListener("click", ({ target }) => {
      const button = target.closest("button");
      if (!button) return;
      const exchange = this.#exchanges.find(({ elements }) =>
        elements.includes(button.closest(".messages > li")));
      if (button.className === "copy-code") {
        copy(button, button.closest("figure").querySelector("pre").textContent);
      } else if (button.dataset.action === "copy") {
        copy(button, exchange.answer);
      } else {
        on[button.dataset.action]?.(exchange);
      }
    });
    document.addEventListener("selectionchange", () => {
      for (const exchange of this.#exchanges) exchange.catchUp();
    });
  }

  get isEmpty() {
    return this.#exchanges.length === 0;
  }

  /** Plain values that `restore` takes. */
  get kept() {
    return this.#exchanges.map((exchange) => exchange.kept);
  }

  /** Be what another one was, of which this is what it kept. */
  restore(kept = []) {
    for (const exchange of kept) this.add(exchange.message).restore(exchange);
  }

  /** The exchange whose question waits for a model, if there is one. */
  get waiting() {
    return this.#exchanges.find(({ isWaiting }) => isWaiting);
  }

  /** The exchange whose question is being edited, or null; it stays until the new one is sent. */
  get edited() {
    return this.#edited;
  }

  set edited(exchange) {
    if (this.#edited) this.#edited.isEdited = false;
    this.#edited = exchange;
    if (exchange) exchange.isEdited = true;
  }

  /**
   * As the engine takes it, up to the question of `asked`. A question without an answer is left
   * out: many templates refuse two questions in a row, and what was refused would be so again.
   */
  messages(system, asked) {
    const messages = system ? [{ role: "system", content: system }] : [];
    for (const { content, answer } of this.#exchanges.filter((one) => one !== asked && one.answer)) {
      messages.push({ role: "user", content }, { role: "assistant", content: answer });
    }
    return [...messages, { role: "user", content: asked.content }];
  }

  /** A new exchange at the end, in the place of another one if `replaced` is given. */
  add(message, replaced = null) {
    if (replaced) this.remove(replaced);
    const exchange = new Exchange(message, replaced);
    this.#exchanges.push(exchange);
    this.#list.append(...exchange.elements);
    this.#end.follow();
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

  /** Whether it is in view. */
  set isShown(shown) {
    this.#list.hidden = !shown;
    this.#end.shown();
  }

  clear() {
    this.edited = null;
    this.#exchanges = [];
    this.#list.replaceChildren();
    this.#scroller.scrollTop = 0;
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
