// Starts Python in Node, imports what every page imports, and writes its memory, gzipped.
// A page that starts from this memory is ready about four times sooner than one that starts Python.
//
// usage: node snapshot.mjs PYODIDE_FOLDER OUT.gz WHEEL...

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { gzipSync } from "node:zlib";

const [folder, out, ...wheels] = process.argv.slice(2);

// A module that touches JavaScript holds references that a snapshot cannot keep; the page imports
// those itself.
const IMPORTS = `
import asyncio, json, sys
import jinja2.sandbox
import webllm_py.engine
held = sorted(name for name in sys.modules if name.startswith("webllm_py.") and name.endswith(".browser"))
if held:
    raise ImportError(f"import webllm_py.engine must not import {held}: they need a browser")
`;

async function main() {
  const { loadPyodide } = await import(pathToFileURL(join(folder, "pyodide.mjs")).href);
  const python = await loadPyodide({ _makeSnapshot: true });
  for (const wheel of wheels) python.unpackArchive(new Uint8Array(readFileSync(wheel)), "wheel");
  python.runPython(IMPORTS);
  writeFileSync(out, gzipSync(python.makeMemorySnapshot(), { level: 9 }));
}

try {
  await main();
  process.exit(0); // Python's event loop would keep Node alive
} catch (error) {
  // Node prints the whole minified source line of an uncaught error.
  console.error(String(error?.stack ?? error).slice(-3000));
  process.exit(1);
}
