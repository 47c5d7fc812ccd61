// OpenAI's endpoint inside a site: the page's side. webllm_py_service.js is the service worker's.
//
// The service worker may be stopped at any moment, and keeps nothing: who has an engine it sees by
// locks, which the browser releases with the page that holds them. A request comes as a message with
// a port, on which the worker then answers the service worker; the page only hands it on.

import { lockOf } from "./names.js";

const ALIVE_EVERY = 10_000; // ms; a service worker without events is stopped after 30 s
const PATIENCE = 20_000; // ms for a service worker to start and answer

/**
 * `hand(request, port)` gives the worker a job; `watch(onBusy)` tells how many it has. For the rest
 * see webllm_py.d.ts.
 */
export async function serve(hand, watch, script = "service.js", { scope } = {}) {
  const container = navigator.serviceWorker;
  if (!container) throw new TypeError("This browser offers this page no service workers.");
  const url = new URL(script, document.baseURI);
  const options = { type: "module", updateViaCache: "none", scope };
  const registration = await container.register(url, options);
  const id = await hello(await active(registration));
  const stop = new AbortController();

  const held = await holdLock(lockOf(id, Date.now()), stop.signal);
  container.addEventListener("message", ({ data, ports }) => {
    if (data?.type !== "webllm_py request") return;
    ports[0].postMessage('{"accepted":true}');
    hand({ kind: "http", ...data.request }, ports[0]);
  }, { signal: stop.signal });
  container.startMessages();

  let timer = 0;
  const alive = async () => (await active(registration)).postMessage({ type: "webllm_py alive" });
  watch((jobs) => {
    clearInterval(timer);
    timer = jobs && setInterval(alive, ALIVE_EVERY);
  });

  return {
    baseURL: new URL("v1", registration.scope).href,
    async close() {
      stop.abort();
      clearInterval(timer);
      watch(() => {});
      await held.released;
    },
  };
}

/** The service worker that runs for a registration, once one does. */
async function active(registration) {
  if (registration.active) return registration.active;
  const worker = registration.installing ?? registration.waiting;
  await new Promise((resolve, reject) => {
    worker.addEventListener("statechange", () => {
      if (worker.state === "activated") resolve();
      else if (worker.state === "redundant") reject(new TypeError("The service worker was not installed."));
    });
  });
  return registration.active;
}

/** What the service worker calls this page; the page is controlled by it from then on. */
function hello(worker) {
  const { port1, port2 } = new MessageChannel();
  worker.postMessage({ type: "webllm_py hello" }, [port2]);
  return new Promise((resolve, reject) => {
    port1.onmessage = ({ data }) => resolve(data.id);
    const why = `${worker.scriptURL} does not answer: it must import webllm_py_service.js.`;
    setTimeout(reject, PATIENCE, new TypeError(why));
  });
}

/** Resolved when the lock is held, with an object whose `released` is a promise. */
function holdLock(name, signal) {
  return new Promise((resolve, reject) => {
    const until = new Promise((release) => signal.addEventListener("abort", release));
    const released = navigator.locks.request(name, { mode: "shared" }, () => {
      resolve({ released });
      return until;
    });
    released.catch(reject);
  });
}
