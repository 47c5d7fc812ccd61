// What went wrong and what can be done about it, above the composer.

import { hide } from "./focus.mjs";

const $ = (selector) => document.querySelector(selector);

export class Notice {
  #panel = $("#notice");

  /** The page comes with the notice that it has not started. */
  constructor() {
    this.hide();
  }

  /** `actions`: [label, what to do], the most helpful first; `message` goes under "Details". */
  show({ title, advice, actions, message }) {
    $("#notice-title").textContent = title;
    $("#notice-text").replaceChildren(...advice.map((sentence) => {
      const paragraph = document.createElement("p");
      paragraph.textContent = sentence;
      return paragraph;
    }));
    $("#notice-details").hidden = !message;
    $("#notice-message").textContent = message;
    $("#notice-actions").replaceChildren(...actions.map(([label, act]) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = label;
      button.addEventListener("click", act);
      return button;
    }));
    this.#panel.hidden = false;
  }

  hide() {
    hide(this.#panel);
  }
}
