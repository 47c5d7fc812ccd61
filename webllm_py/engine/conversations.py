"""What can be done with conversations in the prefix cache: save, load, fork and rewind."""

from __future__ import annotations

import sys
from pathlib import Path

from webllm_py.concurrency import in_thread
from webllm_py.engine.core import EngineCore
from webllm_py.errors import RequestError, SourceError

__all__ = ["ConversationsMixin"]


class ConversationsMixin(EngineCore):
    """The part of ``Engine`` that has to do with its prefix cache."""

    async def save_state(self, path: str | Path | None = None) -> bytes:
        """Serialize the conversation that ended last: its tokens, keys and values. After
        ``load_state`` of these bytes, a prompt that begins with these tokens is not computed again.

        Args:
            path: a file to write the bytes to as well; in a browser "opfs:name" is a file in the
                origin-private file system, which stays when the tab is closed.

        Raises:
            StateError: the cache is empty.
            SourceError: the file cannot be written; "opfs:" where there is no such file system.
        """
        from webllm_py.runtime.saved_state import save_state

        async with self._queue.join():
            model = self.loaded
            data = await save_state(model.executor, model.checkpoint.name)
        if path is not None:
            await write_state(path, data)
        return data

    async def load_state(self, state: bytes | str | Path) -> int:
        """Put a saved conversation into the cache, beside what it has.

        Args:
            state: what ``save_state`` returned, or the path that it was given.

        Returns:
            The number of its tokens.

        Raises:
            StateError: it is damaged, longer than the context, or of a model with other weights,
                steering or ``kv_dtype``.
            SourceError: there is no such file, or it cannot be read.
        """
        from webllm_py.runtime.saved_state import load_state

        data = await read_state(state) if isinstance(state, (str, Path)) else bytes(state)
        async with self._queue.join():
            return await load_state(self.loaded.executor, data)

    async def fork(self) -> int:
        """Keep the conversation that ended last twice, so that two prompts may go on from it
        without computing it again. Whole pages of the cache are shared.

        Returns:
            The number of its tokens.

        Raises:
            StateError: the cache is empty.
        """
        from webllm_py.runtime.saved_state import fork_state

        async with self._queue.join():
            return await fork_state(self.loaded.executor)

    async def rewind(self, n: int) -> list[int]:
        """Forget the last ``n`` tokens of the conversation that ended last.

        Returns:
            The tokens that it keeps.

        Raises:
            StateError: the cache is empty.
            RequestError: it has fewer tokens.
        """
        from webllm_py.runtime.saved_state import newest

        async with self._queue.join():
            executor = self.loaded.executor
            tokens = newest(executor).tokens
            if not (hasattr(n, "__index__") and 0 <= n <= len(tokens)):
                problem = f"n must be a whole number from 0 to {len(tokens)}, not {n!r}"
                raise RequestError(problem, param="n")
            return executor.cache.pages.rewind(n)


OPFS = "opfs:"


async def write_state(path: str | Path, data: bytes) -> None:
    """Write a file, or with "opfs:" one in the browser's own file system."""
    name = private_name(path)
    if name is None:
        await in_thread(lambda: write_file(path, data))
        return
    from webllm_py.fetch.backends import browser_backend

    await browser_backend.write_state(name, data)


async def read_state(path: str | Path) -> bytes:
    """Read what ``write_state`` wrote."""
    name = private_name(path)
    if name is None:
        return await in_thread(lambda: read_file(path))
    from webllm_py.fetch.backends import browser_backend

    return await browser_backend.read_state(name)


def private_name(path: str | Path) -> str | None:
    """The name behind "opfs:", in the browser's own file system; None for other paths.

    Raises:
        SourceError: there is no browser.
    """
    if not str(path).startswith(OPFS):
        return None
    in_browser = sys.platform == "emscripten"
    if not in_browser:
        raise SourceError(f"{path} is in a browser's own file system; give the path of a file here")
    return str(path).removeprefix(OPFS)


def write_file(path: str | Path, data: bytes) -> None:
    """Write a file."""
    try:
        Path(path).write_bytes(data)
    except OSError as error:
        raise SourceError(f"{path} cannot be written: {error.strerror or error}") from error


def read_file(path: str | Path) -> bytes:
    """A file's bytes."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror or error}") from error
