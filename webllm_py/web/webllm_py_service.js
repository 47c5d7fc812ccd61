// OpenAI's endpoint inside a site: the service worker's side. A site has a file of its own at its
// top, in which nothing else needs to stand than
//
//   import "./pyodide/webllm_py_service.js";
//
// and a page with an engine registers it: `await engine.serve("service.js")`. From then on requests of
// the site's pages to /v1/... are answered by the engine of a tab: of the tab that asks, else of
// another one. Nothing is kept here, so that the browser may stop this at any moment; a stream that
// was cut then goes on by GET /v1/streams/ID.

import { EngineClosedError } from "./js/error_classes.js";
import { Job } from "./js/job.js";
import { clientOf, lockOf } from "./js/names.js";

const PATIENCE = 5000; // ms for a page to say that it takes a request

addEventListener("install", (event) => event.waitUntil(skipWaiting()));
addEventListener("activate", (event) => event.waitUntil(clients.claim()));

addEventListener("message", (event) => {
  if (event.data?.type !== "webllm_py hello") return; // "webllm_py alive" is an event, no more
  // A page that was reloaded without its service worker is not controlled by it.
  event.waitUntil(clients.claim().then(() => event.ports[0].postMessage({ id: event.source.id })));
});

addEventListener("fetch", (event) => {
  const path = pathOf(new URL(event.request.url));
  if (path === null) return;
  const answer = respond(event.request, path, event.clientId);
  event.respondWith(answer.then(({ response }) => response));
  event.waitUntil(answer.then(({ ended }) => ended)); // or it may be stopped in mid-stream
});

/** The path from /v1 on, of the site or of this worker's scope; null for what is not ours. */
function pathOf({ origin, pathname }) {
  const scope = new URL(registration.scope).pathname;
  const path = pathname.startsWith(`${scope}v1/`) ? pathname.slice(scope.length - 1) : pathname;
  return origin === location.origin && path.startsWith("/v1/") ? path : null;
}

/** `ended` is resolved when nothing more will come. */
async function respond(request, path, asking) {
  const headers = Object.fromEntries(request.headers);
  const body = await request.text();
  const asked = { method: request.method, path, headers, body };
  for (const id of await engines(asking)) {
    const job = await handOver(id, asked);
    if (!job) continue;
    // Not every browser tells of it here; all of them cancel the body of a reply that has begun.
    request.signal.addEventListener("abort", () => job.cancel());
    if (request.signal.aborted) job.cancel();
    failWithTab(job, id);
    try {
      return { response: await streamed(job), ended: job.ended.catch(() => {}) };
    } catch (error) {
      const isGone = error instanceof EngineClosedError;
      const [status, code] = isGone ? [503, "engine_closed"] : [500, null];
      return { response: failure(status, "server_error", code, error.message) };
    }
  }
  const message =
    "No tab of this site has a model open that answers. Open the page that loads one, or wait until it has.";
  return { response: failure(503, "server_error", "no_engine", message) };
}

/** The clients that have an engine, the one that asks first. */
async function engines(asking) {
  const { held } = await navigator.locks.query();
  const ids = held.map(({ name }) => clientOf(name)).filter(Boolean);
  return ids.sort((one, other) => (other === asking) - (one === asking));
}

/** The job that a page took; null where it is not there or does not answer. */
async function handOver(id, request) {
  const client = await clients.get(id);
  if (!client) return null;
  const { port1, port2 } = new MessageChannel();
  const job = new Job(port1);
  client.postMessage({ type: "webllm_py request", request }, [port2]);
  const late = new Promise((resolve) => setTimeout(resolve, PATIENCE, true));
  if (!(await Promise.race([job.accepted, late]))) return job;
  job.cancel(); // a page that wakes up later need not answer
  return null;
}

/** A tab that was closed, or has crashed, says nothing any more, but gives back its lock. */
function failWithTab(job, id) {
  const over = new AbortController();
  job.ended.catch(() => {}).then(() => over.abort());
  const gone = () => job.fail(new EngineClosedError("The tab that answered has no engine any more."));
  navigator.locks.request(lockOf(id), { signal: over.signal }, gone).catch(() => {});
}

async function streamed(job) {
  const { status, headers } = await job.head;
  const encoder = new TextEncoder();
  const body = new ReadableStream({
    async pull(controller) {
      const { done, value } = await job.next();
      if (done) controller.close();
      else controller.enqueue(encoder.encode(value));
    },
    cancel: () => job.return(),
  });
  return new Response(body, { status, headers });
}

function failure(status, type, code, message) {
  const error = { message, type, param: null, code };
  const headers = { "content-type": "application/json" };
  if (status === 503) headers["retry-after"] = "1";
  return new Response(JSON.stringify({ error }), { status, headers });
}
