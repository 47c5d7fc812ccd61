// What a reload finds as it was: the model, the view and what was asked and answered. It stays in this
// tab, and is gone when that is closed.

const KEY = "webllm_py.tab";

/** What was remembered, or an empty object. */
export function recall() {
  try {
    return JSON.parse(sessionStorage.getItem(KEY)) ?? {};
  } catch {
    return {}; // a browser that keeps nothing for this page throws
  }
}

/** `values`: plain ones. Images are left out where there is no room for them. */
export function remember(values) {
  const withoutImages = (key, value) => (key === "images" ? [] : value);
  for (const replacer of [null, withoutImages]) {
    try {
      sessionStorage.setItem(KEY, JSON.stringify(values, replacer));
      return;
    } catch {
      // as above, or there is no room
    }
  }
}
