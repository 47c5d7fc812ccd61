// Runs the bench in Pyodide, away from the page.
//
// Message from the page: {model, bench, load, check}, see page.mjs
// Messages to the page:  {type: "step", text}
//                        {type: "done", results, table, check, start_s}  (start_s: of Python and the GPU)
//                        {type: "error", message}

import { get, startPython, unzip } from "../pyodide/js/python.js";

self.onmessage = async ({ data }) => {
  try {
    const began = performance.now();
    const python = await start();
    const pythonSeconds = (performance.now() - began) / 1000;
    if (JSON.parse(data.load).host_profile) await run(python, "host_profile.py");
    const bench = python.globals.get("bench");
    const step = (text) => self.postMessage({ type: "step", text });
    // Python knows null by another name than None.
    const found = await bench(data.model ?? undefined, data.bench, data.load, data.check, step);
    const { gpu_s: gpuSeconds, ...report } = JSON.parse(found);
    self.postMessage({ type: "done", ...report, start_s: pythonSeconds + gpuSeconds });
  } catch (error) {
    console.error(error);
    self.postMessage({ type: "error", message: String(error?.message ?? error).trim() });
  }
};

async function start() {
  const unzipped = async (path) => unzip((await get(path)).body);
  const [python] = await startPython(unzipped("snapshot.bin.gz"), unzipped("packages.bin.gz"));
  await run(python, "worker.py");
  return python;
}

async function run(python, name) {
  const script = await fetch(new URL(name, import.meta.url));
  python.runPython(await script.text());
}
