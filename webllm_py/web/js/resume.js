// A fetch whose streams go on when the browser stops the service worker that they come through, and
// that tells this one what the browser does not: that a request was aborted before its reply began.

const MOST_CUTS = 5; // one after the other, without an event between them
const FIRST_WAIT = 100; // ms

/** As `fetch`, for OpenAI's clients: `new OpenAI({ fetch: resumingFetch(), ... })`. */
export function resumingFetch(fetch = globalThis.fetch.bind(globalThis)) {
  return async (input, init) => {
    const response = await namedFetch(fetch, input, init);
    const id = response.headers.get("x-stream-id");
    if (!response.body || !id) return response;
    const stream = new URL(response.url.replace(/\/v1\/.*$/, `/v1/streams/${encodeURIComponent(id)}`));
    const signal = init?.signal ?? input.signal;
    const again = (headers) => fetch(stream, { headers, signal });
    return new Response(resumed(response, again, signal), response);
  };
}

/** A fetch with a name, by which it is ended; of an endpoint elsewhere as it is. */
async function namedFetch(fetch, input, init) {
  const url = new URL(input.url ?? input, location.href);
  const signal = init?.signal ?? input.signal;
  if (!signal || url.origin !== location.origin || !url.pathname.includes("/v1/")) return fetch(input, init);
  const name = crypto.randomUUID();
  const headers = new Headers(init?.headers ?? input.headers);
  headers.set("x-client-request-id", name);
  const request = new URL(url.href.replace(/\/v1\/.*$/, `/v1/requests/${name}`));
  const end = () => fetch(request, { method: "DELETE", keepalive: true }).catch(() => {});
  signal.addEventListener("abort", end);
  try {
    return await fetch(input, { ...init, headers });
  } finally {
    signal.removeEventListener("abort", end);
  }
}

/** The body of a stream's reply; `again(headers)` asks for what is missing. */
function resumed(response, again, signal) {
  const events = goOn(response, again, signal);
  const encoder = new TextEncoder();
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await events.next();
      if (done) controller.close();
      else controller.enqueue(encoder.encode(value));
    },
    cancel: () => events.return(),
  });
}

async function* goOn(response, again, signal) {
  let last = null;
  let isWhole = false;
  for (let cuts = 0; ; ) {
    try {
      for await (const event of eventsOf(response.body)) {
        last = /^id: (.*)$/m.exec(event)?.[1] ?? last;
        isWhole = /^data: (\[DONE\]|\{"error")/m.test(event);
        cuts = 0;
        yield event;
      }
      if (isWhole) return;
      throw new TypeError("The stream was cut."); // some browsers end it as if it were whole
    } catch (error) {
      if (signal?.aborted || ++cuts > MOST_CUTS) throw error;
      await new Promise((resolve) => setTimeout(resolve, FIRST_WAIT * 2 ** (cuts - 1)));
      const next = await again(last ? { "last-event-id": last } : {}).catch(() => null);
      if (next?.status === 404) throw error; // it is not kept any more
      if (next?.ok) response = next;
      else response = { body: failing(error) };
    }
  }
}

/** The whole events of a body, as they stand there. */
async function* eventsOf(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      text += value;
      for (let at; (at = text.indexOf("\n\n")) >= 0; text = text.slice(at + 2)) {
        yield text.slice(0, at + 2);
      }
    }
    if (text) yield text;
  } finally {
    reader.cancel().catch(() => {});
  }
}

const failing = (error) => new ReadableStream({ start: (controller) => controller.error(error) });
