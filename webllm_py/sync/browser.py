"""Waiting without ``await`` in Pyodide, where the browser can suspend Python."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from pyodide.ffi import can_run_sync, run_sync

from webllm_py.errors import CannotSuspendError

__all__ = ["SuspendingRunner"]

ResultT = TypeVar("ResultT")


class SuspendingRunner:
    """The browser's event loop, on which Python suspends.

    Raises:
        CannotSuspendError: it cannot.
    """

    def __init__(self) -> None:
        if not can_run_sync():
            raise CannotSuspendError(
                "Python cannot wait here without an await: this browser has no JavaScript Promise "
                "Integration, or Python was not entered by runPythonAsync. Use `await "
                "webllm_py.load(...)` and its engine instead"
            )

    def run(self, work: Coroutine[Any, Any, ResultT]) -> ResultT:
        result: ResultT = run_sync(work)
        return result

    def forget(self, work: Coroutine[Any, Any, Any]) -> None:
        asyncio.ensure_future(work)  # noqa: RUF006 - the browser's loop keeps it

    def close(self) -> None:
        pass
