// Runs Python, and the model that Python drives, away from the page: the page never blocks.
//
// Jobs are loads and answers: each has an id, which the page counts up. A new job ends the one
// before it and begins when that is over.
//
// Messages from the page
//   {type: "load", id, source, contextLength}   source: {kind: "pocket"} | {kind: "address", address}
//                                                       | {kind: "file", file}
//                                                       | {kind: "folder", name, files: File[]}
//   {type: "recover", id}                   start again after the GPU was lost; a load
//   {type: "chat", id, messages, options}   options: temperature, max_tokens
//   {type: "stop"}                          end the latest job
// Messages to the page about a job; the second group ends it
//   {type: "progress", id, stage, loaded, total, rate}   as webllm_py.load reports it
//   {type: "thought", id, text}             of the reasoning before an answer
//   {type: "delta", id, text}
//
//   {type: "loaded", id, info}              a model answers from now on
//   {type: "done", id, finish, usage, timings, info}
//   {type: "cancelled", id}                 of a load no model is left, of an answer no text
//   {type: "error", id, during, kinds, message}   during: "load" | "chat"; kinds: the error's class
//                                                 and its bases, most special first
// Messages to the page about the worker
//   {type: "progress", stage: "python", loaded, total}
//   {type: "started", fromSnapshot, times}  Python is up; times: when "snapshot" and "packages" were
//                                           unzipped and "python" was up alone, in ms since 1970
//   {type: "error", during: "start", kinds, message}   it will never be; jobs get no end

import { get, startPython, unzip } from "./app/python.mjs";

const send = (message) => self.postMessage(message);
const fail = (kind, message) =>
  send({ type: "error", during: "start", kinds: [kind], message });

const session = start().catch((error) => {
  console.error(error);
  fail("StartError", String(error?.message ?? error).slice(-1500));
  return null;
});

self.onmessage = async ({ data }) => {
  const python = await session;
  if (python === null) return; // the page has been told why
  switch (data.type) {
    case "load":
      python.load(data.id, data.source.kind, given(data.source), data.contextLength);
      break;
    case "chat":
      python.chat(data.id, JSON.stringify(data.messages), JSON.stringify(data.options));
      break;
    case "recover":
      python.recover(data.id);
      break;
    case "stop":
      python.stop();
  }
};

function given({ name, address, file, files }) {
  // Files of a folder that was dropped do not tell its name.
  for (const inner of files ?? []) {
    const value = inner.webkitRelativePath || `${name}/${inner.name}`;
    Object.defineProperty(inner, "webkitRelativePath", { value });
  }
  return address ?? file ?? files;
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
  const script = get("worker.py").then((response) => response.text());
  const starting = startPython(snapshot, packages, since("python"));
  for (const early of [script, starting]) early.catch(() => {}); // awaited, and told of, below
  if (!(await adapter)) {
    fail(navigator.gpu ? "NoAdapterError" : "NoWebGPU", "");
    return null;
  }
  const [python, fromSnapshot] = await starting;
  python.runPython(await script);
  const created = python.globals.get("Session")((json) => send(JSON.parse(json)));
  send({ type: "started", fromSnapshot, times });
  return created;
}

function counter() {
  const bytes = { loaded: 0, total: 0 };
  return (loaded, total) => {
    bytes.loaded += loaded;
    bytes.total += total;
    send({ type: "progress", stage: "python", ...bytes });
  };
}

async function download(path, progress) {
  const response = await get(path);
  progress(0, Number(response.headers.get("content-length") ?? 0));
  const chunks = [];
  const reader = response.body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return new Blob(chunks).arrayBuffer();
    chunks.push(value);
    progress(value.length, 0);
  }
}
