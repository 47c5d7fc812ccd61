// Starts Python in a worker.

import { loadPyodide } from "../pyodide.mjs";

// A file of the folder that webllm_py.js lies in, by its path from there.
export async function get(path) {
  const response = await fetch(new URL(`../${path}`, import.meta.url));
  if (!response.ok) throw new Error(`${path}: the server answered ${response.status}`);
  return response;
}

// `packed`: the bytes of a .bin.gz file, or a promise of them.
export async function unzip(packed) {
  const stream = new Blob([await packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// Python with the packages, and whether it is from the snapshot, with which it is up in a quarter of
// the time. That is only a shortcut: where it cannot be used, Python starts the ordinary way.
// `snapshot` and `packages` are promises of the unzipped files of these names; `onBare` is called
// when Python is up without the packages.
export async function startPython(snapshot, packages, onBare = () => {}) {
  for (const early of [snapshot, packages]) early.catch(() => {}); // awaited below
  const [python, fromSnapshot] = await bare(snapshot);
  onBare();
  const place = python.runPython("import sysconfig; sysconfig.get_path('purelib')");
  putInPlace(python.FS, place, await packages);
  python.runPython("import importlib; importlib.invalidate_caches()");
  return [python, fromSnapshot];
}

// `packages`: four bytes that are the length of a JSON list [[name, length], ...], the list, and the
// files one after the other (demo/tools/assemble.py).
function putInPlace(FS, place, packages) {
  const length = new DataView(packages.buffer).getUint32(0, true);
  let at = 4 + length;
  const made = new Set();
  for (const [name, size] of JSON.parse(new TextDecoder().decode(packages.subarray(4, at)))) {
    const path = `${place}/${name}`;
    const folder = path.slice(0, path.lastIndexOf("/"));
    if (!made.has(folder)) FS.mkdirTree(folder);
    made.add(folder);
    FS.writeFile(path, packages.subarray(at, at + size));
    at += size;
  }
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
