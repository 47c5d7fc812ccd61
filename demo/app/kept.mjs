// The models that this browser keeps: loaded again without a network, or removed.

import { announce } from "./announcer.mjs";
import * as format from "./format.mjs";
import { fromAddress, modelButton } from "./models.mjs";

const $ = (selector) => document.querySelector(selector);

export class KeptModels {
  #engine;
  #onPick;

  /** `onPick({source, name})`: one of them is to be loaded. */
  constructor(engine, onPick) {
    this.#engine = engine;
    this.#onPick = onPick;
    $("#kept-list").addEventListener("click", ({ target }) => {
      const { action, source } = target.closest("button")?.dataset ?? {};
      if (action === "load") this.#onPick(fromAddress(source));
      else if (action === "remove") this.#remove(source);
    });
  }

  /** See what there is, once Python is up. */
  async show() {
    try {
      const store = await this.#engine.store;
      const [models, { free }] = await Promise.all([store.list(), store.room()]);
      $("#kept-list").replaceChildren(...models.map(row));
      $("#kept").hidden = models.length === 0;
      $("#kept-room").textContent = free === null ? "" : `There is room for ${format.bytes(free)} more.`;
    } catch (error) {
      console.info("What is kept cannot be listed:", error);
    }
  }

  async #remove(source) {
    const { name } = fromAddress(source);
    try {
      await (await this.#engine.store).delete(source);
      await this.show();
      announce(`${name} was removed.`);
      ($("#kept-list button") ?? $("#address")).focus();
    } catch {
      $("#kept-room").textContent = `${name} is in use: load another model first, in other tabs as well.`;
      announce($("#kept-room").textContent);
    }
  }
}

function row({ source, nbytes, complete }) {
  const [item, remove] = ["li", "button"].map((tag) => document.createElement(tag));
  const { name } = fromAddress(source);
  const load = modelButton(name, complete ? format.bytes(nbytes) : `${format.bytes(nbytes)} so far`);
  load.title = source;
  remove.type = "button";
  remove.className = "quiet";
  remove.textContent = "Remove";
  remove.setAttribute("aria-label", `Remove ${name}`);
  for (const [button, action] of [[load, "load"], [remove, "remove"]]) {
    Object.assign(button.dataset, { action, source });
  }
  load.setAttribute("aria-label", complete ? `Load ${name}` : `Go on loading ${name}`);
  item.append(load, remove);
  return item;
}
