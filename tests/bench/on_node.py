"""Scripts of this folder in Pyodide on node, as in a browser.

Needs what ``build.py demo`` leaves in ``.cache``, and node.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["CACHE", "run_on_node"]

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache"
NODE = """
import { loadPyodide } from '%(pyodide)s/pyodide.mjs';
globalThis.cpuSeconds = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
};
const pyodide = await loadPyodide();
for (const [where, folder] of Object.entries(%(mounts)s)) pyodide.mountNodeFS(where, folder);
pyodide.runPython(`
import asyncio, sys
asyncio.events._set_running_loop(None)  # a script may run its own
sys.path[:0] = ['/checkout', '/checkout/tests/bench']
import %(module)s
%(module)s.main(%(words)s)
`);
"""


def run_on_node(module: str, words: Sequence[str], mounts: Mapping[str, Path]) -> int:
    """Call ``main`` of a module of this folder, where ``js.cpuSeconds()`` is node's processor time.

    Args:
        mounts: folders beside /checkout, by where Python finds them.
    """
    (pyodide,) = sorted(CACHE.glob("pyodide-*/"))[-1:]
    folders = {"/checkout": ROOT, **mounts}
    script = NODE % {
        "pyodide": pyodide,
        # A link is nothing that node mounts.
        "mounts": json.dumps({where: str(folder.resolve()) for where, folder in folders.items()}),
        "module": module,
        "words": json.dumps([*words]),
    }
    command = ["node", "--input-type=module", "-e", script]
    return subprocess.run(command, check=False).returncode
