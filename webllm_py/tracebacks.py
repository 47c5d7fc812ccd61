"""What IPython shows of this package's own errors: the caller's lines, and what was wrong."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any

__all__ = ["shortened"]

PACKAGE = str(Path(__file__).parent)


def shortened(error: BaseException) -> list[str]:
    """An error's traceback as IPython renders it, without the frames of this package and what they
    caught before. ``%xmode Verbose`` shows all of it."""
    from IPython import get_ipython

    renderer: Any = get_ipython().InteractiveTB
    traceback, cause, hidden = error.__traceback__, error.__cause__, error.__suppress_context__
    if renderer.mode != "Verbose":
        traceback, error.__cause__ = of_callers(traceback), None
    try:
        lines: list[str] = renderer.structured_traceback(type(error), error, traceback)
    finally:
        error.__cause__, error.__suppress_context__ = cause, hidden
    return lines


def of_callers(traceback: TracebackType | None) -> TracebackType | None:
    """Its frames outside of this package: a hook's too."""
    if traceback is None:
        return None
    inner = of_callers(traceback.tb_next)
    if traceback.tb_frame.f_code.co_filename.startswith(PACKAGE):
        return inner
    return TracebackType(inner, traceback.tb_frame, traceback.tb_lasti, traceback.tb_lineno)
