// In the site's service worker: keeps the page's files, and gives them where no network does.
//
// A page asks for it once a model is ready, so that nothing of its start waits:
//   {type: "webllm_py keep site"}
// offline.json says which files there are, and by which version they belong together. All of them are
// kept or none; as long as the server answers, it is what is heard.

const NAME = "webllm_py site ";
const top = new URL("../", import.meta.url);

addEventListener("message", (event) => {
  if (event.data?.type === "webllm_py keep site") event.waitUntil(keep());
});

addEventListener("fetch", (event) => {
  const { method, url, headers } = event.request;
  const ours = url.startsWith(top.href) && !url.includes("/v1/") && !headers.has("range");
  if (method === "GET" && ours) event.respondWith(answer(event.request));
});

async function answer(request) {
  try {
    return await fetch(request);
  } catch (error) {
    const kept = await caches.match(request, { ignoreSearch: true });
    if (kept) return kept;
    throw error;
  }
}

async function keep() {
  const fresh = { cache: "no-cache" };
  const { version, files } = await (await fetch(new URL("offline.json", top), fresh)).json();
  const name = NAME + version;
  const before = (await caches.keys()).filter((key) => key.startsWith(NAME));
  const cache = await caches.open(name);
  if (!(await cache.match(top))) {
    await cache.addAll(files.map((file) => new Request(new URL(file, top), fresh)));
  }
  for (const key of before) if (key !== name) await caches.delete(key);
}
