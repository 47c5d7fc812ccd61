"""How far loading has come, below a notebook's cell."""

from __future__ import annotations

import time
from html import escape
from typing import Any

from webllm_py.runtime.weights.progress import LoadProgress
from webllm_py.units import size

__all__ = ["LoadingBar"]


class LoadingBar:
    """A line with a bar in it: give it to ``load`` as ``on_progress``. The next load, once one is
    ready, has a line of its own."""

    def __init__(self) -> None:
        self._handle: Any = None
        self._began = 0.0

    def __call__(self, progress: LoadProgress) -> None:
        """Show a report in place of the load's last one."""
        if self._handle is None:
            self._began = time.monotonic()
        text = progress.text
        if progress.stage == "ready":
            text += f": {size(progress.loaded)} in {time.monotonic() - self._began:.1f} s"
        shown = {"text/html": html_of(progress, text), "text/plain": text}
        if self._handle is None:
            from IPython.display import display

            self._handle = display(shown, raw=True, display_id=True)
        else:
            self._handle.update(shown, raw=True)
        if progress.stage == "ready":
            self._handle = None


def html_of(progress: LoadProgress, text: str) -> str:
    """What a report looks like."""
    if progress.stage == "ready":
        return f"<div>{escape(text)}</div>"
    known = progress.stage == "weights" and progress.total
    # Without a value a bar moves to and fro.
    value = f' value="{progress.loaded / known:.3f}"' if known else ""
    return (
        '<div style="display: flex; align-items: center; gap: 0.8em">'
        f'<progress{value} style="width: 16em"></progress>{escape(text)}</div>'
    )
