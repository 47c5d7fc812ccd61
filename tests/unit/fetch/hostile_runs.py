"""Seeded runs against each way in which servers fail: what a run is served, and how runs count."""

from __future__ import annotations

import hashlib
import json
import random
import re
from dataclasses import dataclass, field

from hostile_server import HostileServer

from webllm_py.fetch.backends.records import FileRecord, ModelRecord
from webllm_py.fetch.store.manifest import Manifest

__all__ = ["BLOCK", "FILE", "KINDS", "OTHER", "PATH", "RATE", "TWICE", "Tally", "prepare"]

PATH = "m/f.bin"
FILE = random.Random(5).randbytes(1_500_000)
OTHER = random.Random(6).randbytes(1_500_000)
BLOCK = 1 << 13
KINDS = ("cut", "stall", "length", "ignore", "busy", "unavailable", "refuse", "flip", "change")
RATE = {"stall": 0.1, "flip": 0.06, "change": 0.05}  # of replies, else a third
TWICE = 0.02


def manifest(data: bytes) -> bytes:
    """What an exported model says of the file."""
    blocks = [data[i : i + BLOCK] for i in range(0, len(data), BLOCK)]
    record = FileRecord(
        "f.bin", "", len(data), sha256=hashlib.sha256(data).hexdigest(), block_bytes=BLOCK
    )
    digests = {"f.bin": [hashlib.sha256(block).digest() for block in blocks]}
    return Manifest(ModelRecord("m"), [record], digests).to_json()


MANIFEST = manifest(FILE)


def prepare(server: HostileServer, kind: str, seed: int) -> None:
    """Serve the file, and from then on fail in one way."""
    server.files = {PATH: FILE}
    if kind != "change":  # that would be refused with the manifest of the older file
        server.files["m/webllm_py.json"] = MANIFEST
    server.other, server.etags = {PATH: OTHER}, {PATH: '"1"'}
    server.random, server.flips = random.Random(seed), 0
    server.faults, server.rate = (kind,), RATE.get(kind, 1 / 3)


@dataclass
class Tally:
    """Runs of one kind.

    Attributes:
        whole: those that ended with the file.
        received: bytes that came in these.
        errors: what the others said.
    """

    kind: str
    whole: int = 0
    received: int = 0
    errors: set[str] = field(default_factory=set)

    @property
    def twice(self) -> float:
        """The share of bytes that came once more."""
        return self.received / max(1, self.whole * len(FILE)) - 1

    def wrong(self, error: str) -> None:
        """A run ended with an error."""
        self.errors.add(re.sub(r"http://\S+/f.bin:? ?", "", error)[:60])

    def right(self, found: str, received: int) -> None:
        """A run ended with a file of this SHA-256."""
        files = (FILE, OTHER) if self.kind == "change" else (FILE,)
        assert found in [hashlib.sha256(file).hexdigest() for file in files]
        self.whole += 1
        self.received += received

    def __str__(self) -> str:
        errors = sorted(self.errors)
        found = {"kind": self.kind, "whole": self.whole, "twice": self.twice, "errors": errors}
        return json.dumps(found)
