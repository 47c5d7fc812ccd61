"""The records that a store has beside the bytes: of a model, and of each of its files."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import urlsplit

__all__ = ["BLOCK_BYTES", "FileRecord", "ModelRecord", "model_id"]

# What a killed process loses at most of each request under way.
BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class FileRecord:
    """What is written down beside a file.

    Attributes:
        name: of the file in its model.
        url: where it came from.
        size: in bytes; None as long as it is not known.
        sha256: what it must be, where that is known.
        complete: whether all of it is there, and was checked.
        block_bytes: of its blocks.
    """

    name: str
    url: str
    size: int | None = None
    etag: str | None = None
    modified: str | None = None
    sha256: str | None = None
    ranges: bool = True
    complete: bool = False
    block_bytes: int = BLOCK_BYTES

    def to_json(self) -> str:
        """The record as JSON, as it is stored."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str | None) -> FileRecord | None:
        """The record; None if there is none, or nothing that can be used."""
        try:
            fields: Any = json.loads(text or "null")
            record = cls(**fields)
        except (ValueError, TypeError):
            return None
        size, sha256 = record.size, record.sha256
        usable = (
            isinstance(record.block_bytes, int)
            and record.block_bytes > 0
            and isinstance(record.name, str)
            and isinstance(record.url, str)
            and (size is None or (isinstance(size, int) and size >= 0))
            and (sha256 is None or (isinstance(sha256, str) and len(sha256) == 64))
        )
        return record if usable else None

    @property
    def count(self) -> int:
        """Its blocks; 0 as long as its length is not known."""
        return -(-(self.size or 0) // self.block_bytes)


@dataclass
class ModelRecord:
    """What is written down of a model.

    Attributes:
        source: its address.
        used: when it was last used, in seconds since 1970.
        absent: files that its server does not have.
        listing: what the hub told of it.
    """

    source: str
    used: float = 0.0
    absent: set[str] = field(default_factory=set)
    listing: dict[str, Any] | None = None

    def to_json(self) -> str:
        """The record as JSON, as it is stored."""
        fields = {"source": self.source, "used": self.used, "absent": sorted(self.absent)}
        return json.dumps(fields | ({"listing": self.listing} if self.listing else {}))

    @classmethod
    def from_json(cls, text: str | None) -> ModelRecord | None:
        """The record; None if there is none, or nothing that can be used."""
        try:
            match json.loads(text or "null"):
                case {"source": str(source), "used": int() | float() as used, "absent": [*absent]}:
                    pass
                case _:
                    return None
        except ValueError:
            return None
        listing = json.loads(text or "").get("listing")
        known = listing if isinstance(listing, dict) else None
        return cls(source, used, {name for name in absent if isinstance(name, str)}, known)


def model_id(source: str) -> str:
    """The name that a backend knows a model by, of its address."""
    parts = urlsplit(source)
    shown = re.sub(r"[^\w.-]+", "-", (parts.netloc + parts.path).rstrip("/"), flags=re.ASCII)
    return f"{shown[-80:].strip('.-')}-{hashlib.sha256(source.encode()).hexdigest()[:10]}"
