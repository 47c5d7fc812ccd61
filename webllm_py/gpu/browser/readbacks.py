"""Read-backs under way in the browser."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from itertools import count
from typing import Any

from pyodide.ffi import JsException, create_proxy

from webllm_py.gpu.browser.errors import lost_error, translated
from webllm_py.waking import WakingFuture

__all__ = ["ReadBacks"]


class ReadBacks:
    """The read-backs of one device. JavaScript ends each by its number, in one call.

    Awaiting a promise of JavaScript instead takes a task and several turns of the event loop.
    """

    def __init__(self, js: Any):
        self._worked = 0.0
        self._since: float | None = None
        self._waiting: dict[int, WakingFuture[bytes]] = {}
        self._numbers = count()
        self._proxies = [create_proxy(self._take), create_proxy(self._fail)]
        js.readBacks.hear(*self._proxies)

    def begin(self, start: Callable[..., None], *arguments: Any) -> asyncio.Future[bytes]:
        """Call a method of replay.js that reads bytes; the bytes, once it has them.

        Args:
            start: the method; its first argument is the read-back's number.
            arguments: its other arguments.
        """
        reading: WakingFuture[bytes] = WakingFuture(asyncio.get_running_loop())
        number = next(self._numbers)
        self._waiting[number] = reading
        try:
            start(number, *arguments)
        except JsException as error:
            self._fail(number, error)
        return reading

    @property
    def spent(self) -> float:
        """Seconds that Python has spent in JavaScript's callbacks so far."""
        under_way = time.perf_counter() - self._since if self._since is not None else 0.0
        return self._worked + under_way

    def close(self) -> None:
        """Fail every read-back that waits: JavaScript will end none of them any more."""
        for reading in self._waiting.values():
            if not reading.done():
                reading.set_exception(lost_error("closed: the engine was unloaded"))
        self._waiting.clear()
        for proxy in self._proxies:
            proxy.destroy()

    def _take(self, number: int, data: Any) -> None:
        self._since = time.perf_counter()
        reading = self._waiting.pop(number)
        # Few bytes come as a string, which is quicker to read than an array of JavaScript's.
        whole = data.encode("latin-1") if isinstance(data, str) else data.to_bytes()
        if not reading.done():
            reading.set_result(whole)
        self._worked, self._since = self.spent, None

    def _fail(self, number: int, error: Any) -> None:
        reading = self._waiting.pop(number)
        if not reading.done():
            reading.set_exception(translated(error))
