"""Vectors of passages: made by a text embedder, compared with a question's.

Natively numpy multiplies. In Pyodide JavaScript does: 3,000 vectors of 384 numbers take it 3 ms
and a loop in Python (``sum(map(mul, ...))``) 125 ms or, on a busy machine, 770.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from webllm_py.engine import Engine

__all__ = ["Embedder", "cosines"]

TOGETHER = 32  # texts a request, between which progress is told and others have their turns
SHARE = 0.75  # of a model's positions that a passage fills at most: its headings come in front


class Embedder:
    """A loaded text embedder, as documents use it.

    Args:
        engine: of a text embedder.
        query_prefix: what the model wants before questions, as E5's "query: ".
        passage_prefix: what it wants before passages, as E5's "passage: ".

    Raises:
        RequestError: its model is no embedder.
    """

    def __init__(self, engine: Engine, query_prefix: str = "", passage_prefix: str = ""):
        self._engine, self._limit = engine, engine.embedder.context_length
        self._query_prefix, self._passage_prefix = query_prefix, passage_prefix
        info = engine.info
        self.name = str(info["name"])
        self.id = "|".join(
            str(part)
            for part in (self.name, info["quantization"], info["parameters"], passage_prefix)
        )
        """Vectors of another one cannot be compared with this one's."""

    def count_tokens(self, text: str) -> int:
        """Tokens of a piece of text."""
        return len(self._engine.tokenizer.encode(text, parse_special=False))

    def passage_tokens(self, wanted: int) -> int:
        """Most tokens that a passage can have."""
        return min(wanted, int(self._limit * SHARE))

    async def embed_passages(
        self, texts: Sequence[tuple[str, str]], on_progress: Callable[[int], object]
    ) -> array[float]:
        """The vectors of passages, float32 of (passages, numbers), each of length 1.

        Args:
            texts: of each the headings above it and its text.
            on_progress: called with the number of those that are done.
        """
        vectors = array("f")
        for start in range(0, len(texts), TOGETHER):
            part = texts[start : start + TOGETHER]
            for vector in await self._embed([self._whole(*text) for text in part]):
                vectors.extend(vector)
            on_progress(min(start + TOGETHER, len(texts)))
        return vectors

    async def embed_question(self, question: str) -> array[float]:
        """A question's vector, of length 1. Of a very long question its beginning counts."""
        text = self._query_prefix + question
        while self._length(text) > self._limit:
            text = text[: len(text) * self._limit // self._length(text) - 1]
        (vector,) = await self._embed([text])
        return vector

    def _whole(self, headings: str, text: str) -> str:
        with_headings = f"{self._passage_prefix}{headings}\n{text}"
        if headings and self._length(with_headings) <= self._limit:
            return with_headings
        return self._passage_prefix + text

    def _length(self, text: str) -> int:
        return len(self._engine.tokenizer.encode(text, add_special=True))

    async def _embed(self, texts: list[str]) -> list[array[float]]:
        reply = await self._engine.embeddings.create(input=texts)
        return [normalized(array("f", entry.embedding)) for entry in reply.data]  # type: ignore[arg-type]


def normalized(vector: array[float]) -> array[float]:
    """The vector at length 1."""
    length = sum(x * x for x in vector) ** 0.5 or 1.0
    return array("f", (x / length for x in vector))


def cosines(vectors: array[float], question: array[float]) -> Sequence[float]:
    """The cosine of each of several vectors with a question's; all are of length 1.

    Args:
        vectors: float32, one after the other.
    """
    if sys.platform == "emscripten":
        found: Sequence[float] = _script().scores(vectors, question).to_py()
        return found
    import numpy as np

    matrix = np.frombuffer(vectors, np.float32).reshape(-1, len(question))
    return (matrix @ np.frombuffer(question, np.float32)).tolist()  # type: ignore[no-any-return]


@cache
def _script() -> Any:
    from webllm_py.fetch.browser import load_script

    return load_script("documents/scores.js")
