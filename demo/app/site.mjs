// What the page has to do with its own site: keeping its files, and reporting to it.

/**
 * Have the site's files kept, so that the page opens without a network. It may fail now and succeed
 * later: each load of a model tries.
 */
export async function keepSite() {
  try {
    await navigator.serviceWorker.register("service.js", { type: "module" });
    const { active } = await navigator.serviceWorker.ready;
    active.postMessage({ type: "webllm_py keep site" });
  } catch (error) {
    console.info("The page is not kept for when there is no network:", error);
  }
}

/** POST `body`, as JSON, to the path of this origin that ?report= names, if it does; see main.mjs. */
export async function report(body) {
  const path = new URLSearchParams(location.search).get("report");
  if (!path?.startsWith("/") || path.startsWith("//")) return;
  await fetch(path, { method: "POST", body: JSON.stringify(body) });
}
