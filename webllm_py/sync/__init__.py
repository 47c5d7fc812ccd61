"""The same names for scripts, without ``await``.

::

    from webllm_py import sync

    with sync.load() as engine:
        for chunk in engine.chat.completions.create(messages=[...], stream=True):
            print(chunk.choices[0].delta.content or "", end="")

Natively an engine's event loop runs in a thread of its own, so this works wherever Python may wait,
in a notebook too. In Pyodide the browser suspends Python (JavaScript Promise Integration: Chrome
137, and Python entered by ``runPythonAsync``).
"""

from __future__ import annotations

from webllm_py.sync.engine import Engine, load
from webllm_py.sync.resources import Stream

__all__ = ["Engine", "Stream", "load"]
