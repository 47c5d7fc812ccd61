// Runs the bench in Pyodide, away from the page.
//
// Message from the page: {model, bench, load}, see page.mjs
// Messages to the page:  {type: "step", text}
//                        {type: "done", results, table}
//                        {type: "error", message}

import { loadPyodide } from "../pyodide/pyodide.mjs";

self.onmessage = async ({ data }) => {
  try {
    const python = await start();
    const bench = python.globals.get("bench");
    const step = (text) => self.postMessage({ type: "step", text });
    // Python knows null by another name than None.
    const found = await bench(data.model ?? undefined, data.bench, data.load, step);
    self.postMessage({ type: "done", ...JSON.parse(found) });
  } catch (error) {
    console.error(error);
    self.postMessage({ type: "error", message: String(error?.message ?? error).trim() });
  }
};

async function start() {
  const python = await loadPyodide();
  const { wheels } = await (await get("../site.json")).json();
  for (const name of wheels) {
    python.unpackArchive(await (await get(`../pyodide/${name}`)).arrayBuffer(), "wheel");
  }
  python.runPython(await (await get("worker.py")).text());
  return python;
}

async function get(path) {
  const response = await fetch(new URL(path, import.meta.url));
  if (!response.ok) throw new Error(`${path}: the server answered ${response.status}`);
  return response;
}
