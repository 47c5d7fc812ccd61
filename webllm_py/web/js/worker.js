// Runs Python, and the model that Python drives, away from the page: the page never blocks.
//
// Messages from the page
//   {type: "job", request, model, base}, [port]   see webllm_py/web/session.py for requests; `model`
//                                   is what JSON cannot hold of one: a File, File[] or {name, files}
//                                   or a handle; `base`: what addresses are relative to
//   {type: "interrupt"}             end the answer whose turn it is
// Messages from whoever has the other port
//   {taken: COUNT}                  so many pieces were read
//   {cancel: true}
//   answers of logits processors: see processors.js
// Messages to the page, beside those of jobs (webllm_py/web/job.py), which go to the ports
//   {type: "progress", loaded, total}       bytes of Python
//   {type: "started", fromSnapshot, times}  Python is up; times: when "snapshot" and "packages" were
//                                           unzipped and "python" was up alone, in ms since 1970
//   {type: "failed", error}                 it will never be; see job.py for errors
//   {type: "alive", lock}                   its name: the worker has it for as long as it lives
//   {type: "busy", jobs}                    so many service workers' jobs are under way

import { AskedProcessors } from "./processors.js";
import { get, startPython, unzip } from "./python.js";
import scripts from "./scripts.js";

// What Python has to run before the first job; its value begins jobs.
const SCRIPT = "from webllm_py.web.session import Session\nSession()";

const TELL_BYTES = 1 << 18; // between two messages of progress

self.webllm_py_scripts = scripts; // see webllm_py/fetch/browser.py: load_script

const send = (message) => self.postMessage(message);
const fail = (error) => send({ type: "failed", error });

liveUnderLock();
const session = start().catch((error) => {
  console.error(error);
  fail({ names: ["StartError"], message: String(error?.message ?? error).slice(-1500) });
  return null;
});
let busy = 0;

self.onmessage = async ({ data, ports }) => {
  const python = await session;
  if (python === null) return; // the page has been told why
  try {
    if (data.type === "interrupt") python.interrupt();
    else begin(python, data, ports[0]);
  } catch (error) { // Python itself is gone, for want of memory say
    const message = `Python stopped: ${error.message}. Create another engine.`;
    ports[0]?.postMessage(JSON.stringify({ error: { names: ["EngineClosedError"], message } }));
  }
};

// Of a worker that ends for want of memory, say, no event tells the page: its locks are let go.
function liveUnderLock() {
  const lock = `webllm_py worker ${crypto.randomUUID()}`;
  const live = () => {
    send({ type: "alive", lock });
    return new Promise(() => {});
  };
  navigator.locks?.request(lock, live).catch(() => {}); // a sandboxed frame has none
}

function begin(python, { request, model, base }, port) {
  if (base) self.webllm_py_base = base;
  const isForeign = request.kind === "http";
  const asked = request.processors ? new AskedProcessors(port) : null;
  const job = python.begin(JSON.stringify(request), asked ?? given(model), (message) => {
    port.postMessage(message);
    if (!/^\{"(end|error|cancelled)"/.test(message)) return;
    port.onmessage = null;
    job.destroy(); // Python's object, which it would keep
    if (isForeign) count(-1);
  });
  port.onmessage = ({ data }) => {
    if (data.cancel) job.cancel();
    else if (data.taken) job.taken(data.taken);
    else asked.answered(data);
  };
  if (isForeign) count(1);
}

function count(change) {
  busy += change;
  send({ type: "busy", jobs: busy });
}

function given(model) {
  if (!model?.files) return model ?? undefined; // Python knows null by another name than None
  // Files of a folder that was dropped do not tell its name.
  for (const file of model.files) {
    const value = file.webkitRelativePath || `${model.name}/${file.name}`;
    Object.defineProperty(file, "webkitRelativePath", { value });
  }
  return model.files;
}

async function start() {
  const adapter = navigator.gpu?.requestAdapter();
  const progress = counter();
  const times = {};
  const since = (name) => (value) => {
    times[name] = performance.timeOrigin + performance.now();
    return value;
  };
  const snapshot = unzip(download("snapshot.bin.gz", progress)).then(since("snapshot"));
  const packages = unzip(download("packages.bin.gz", progress)).then(since("packages"));
  const starting = startPython(snapshot, packages, since("python"));
  starting.catch(() => {}); // awaited, and told of, below
  if (!(await adapter)) {
    const message = "This browser offers no WebGPU adapter to workers.";
    fail({ names: ["NoAdapterError"], message });
    return null;
  }
  const [python, fromSnapshot] = await starting;
  const created = python.runPython(SCRIPT);
  send({ type: "started", fromSnapshot, times });
  return created;
}

function counter() {
  const bytes = { loaded: 0, total: 0 };
  let told = 0;
  return (loaded, total) => {
    bytes.loaded += loaded;
    bytes.total += total;
    if (bytes.loaded < told + TELL_BYTES && bytes.loaded < bytes.total) return;
    told = bytes.loaded;
    send({ type: "progress", ...bytes });
  };
}

// The stream of a file's bytes.
async function download(path, progress) {
  const response = await get(path);
  progress(0, Number(response.headers.get("content-length") ?? 0));
  return response.body.pipeThrough(
    new TransformStream({
      transform(bytes, controller) {
        progress(bytes.length, 0);
        controller.enqueue(bytes);
      },
    }),
  );
}
