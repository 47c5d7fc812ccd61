"""What IPython shows of this package's own errors, and of those of functions that its caller gave:
the caller's lines, and what was wrong."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

__all__ = ["callers_own", "shortened"]

P = ParamSpec("P")
T = TypeVar("T")

PACKAGE = str(Path(__file__).parent)
LIBRARY = str(Path(contextlib.__file__).parent)  # Python's own


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


def of_callers(traceback: TracebackType | None, inside: bool = False) -> TracebackType | None:
    """Its frames outside of this package, a hook's too.

    Args:
        inside: whether this package was called last: then what follows of Python's own library,
            contextlib for one, is none of the caller's either.
    """
    if traceback is None:
        return None
    file = traceback.tb_frame.f_code.co_filename
    library = file.startswith(LIBRARY) and "site-packages" not in file
    inside = file.startswith(PACKAGE) or (inside and library)
    inner = of_callers(traceback.tb_next, inside)
    if inside:
        return inner
    return TracebackType(inner, traceback.tb_frame, traceback.tb_lasti, traceback.tb_lineno)


def callers_own(function: Callable[P, T]) -> Callable[P, T]:
    """A function that the caller gave, whose errors are shown like this package's."""

    def called(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except Exception as error:
            error._render_traceback_ = partial(shortened, error)  # type: ignore[attr-defined]
            raise

    called.__name__ = getattr(function, "__name__", repr(function))
    return called
