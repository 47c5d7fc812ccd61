// The soak page: many requests, aborts, lost devices and loads through webllm_py.js, and what memory
// they leave.
//
// Query: requests   how many requests, and as many aborts
//        losses     of devices, each in the middle of an answer
//        loads      in one worker, of what comes from "model" once and is kept then
//        engines    made and unloaded, each with a worker of its own
//        model      its address
//        report     POST to /report/sample, /report/done and /report/error
//
// A sample: {phase, count, seconds, js, ...what watch.mjs counts}; `js`: bytes of JavaScript, of the page
// and its workers, where the page is isolated

import { createEngine, DeviceLostError, RequestError } from "../pyodide/webllm_py.js";

const ROWS = 10; // of a phase
const LOAD = { contextLength: 256, tune: false };
const MESSAGES = [{ role: "user", content: "Once upon a time" }];
const CHECK = { messages: MESSAGES, max_tokens: 12, temperature: 0, ignore_eos: true };

// What a client asks for in turn.
const KINDS = [
  () => ({ temperature: 0 }),
  () => ({ temperature: 0.8, seed: 5, stop: ["e"] }),
  () => ({ stream: true }),
  () => ({ stream: true, isLeft: true }),
  () => ({ logprobs: true, top_logprobs: 2 }),
  () => ({ n: 3, temperature: 1 }),
  // Another schema each time, as a server's clients have them.
  (number) => ({
    response_format: { type: "json_schema", json_schema: { name: "n", schema: { const: number } } },
  }),
  () => ({ temperature: "hot" }), // refused
];

const query = new URLSearchParams(location.search);
const asked = (name, usual) => Number(query.get(name) ?? usual);
const requests = asked("requests", 100);
const model = query.get("model") ?? undefined;
const began = performance.now();

let watched = null; // the worker of the last engine
globalThis.Worker = class extends Worker {
  constructor(url, options) {
    super(new URL("soak_worker.mjs", import.meta.url), options);
    watched = this;
  }
};

let state = 1;
function random() {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return state / 2 ** 32;
}
const pick = (count) => Math.floor(random() * count);

function counted() {
  return new Promise((resolve) => {
    watched.addEventListener("message", function take({ data }) {
      if (data.type !== "watched") return;
      watched.removeEventListener("message", take);
      const { type, ...counts } = data;
      resolve(counts);
    });
    watched.postMessage({ type: "watch" });
  });
}

async function post(kind, message) {
  document.querySelector("#state").textContent = message.phase ?? kind;
  document.querySelector("#samples").textContent += `${JSON.stringify(message)}\n`;
  document.body.dataset.state = kind;
  if (query.has("report")) {
    await fetch(`/report/${kind}`, { method: "POST", body: JSON.stringify(message) });
  }
}

/** Null where the browser does not tell, as Chromium's headless shell. */
async function javascriptBytes() {
  try {
    return (await performance.measureUserAgentSpecificMemory()).bytes;
  } catch {
    return null;
  }
}

async function sample(phase, count) {
  const counts = await counted();
  const js = await javascriptBytes();
  const seconds = (performance.now() - began) / 1000;
  await post("sample", { phase, count, seconds, js, ...counts });
}

/** Do something so many times, with a sample after the first and after each tenth of them. */
async function phase(name, count, work) {
  const every = Math.ceil(count / ROWS);
  for (let number = 1; number <= count; number++) {
    await work(number);
    if (number === 1 || number % every === 0) await sample(name, number);
  }
}

async function text(engine, fields, signal) {
  const { isLeft, ...asked } = fields;
  const reply = await engine.chat.completions.create(asked, { signal });
  if (!asked.stream) return reply.choices[0].message.content;
  let said = "";
  for await (const chunk of reply) {
    said += chunk.choices[0]?.delta.content ?? "";
    if (isLeft) break;
  }
  return said;
}

/** One of KINDS; its refusal is as good as its answer. */
async function answer(engine, number, { max_tokens, signal } = {}) {
  const messages = [{ role: "user", content: `Number ${number}: say something.` }];
  const fields = { messages, max_tokens, ...KINDS[number % KINDS.length](number) };
  await text(engine, fields, signal).catch(unless(RequestError, signal));
}

function unless(expected, signal) {
  return (error) => {
    if (!(error instanceof expected) && !(signal?.aborted && error.name === "AbortError")) throw error;
  };
}

async function timed(work) {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

/** End some answers at random moments of theirs; the next one must be right. */
async function abort(engine, durations, expected) {
  const kinds = Array.from({ length: 1 + pick(3) }, () => pick(KINDS.length));
  for (const kind of kinds) {
    durations[kind] ??= await timed(() => answer(engine, kind, { max_tokens: 40 }));
  }
  const works = kinds.map(async (kind) => {
    const controller = new AbortController();
    const { signal } = controller;
    const isSoft = random() < 0.2; // ends one answer with the reason "abort", whosever turn it is
    const work = answer(engine, kind, { max_tokens: 40, signal });
    const cut = () => (isSoft ? engine.interrupt() : controller.abort());
    const timer = setTimeout(cut, random() * durations[kind]);
    await work;
    clearTimeout(timer); // or it would interrupt what comes next
  });
  await Promise.all(works);
  const said = await text(engine, CHECK);
  same("after an abort", said, expected);
}

/** The device is lost at one of the submits of an answer, which nobody notices. */
async function lose(engine, number, whole) {
  const drawn = { seed: number, temperature: number % 2 };
  const fields = { messages: MESSAGES, max_tokens: 30, ignore_eos: true, stream: true, ...drawn };
  const { submits: before } = await counted();
  const expected = await text(engine, fields);
  const { submits: after } = await counted();
  watched.postMessage({ type: "lose", at: pick(after - before) });
  const said = await text(engine, fields).catch(unless(DeviceLostError));
  watched.postMessage({ type: "lose", at: -1 });
  if (said === undefined) return; // it was told why
  same("over a loss", said, expected);
  whole.count += 1;
}

function same(when, said, expected) {
  if (said === expected) return;
  throw new Error(`${when}: ${JSON.stringify(said)} instead of ${JSON.stringify(expected)}`);
}

async function run() {
  const engine = await createEngine(LOAD);
  const { adapter, gpu_memory } = await engine.info();
  await phase("requests", requests, (number) => answer(engine, number, { max_tokens: 3 }));

  const expected = await text(engine, CHECK);
  const durations = [];
  await phase("aborts", requests, () => abort(engine, durations, expected));

  const whole = { count: 0 };
  const losses = asked("losses", Math.ceil(requests / 10));
  await phase("losses", losses, (number) => lose(engine, number, whole));

  await phase("loads", asked("loads", Math.ceil(requests / 20)), async (number) => {
    await engine.load(model, LOAD);
    await answer(engine, number, { max_tokens: 3 });
    if (!(await engine.store.has(model))) throw new Error(`${model} is not kept`);
  });
  let last = engine;
  await phase("engines", asked("engines", Math.ceil(requests / 100)), async (number) => {
    await last.unload();
    last = await createEngine(LOAD);
    await answer(last, number, { max_tokens: 3 });
  });
  await last.unload();
  await post("done", { adapter, gpu_memory, losses, whole: whole.count });
}

run().catch((error) => post("error", { message: `${error.name}: ${error.message}` }));
