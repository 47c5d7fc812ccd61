// Starts Python in a worker.

// Both at once, and while a worker that imports this one asks for more: one after the other they would
// take a round trip to the server each.
const loader = import("../pyodide.mjs");
const program = import("../pyodide.asm.mjs"); // what the loader imports
for (const early of [loader, program]) early.catch(() => {}); // awaited below

const PAGE = 1 << 16; // of WebAssembly's memory; a snapshot's head is less
// Not by sysconfig, which takes longer to import than all of these files to be put in place.
const PLACE = "import sys; next(path for path in sys.path if path.endswith('/site-packages'))";
// As importlib.invalidate_caches does it for all finders, which imports more than is gained by it, and
// has the standard library's archive listed anew.
const LOOK_ANEW = `
import sys
for path, finder in sys.path_importer_cache.items():
    if "site-packages" in path and finder is not None:
        finder.invalidate_caches()`;

// A file of the folder that webllm_py.js lies in, by its path from there.
export async function get(path) {
  const response = await fetch(new URL(`../${path}`, import.meta.url));
  if (!response.ok) throw new Error(`${path}: the server answered ${response.status}`);
  return response;
}

// `packed`: the stream of a .bin.gz file's bytes, or a promise of it. It is unzipped while it comes.
export async function unzip(packed) {
  const unzipped = (await packed).pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(unzipped).arrayBuffer());
}

// Python with the packages, and whether it is from the snapshot, with which it is up in a quarter of
// the time. That is only a shortcut: where it cannot be used, Python starts the ordinary way.
// `snapshot` and `packages` are promises of the unzipped files of these names; `onBare` is called
// when Python is up without the packages.
export async function startPython(snapshot, packages, onBare = () => {}) {
  for (const early of [snapshot, packages]) early.catch(() => {}); // awaited below
  const [python, fromSnapshot] = await bare(snapshot);
  onBare();
  putInPlace(python.FS, python.runPython(PLACE), await packages);
  python.runPython(LOOK_ANEW);
  return [python, fromSnapshot];
}

// `packages`: four bytes that are the length of a JSON list [[name, length], ...], the list, and the
// files one after the other (demo/tools/assemble.py). They stay where they are: none is copied.
function putInPlace(FS, place, packages) {
  const length = new DataView(packages.buffer).getUint32(0, true);
  let at = 4 + length;
  const made = new Set();
  for (const [name, size] of JSON.parse(new TextDecoder().decode(packages.subarray(4, at)))) {
    const path = `${place}/${name}`;
    const folder = path.slice(0, path.lastIndexOf("/"));
    if (!made.has(folder)) FS.mkdirTree(folder);
    made.add(folder);
    FS.writeFile(path, packages.subarray(at, at + size), { canOwn: true });
    at += size;
  }
}

async function bare(snapshot) {
  const { loadPyodide } = await loader;
  try {
    const python = await loadPyodide({
      _loadSnapshot: snapshot,
      createPyodideModule: async (settings) => withRoom(await (await program).default(settings), await snapshot),
    });
    python.runPython("import random; random.seed()"); // a frozen seed would repeat on every page
    return [python, true];
  } catch (error) {
    console.warn("Python's snapshot could not be used:", error);
    return [await loadPyodide(), false];
  }
}

// The program, its memory grown to what it had when it was frozen, which Pyodide takes as given. What is
// allocated for that is gone with all else when the snapshot is put in its place.
function withRoom(module, { length }) {
  while (module.HEAP8.length < length - PAGE) module._malloc(1 << 20);
  return module;
}
