// Mathematics: TeX drawn as MathML by Temml, which is fetched when the first formula comes.

const OPTIONS = { throwOnError: true, trust: false, maxSize: [20, 20] };

let temml = null;
let fetching = null;
let waiting = []; // elements that are to be drawn once it is here

/**
 * An element with a formula: its TeX, as text, until it can be drawn, or where it cannot be.
 * `isWhole`: it will not grow.
 */
export function formula(tex, { isDisplayed, isWhole }) {
  const element = document.createElement(isDisplayed ? "div" : "span");
  element.className = "math";
  element.dataset.tex = tex;
  const code = document.createElement("code");
  code.textContent = tex;
  element.append(code);
  if (isWhole && temml) draw(element);
  else if (isWhole) waiting.push(element);
  if (!temml) fetching ??= fetchTemml();
  return element;
}

/** Put the TeX of formulas in their place, where text is wanted. */
export function undraw(element) {
  for (const drawn of element.querySelectorAll(".math")) {
    const mark = drawn.localName === "div" ? "$$" : "$";
    drawn.replaceChildren(mark + drawn.dataset.tex + mark);
  }
}

async function fetchTemml() {
  try {
    temml = (await import("../temml/temml.mjs")).default;
  } catch (error) {
    console.info("Formulas stay as they are written:", error);
    fetching = null;
    return;
  }
  const style = document.createElement("link");
  style.rel = "stylesheet";
  style.href = new URL("../temml/Temml-Local.css", import.meta.url);
  document.head.append(style);
  for (const element of waiting) draw(element);
  waiting = [];
  document.addEventListener("copy", copyTex);
}

function draw(element) {
  const drawn = document.createElement("span");
  try {
    temml.render(element.dataset.tex, drawn, { ...OPTIONS, displayMode: element.localName === "div" });
  } catch {
    return; // an error in the TeX, or too much of it
  }
  if (drawn.querySelector("a")) return; // a reference to what may be anywhere
  for (const named of drawn.querySelectorAll("[id]")) named.removeAttribute("id"); // ids are the page's
  element.replaceChildren(...drawn.childNodes);
}

/** What is copied has the TeX of formulas, each of them whole. */
function copyTex(event) {
  const selection = getSelection();
  if (selection.isCollapsed || event.target.matches?.("input, textarea")) return;
  const range = selection.getRangeAt(0).cloneRange();
  const formulaOf = ({ parentElement }) => parentElement?.closest(".math");
  const [first, last] = [range.startContainer, range.endContainer].map(formulaOf);
  if (first) range.setStartBefore(first);
  if (last) range.setEndAfter(last);
  const copied = document.createElement("div");
  copied.append(range.cloneContents());
  if (!copied.querySelector(".math")) return;
  event.clipboardData.setData("text/html", copied.innerHTML);
  undraw(copied);
  copied.className = "unseen";
  document.body.append(copied); // its text has line breaks only where it is laid out
  event.clipboardData.setData("text/plain", copied.innerText);
  copied.remove();
  event.preventDefault();
}
