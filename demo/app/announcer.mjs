// What a screen reader is told, and when: the visible texts change too often to be read out.

const announcer = document.querySelector("#announcer");

export function announce(words) {
  announcer.textContent = words;
}

/** Tell what is shown inside an element, without the heads of its code blocks. */
export function announceShown(element) {
  const copy = element.cloneNode(true);
  for (const head of copy.querySelectorAll("figcaption")) head.remove();
  announcer.replaceChildren(copy);
  announce(announcer.innerText.trim()); // as text: what nobody sees must hold no links to tab to
}
