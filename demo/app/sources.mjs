// The passages that an answer was written from, and the numbers by which it names them.

const CITATION = /\[(\d{1,3}(?:\s*,\s*\d{1,3})*)\]/g;

let made = 0;

export class Sources {
  #entries;

  /** `passages`: as Documents.ask gives them (webllm_py.d.ts); the first is [1]. */
  constructor(passages) {
    this.element = document.createElement("section");
    this.element.className = "sources";
    const heading = document.createElement("h3");
    heading.textContent = passages.length === 1 ? "Source" : "Sources";
    const list = document.createElement("ol");
    this.#entries = passages.map(entry);
    list.append(...this.#entries.map((details) => {
      const item = document.createElement("li");
      item.append(details);
      return item;
    }));
    this.element.append(heading, list);
  }

  /** Make the numbers in an answer's text lead to the sources, and mark which it names. */
  link(body) {
    const walker = document.createTreeWalker(body, NodeFilter.SHOW_TEXT);
    const texts = [];
    while (walker.nextNode()) {
      if (!walker.currentNode.parentElement.closest("pre, code, a, .math")) texts.push(walker.currentNode);
    }
    for (const text of texts) text.replaceWith(...this.#linked(text.data));
  }

  #linked(text) {
    const parts = [];
    let at = 0;
    for (const { 0: whole, 1: numbers, index } of text.matchAll(CITATION)) {
      const entries = numbers.split(",").map((number) => this.#entries[Number(number) - 1]);
      if (!entries.every(Boolean)) continue;
      parts.push(text.slice(at, index), ...entries.map(link));
      at = index + whole.length;
    }
    return [...parts, text.slice(at)];
  }
}

function entry({ title, text }, index) {
  const [details, summary, quote] = ["details", "summary", "blockquote"].map((tag) =>
    document.createElement(tag));
  details.id = `source-${++made}`;
  summary.textContent = `[${index + 1}] ${title}`;
  quote.textContent = text;
  quote.dir = "auto";
  details.append(summary, quote);
  return details;
}

function link(details) {
  const anchor = document.createElement("a");
  const summary = details.querySelector("summary");
  anchor.className = "citation";
  anchor.href = `#${details.id}`;
  anchor.textContent = summary.textContent.split(" ")[0];
  anchor.title = summary.textContent;
  anchor.addEventListener("click", (event) => {
    event.preventDefault(); // the address stays the page's
    details.open = true;
    details.scrollIntoView({ block: "nearest" });
    summary.focus();
  });
  details.dataset.cited = "";
  return anchor;
}
