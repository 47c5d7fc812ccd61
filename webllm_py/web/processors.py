"""Logits processors that are a page's functions: asked by messages, through the worker's script."""

from __future__ import annotations

from array import array
from typing import Any

from webllm_py.errors import RequestError

__all__ = ["PageProcessor"]


class PageProcessor:
    """One of a request's logits processors.

    Args:
        page: see ``webllm_py/web/js/processors.js``: ``AskedProcessors``.
        index: which one.
    """

    def __init__(self, page: Any, index: int):
        self._page = page
        self._index = index

    async def __call__(self, logits: Any) -> array[float]:
        try:
            found = await self._page.process(self._index, logits)
        except Exception as error:  # a JavaScript error, which the page knows better
            name = f"logits_processors[{self._index}]"
            raise RequestError(f"{name} failed: {error}", param="logits_processors") from None
        changed = array("f")
        changed.frombytes(found.to_bytes())
        return changed

    def accept(self, token: int) -> None:
        """A token was drawn."""
        self._page.accept(self._index, token)

    def reset(self) -> None:
        """An answer begins."""
        self._page.reset(self._index)
