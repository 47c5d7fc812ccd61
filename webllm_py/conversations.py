"""What an engine lets one do with what its cache keeps: save, load, fork and rewind."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from webllm_py.errors import RequestError

if TYPE_CHECKING:
    from webllm_py.loading import LoadedModel
    from webllm_py.turns import Line

__all__ = ["KeptConversations"]


class KeptConversations:
    """The part of ``Engine`` that has to do with its prefix cache."""

    if TYPE_CHECKING:
        _line: Line

        @property
        def loaded(self) -> LoadedModel: ...

    async def save_state(self, path: str | Path | None = None) -> bytes:
        """The conversation that ended last, as the cache has it: tokens, keys and values. Whoever
        loads these bytes answers a prompt that begins with these tokens without computing them.

        Args:
            path: a file to write them to as well.

        Raises:
            StateError: the cache is empty.
        """
        from webllm_py.runtime.state import save_state

        async with self._line.join():
            model = self.loaded
            data = await save_state(model.executor, model.checkpoint.name)
        if path is not None:
            write_file(path, data)
        return data

    async def load_state(self, state: bytes | str | Path) -> int:
        """Put a saved conversation into the cache, beside what it has; its tokens' number.

        Args:
            state: what ``save_state`` returned, or the file that it wrote.

        Raises:
            StateError: it is damaged, longer than the context, or of a model with other weights,
                steering or ``kv_dtype``.
        """
        from webllm_py.runtime.state import load_state

        data = read_file(state) if isinstance(state, (str, Path)) else bytes(state)
        async with self._line.join():
            return await load_state(self.loaded.executor, data)

    async def fork(self) -> int:
        """Keep the conversation that ended last twice, so that two prompts may go on from it
        without computing it again; its tokens' number. Whole pages are shared.

        Raises:
            StateError: the cache is empty.
        """
        from webllm_py.runtime.state import fork_state

        async with self._line.join():
            return await fork_state(self.loaded.executor)

    async def rewind(self, n: int) -> list[int]:
        """Forget the last ``n`` tokens of the conversation that ended last; those that it keeps.

        Raises:
            StateError: the cache is empty.
            RequestError: it has fewer tokens.
        """
        from webllm_py.runtime.state import newest

        async with self._line.join():
            executor = self.loaded.executor
            tokens = newest(executor).tokens
            if not 0 <= n <= len(tokens):
                raise RequestError(f"n must be from 0 to {len(tokens)}, not {n}", param="n")
            return executor.cache.pages.rewind(n)


def write_file(path: str | Path, data: bytes) -> None:
    """A file whole."""
    Path(path).write_bytes(data)


def read_file(path: str | Path) -> bytes:
    """A file's bytes."""
    return Path(path).read_bytes()
