// Runs the bench in Pyodide, away from the page.
//
// Message from the page: {model, bench, load}, see page.mjs
// Messages to the page:  {type: "step", text}
//                        {type: "done", results, table, start_s}  (start_s: of Python and the GPU)
//                        {type: "error", message}

import { loadPyodide } from "../pyodide/pyodide.mjs";

self.onmessage = async ({ data }) => {
  try {
    const began = performance.now();
    const python = await start();
    const pythonSeconds = (performance.now() - began) / 1000;
    const bench = python.globals.get("bench");
    const step = (text) => self.postMessage({ type: "step", text });
    // Python knows null by another name than None.
    const found = await bench(data.model ?? undefined, data.bench, data.load, step);
    const { gpu_s: gpuSeconds, ...report } = JSON.parse(found);
    self.postMessage({ type: "done", ...report, start_s: pythonSeconds + gpuSeconds });
  } catch (error) {
    console.error(error);
    self.postMessage({ type: "error", message: String(error?.message ?? error).trim() });
  }
};

// From the snapshot, as the chat page starts it.
async function start() {
  const packed = (await get("../snapshot.bin.gz")).body;
  const unpacked = new Response(packed.pipeThrough(new DecompressionStream("gzip")));
  const python = await loadPyodide({ _loadSnapshot: new Uint8Array(await unpacked.arrayBuffer()) });
  const extractDir = python.runPython("import sysconfig; sysconfig.get_path('purelib')");
  const { wheels } = await (await get("../site.json")).json();
  for (const name of wheels) {
    const wheel = await (await get(`../pyodide/${name}`)).arrayBuffer();
    python.unpackArchive(wheel, "wheel", { extractDir });
  }
  python.runPython(await (await get("worker.py")).text());
  return python;
}

async function get(path) {
  const response = await fetch(new URL(path, import.meta.url));
  if (!response.ok) throw new Error(`${path}: the server answered ${response.status}`);
  return response;
}
