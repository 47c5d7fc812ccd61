"""Event loops that code without ``await`` waits for: in a thread, or the browser's own."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Protocol, TypeVar

from webllm_py.engine import UNLOADED
from webllm_py.errors import EngineClosedError

__all__ = ["Runner", "new_runner"]

ResultT = TypeVar("ResultT")


def new_runner() -> Runner:
    """The one that this platform has.

    Raises:
        CannotSuspendError: in a browser that cannot make Python wait.
    """
    if sys.platform == "emscripten":
        from webllm_py.sync.browser import SuspendingRunner

        return SuspendingRunner()
    return ThreadRunner()


class Runner(Protocol):
    """Runs coroutines to their ends, all on one event loop."""

    def run(self, work: Coroutine[Any, Any, ResultT]) -> ResultT:
        """The result of one."""

    def forget(self, work: Coroutine[Any, Any, Any]) -> None:
        """Start one that nobody waits for."""

    def close(self) -> None:
        """No more will come."""


class ThreadRunner:
    """An event loop in a thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="webllm_py", daemon=True
        )
        self._thread.start()
        self._closed = False
        self._lock = threading.Lock()  # what is started is started before the loop ends, or not

    def run(self, work: Coroutine[Any, Any, ResultT]) -> ResultT:
        """The result; what interrupts waiting for it, as Ctrl-C does, ends the work too."""
        future = self._started(work)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def forget(self, work: Coroutine[Any, Any, Any]) -> None:
        with suppress(EngineClosedError):
            self._started(work)

    def _started(self, work: Coroutine[Any, Any, ResultT]) -> Future[ResultT]:
        with self._lock:
            if self._closed:
                work.close()
                raise EngineClosedError(UNLOADED)
            return asyncio.run_coroutine_threadsafe(work, self._loop)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            ended = asyncio.run_coroutine_threadsafe(others_ended(), self._loop)
        ended.result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def others_ended() -> None:
    """Wait for all other tasks, so that those who wait in other threads get their answers."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    await asyncio.gather(*others, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_default_executor()
