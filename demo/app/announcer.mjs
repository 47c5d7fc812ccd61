// What a screen reader is told, and when: the visible texts change too often to be read out.

import { undraw } from "./formulas.mjs";

const announcer = document.querySelector("#announcer");

export function announce(words) {
  announcer.textContent = words;
}

/** Tell what an element would show, without the heads of its code blocks, and formulas as TeX. */
export function announceShown(element) {
  for (const head of element.querySelectorAll("figcaption")) head.remove();
  undraw(element);
  announcer.replaceChildren(element);
  announce(announcer.innerText.trim()); // as text: what nobody sees must hold no links to tab to
}
