// Starts Python in a worker, of the chat page or of the bench page.

import { loadPyodide } from "../pyodide/pyodide.mjs";

// A file of the site, by its path from there.
export async function get(path) {
  const response = await fetch(new URL(`../${path}`, import.meta.url));
  if (!response.ok) throw new Error(`${path}: the server answered ${response.status}`);
  return response;
}

// `packed`: the bytes of snapshot.bin.gz, or a promise of them.
export async function unzip(packed) {
  const stream = new Blob([await packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// Python with the packages of `wheels` (their bytes), and whether it is from the snapshot, with which
// it is up in a quarter of the time. That is only a shortcut: where it cannot be used, Python starts
// the ordinary way.
export async function startPython(snapshot, wheels) {
  const [python, fromSnapshot] = await bare(snapshot);
  const extractDir = python.runPython("import sysconfig; sysconfig.get_path('purelib')");
  for (const wheel of await wheels) python.unpackArchive(wheel, "wheel", { extractDir });
  return [python, fromSnapshot];
}

async function bare(snapshot) {
  try {
    const python = await loadPyodide({ _loadSnapshot: snapshot });
    python.runPython("import random; random.seed()"); // a frozen seed would repeat on every page
    return [python, true];
  } catch (error) {
    console.warn("Python's snapshot could not be used:", error);
    return [await loadPyodide(), false];
  }
}
