// The end of what is in view: kept there while it grows, until the reader scrolls up; then a button
// leads back.

import { hide } from "./focus.mjs";

const NEAR = 48; // pixels

const scroller = document.querySelector("#scroller");
const button = document.querySelector("#to-end");

export class End {
  #list;
  #seen = { top: 0, most: 0 }; // how far the view was scrolled at last, and could have been
  #follow = true; // the view stays at the end while that grows

  /** `list`: the element that grows; it or what holds it is hidden while it is not in view. */
  constructor(list) {
    this.#list = list;
    scroller.addEventListener("scroll", () => this.#scrolled());
    button.addEventListener("click", () => {
      if (!this.#isShown) return;
      this.follow();
      this.#resized();
    });
    const observer = new ResizeObserver(() => this.#resized());
    for (const element of [scroller, list]) observer.observe(element);
  }

  /** Stay at the end, from the next time that the list grows. */
  follow() {
    this.#follow = true;
  }

  /** The list came into view, or went out of it. */
  shown() {
    this.#follow = this.#isThere;
    this.#offer();
  }

  get #isShown() {
    return !this.#list.closest("[hidden]");
  }

  get #isThere() {
    return this.#isShown && this.#list.hasChildNodes();
  }

  // Only who scrolls up leaves the end. It also moves by itself, and the view with it: answers grow,
  // notices come and go.
  #scrolled() {
    const { top, most } = this.#look();
    if (most - top < NEAR) this.#follow = true;
    else if (most === this.#seen.most && top < this.#seen.top) this.#follow = false;
    this.#seen = { top, most };
    this.#offer();
  }

  #resized() {
    if (this.#follow && this.#isThere) scroller.scrollTop = scroller.scrollHeight;
    this.#seen = this.#look();
    this.#offer();
  }

  /** The button, where it leads anywhere; of a list that is not in view the other one tells. */
  #offer() {
    if (!this.#isShown) return;
    const { top, most } = this.#look();
    if (this.#isThere && !this.#follow && most - top >= NEAR) button.hidden = false;
    else hide(button);
  }

  #look() {
    const { scrollTop, scrollHeight, clientHeight } = scroller;
    return { top: scrollTop, most: scrollHeight - clientHeight };
  }
}
