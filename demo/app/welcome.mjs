// What a chat begins with: a few words, and things to ask.

import { hide } from "./focus.mjs";

const EXAMPLES = [
  "What can you do?",
  "What is 27 + 48?",
  "What is the capital of Japan?",
  "Write the word garden backwards.",
  "Tell me a short story about a fox.",
  "Priya is 31. Give that as JSON.",
];

export class Welcome {
  #panel = document.querySelector("#welcome");
  #buttons;

  /** `onAsk(text)`: one of them is to be asked. */
  constructor(onAsk) {
    this.#buttons = EXAMPLES.map((text) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = text;
      button.addEventListener("click", () => onAsk(text));
      return button;
    });
    document.querySelector("#examples").append(...this.#buttons.map((button) => {
      const item = document.createElement("li");
      item.append(button);
      return item;
    }));
  }

  show({ isWanted, canAsk }) {
    if (isWanted) this.#panel.hidden = false;
    else hide(this.#panel);
    for (const button of this.#buttons) button.disabled = !canAsk;
  }
}
