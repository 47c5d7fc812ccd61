// OpenAI's endpoint inside a site: the service worker's side. A site has a file of its own at its
// top, in which nothing else needs to stand than
//
//   import "./pyodide/webllm_py_service.js";
//
// and a page with an engine registers it: `await engine.serve("service.js")`. From then on requests of
// the site's pages to /v1/... are answered by the engine of a tab: of the tab that asks, else of one
// that is in view, else of the newest. Where that closes before its reply has begun, the next one answers.
//
// Nothing is kept here, so that the browser may stop this at any moment; a stream that was cut then
// goes on by GET /v1/streams/ID. Chromium does not tell that a fetch was aborted before its reply has
// begun: DELETE /v1/requests/ID says so, of a request with the header X-Client-Request-Id: ID.

import { EngineClosedError } from "./js/error_classes.js";
import { Job } from "./js/job.js";
import { holderOf } from "./js/names.js";

const PATIENCE = 5000; // ms for a page to say that it takes a request
const LOOK_EVERY = 1000; // ms: whether who asks is still there
const REQUESTS = "/v1/requests/";

const underWay = new Map(); // requests without a reply by their names; what ends them

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
  if (event.request.method === "DELETE" && path.startsWith(REQUESTS)) {
    event.respondWith(end(decodeURIComponent(path.slice(REQUESTS.length))));
    return;
  }
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
  const unwanted = new AbortController();
  const forget = watch(request, asking, unwanted);
  try {
    const headers = Object.fromEntries(request.headers);
    const asked = { method: request.method, path, headers, body: await request.text() };
    return await answered(asked, asking, unwanted.signal);
  } finally {
    forget();
  }
}

/** Abort `unwanted` when nobody waits for the reply any more; the value ends the watch. */
function watch(request, asking, unwanted) {
  const abort = () => unwanted.abort();
  const name = request.headers.get("x-client-request-id");
  if (name) underWay.set(name, abort);
  request.signal.addEventListener("abort", abort); // where a browser tells of it here
  const look = async () => asking && !(await clients.get(asking)) && abort();
  const timer = setInterval(look, LOOK_EVERY);
  return () => {
    clearInterval(timer);
    underWay.delete(name);
  };
}

/** End a request whose reply has not begun. */
async function end(name) {
  underWay.get(name)?.();
  return new Response(null, { status: underWay.has(name) ? 204 : 404 });
}

/** As `respond`: by the first tab that can. */
async function answered(asked, asking, unwanted) {
  let other = null; // what to say if no tab can
  for (const { client, lock } of await engines(asking)) {
    const job = await handOver(client, asked);
    if (!job) continue;
    unwanted.addEventListener("abort", () => job.cancel());
    if (unwanted.aborted) job.cancel();
    failWithTab(job, lock);
    try {
      const head = await job.head;
      const found = { response: streamed(job, head), ended: job.ended.catch(() => {}) };
      if (head.status !== 404 || !asked.path.startsWith("/v1/streams/")) return found;
      other = found; // it may be another tab's
    } catch (error) {
      if (unwanted.aborted) return { response: new Response(null, { status: 499 }) }; // nobody reads it
      if (!(error instanceof EngineClosedError)) {
        return { response: failure(500, "server_error", null, error.message) };
      }
      other ??= { response: failure(503, "server_error", "engine_closed", error.message) };
    }
  }
  const message =
    "No tab of this site has a model open that answers. Open the page that loads one, or wait until it has.";
  return other ?? { response: failure(503, "server_error", "no_engine", message) };
}

/** The clients that have an engine, {client, lock}, in the order in which they are to answer. */
async function engines(asking) {
  const { held } = await navigator.locks.query();
  const holders = held.map(({ name }) => holderOf(name)).filter(Boolean);
  const found = await Promise.all(holders.map(async ({ id, since, lock }) => {
    const client = await clients.get(id);
    const rank = [id === asking, client?.focused, client?.visibilityState === "visible"];
    return { client, lock, rank: [...rank.map(Number), since] };
  }));
  return found.filter(({ client }) => client).sort((one, other) => {
    const at = one.rank.findIndex((value, index) => value !== other.rank[index]);
    return at < 0 ? 0 : other.rank[at] - one.rank[at];
  });
}

/** The job that a page took; null where it does not answer. */
async function handOver(client, request) {
  const { port1, port2 } = new MessageChannel();
  const job = new Job(port1);
  client.postMessage({ type: "webllm_py request", request }, [port2]);
  const late = new Promise((resolve) => setTimeout(resolve, PATIENCE, true));
  if (!(await Promise.race([job.accepted, late]))) return job;
  job.cancel(); // a page that wakes up later need not answer
  return null;
}

/** A tab that was closed, or has crashed, says nothing any more, but gives back its lock. */
function failWithTab(job, lock) {
  const over = new AbortController();
  job.ended.catch(() => {}).then(() => over.abort());
  const gone = () => job.fail(new EngineClosedError("The tab that answered has no engine any more."));
  navigator.locks.request(lock, { signal: over.signal }, gone).catch(() => {});
}

function streamed(job, { status, headers }) {
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
