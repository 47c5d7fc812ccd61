// Where the keyboard goes on when what had the focus is gone.

const $ = (selector) => document.querySelector(selector);

// There the message box would bring up a keyboard that nobody asked for.
export const onTouch = matchMedia("(pointer: coarse)");

/** To Stop while there is something to stop, else to the message box. */
export function goOn() {
  const next = onTouch.matches ? $("#send") : $("#prompt");
  ($("#stop").hidden ? next : $("#stop")).focus();
}

/** Hide a part of the page, which may have the focus. */
export function hide(part) {
  const focused = part.contains(document.activeElement);
  part.hidden = true;
  if (focused) goOn();
}
