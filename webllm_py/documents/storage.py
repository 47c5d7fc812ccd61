"""Documents as they are kept: one record of the models' store a document, under an id of their own.

A record is written whole, so a document and its vectors belong together whatever is cut off.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sys
from array import array
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from webllm_py.documents.splitting import Span
from webllm_py.fetch.backends.backend import Backend
from webllm_py.fetch.backends.records import model_id
from webllm_py.fetch.store.models_store import models_store

__all__ = ["DocumentStore", "StoredDocument"]

VERSION = 1


@dataclass(frozen=True)
class StoredDocument:
    """A document with what is searched of it.

    Attributes:
        spans: its passages.
        measured: what counted their tokens, and their sizes: others are split anew.
        embedder: whose vectors it has, None if it has none.
        vectors: float32, one after the other, each of length 1.
    """

    name: str
    text: str
    spans: tuple[Span, ...]
    measured: str
    embedder: str | None
    vectors: array[float]

    def to_json(self) -> str:
        """For ``from_json``."""
        return json.dumps(
            {
                "version": VERSION,
                "name": self.name,
                "text": self.text,
                "spans": [[span.start, span.end, span.headings] for span in self.spans],
                "measured": self.measured,
                "embedder": self.embedder,
                "vectors": base64.b64encode(little_endian(self.vectors).tobytes()).decode(),
            },
            ensure_ascii=False,
        )

    @classmethod
    def from_json(cls, text: str | None) -> StoredDocument | None:
        """The document; None if it was cut off, or is of another version."""
        try:
            fields: dict[str, Any] = json.loads(text or "null")
            if fields["version"] != VERSION:
                return None
            vectors = array("f", base64.b64decode(fields["vectors"]))
            spans = tuple(Span(start, end, tuple(above)) for start, end, above in fields["spans"])
            return cls(
                fields["name"],
                fields["text"],
                spans,
                fields["measured"],
                fields["embedder"],
                little_endian(vectors),
            )
        except (ValueError, TypeError, KeyError):
            return None


class DocumentStore:
    """Where the documents of a collection are kept.

    Args:
        name: of the collection.
        place: as ``models_store`` takes it.
    """

    def __init__(self, name: str, place: Any = None):
        self._backend: Backend = models_store(place).backend
        self._id = model_id(f"documents:{name}")

    async def read(self) -> AsyncIterator[StoredDocument]:
        """All documents."""
        for file in await self._backend.files(self._id):
            document = StoredDocument.from_json(await self._backend.read_record(self._id, file))
            if document is not None:
                yield document

    async def write(self, document: StoredDocument) -> None:
        """Keep a document in the place of what has its name."""
        await self._backend.write_record(self._id, key(document.name), document.to_json())

    async def remove(self, name: str) -> None:
        """Delete a document."""
        await self._backend.delete(self._id, key(name))


def key(name: str) -> str:
    """A document's name among files: whatever it is called, and however long."""
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def little_endian(values: array[float]) -> array[float]:
    """The numbers with their bytes the other way round where the machine has them so."""
    if sys.byteorder == "big":
        values = values[:]
        values.byteswap()
    return values
