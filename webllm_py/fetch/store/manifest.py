"""The manifest of an exported model: ``webllm_py.json`` beside its files.

JSON: {"model": a ModelRecord, "files": [a FileRecord and "digests", the SHA-256 of each of its
blocks in hexadecimal digits, one after the other], "sha256": of both, as ``json.dumps`` writes the
list of them}. Where such a folder is served, each block is checked as it comes, so that a wrong one
alone is fetched again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from webllm_py.errors import SourceError
from webllm_py.fetch.backends.records import FileRecord, ModelRecord

__all__ = ["MANIFEST", "MAX_MANIFEST", "Manifest"]

MANIFEST = "webllm_py.json"
MAX_MANIFEST = 16 << 20
DIGEST_BYTES = 32


@dataclass(frozen=True)
class Manifest:
    """A model and its files.

    Attributes:
        digests: of each file's blocks, by the file's name; none of files without.
    """

    model: ModelRecord
    files: list[FileRecord]
    digests: Mapping[str, list[bytes]] = field(default_factory=dict)

    def to_json(self) -> bytes:
        """The manifest as JSON, as it is exported."""
        files = []
        for file in self.files:
            digests = b"".join(self.digests.get(file.name, ()))
            files.append(json.loads(file.to_json()) | {"digests": digests.hex()})
        model = json.loads(self.model.to_json())
        sha256 = digest_of(model, files)
        return json.dumps({"model": model, "files": files, "sha256": sha256}).encode()

    @classmethod
    def parse(cls, where: str, text: bytes) -> Manifest:
        """The reverse.

        Raises:
            SourceError: it does not describe a model.
        """
        try:
            fields: Any = json.loads(text)
            if fields.get("sha256") not in (None, digest_of(fields["model"], fields["files"])):
                raise SourceError(f"{where}: {MANIFEST} is damaged.")
            model = ModelRecord.from_json(json.dumps(fields["model"]))
            digests = [bytes.fromhex(each.pop("digests", "")) for each in fields["files"]]
            files = [FileRecord.from_json(json.dumps(each)) for each in fields["files"]]
        except (ValueError, RecursionError, LookupError, TypeError, AttributeError) as error:
            raise SourceError(f"{where}: {MANIFEST} cannot be read: {error}") from error
        usable = [file for file in files if file and file.sha256 and file.size is not None]
        if model is None or len(usable) < len(files):
            raise SourceError(f"{where}: {MANIFEST} does not describe a model.")
        found = {}
        for file, joined in zip(usable, digests, strict=True):
            each = [joined[i : i + DIGEST_BYTES] for i in range(0, len(joined), DIGEST_BYTES)]
            if len(each) == file.count and len(joined) == DIGEST_BYTES * len(each):
                found[file.name] = each
        return cls(model, usable, found)


def digest_of(model: Any, files: Any) -> str:
    """The manifest's own digest, by which it is known to be whole."""
    return hashlib.sha256(json.dumps([model, files]).encode()).hexdigest()
