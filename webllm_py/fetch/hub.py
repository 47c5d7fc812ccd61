"""The Hugging Face hub: what a repository holds, and its own cache on this machine."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from webllm_py.errors import SourceError

__all__ = ["Listing", "cached_snapshot", "holds_model", "hub_folder", "listing_url"]

COMMIT = re.compile(r"[0-9a-f]{40}")
SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Listing:
    """A revision of a repository.

    Attributes:
        commit: its hash, which pins what is loaded; None where a mirror does not tell.
        files: the SHA-256 of each, None for those that are kept in git itself, and small.
    """

    commit: str | None
    files: Mapping[str, str | None]

    @classmethod
    def parse(cls, text: str | bytes) -> Listing:
        """The listing of the hub's JSON, or of ``to_json``.

        Raises:
            SourceError: it is none.
        """
        try:
            answer: Any = json.loads(text)
            commit = answer.get("sha")
            files = {}
            for entry in answer["siblings"]:
                sha256 = (entry.get("lfs") or {}).get("sha256")
                known = isinstance(sha256, str) and SHA256.fullmatch(sha256)
                files[str(entry["rfilename"])] = sha256 if known else None
        except (ValueError, RecursionError, LookupError, TypeError, AttributeError) as error:
            raise SourceError(f"the hub's listing cannot be read: {error}") from error
        pinned = isinstance(commit, str) and COMMIT.fullmatch(commit)
        return cls(commit if pinned else None, files)

    def to_json(self) -> dict[str, Any]:
        """What ``parse`` reads."""
        siblings = [
            {"rfilename": name, "lfs": {"sha256": sha256} if sha256 else None}
            for name, sha256 in self.files.items()
        ]
        return {"sha": self.commit, "siblings": siblings}


def listing_url(hub: str, repository: str, revision: str) -> str:
    """Where the listing of a revision is, with the files' digests."""
    return f"{hub}/api/models/{repository}/revision/{quote(revision, safe='')}?blobs=true"


def hub_folder(hub: str, repository: str, revision: str, folder: str = "") -> str:
    """The address below which a revision's files are."""
    return f"{hub}/{repository}/resolve/{quote(revision, safe='')}/{quote(folder)}"


def cached_snapshot(repository: str, revision: str) -> Path | None:
    """The folder of the hub's own cache with what was downloaded of a revision, if there is one."""
    cache = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    home = os.environ.get("HF_HOME")
    if cache is None:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "huggingface"
        cache = str((Path(home) if home else base) / "hub")
    folder = Path(cache) / f"models--{repository.replace('/', '--')}"
    try:
        if COMMIT.fullmatch(revision):
            commit = revision
        else:
            commit = (folder / "refs" / revision).read_text("utf-8").strip()
        snapshot = folder / "snapshots" / commit
        return snapshot if COMMIT.fullmatch(commit) and snapshot.is_dir() else None
    except (OSError, ValueError):
        return None


def holds_model(folder: Path) -> bool:
    """Whether a folder has all of a model's weights, or an adapter's: a snapshot may lack some."""
    try:
        names = {path.name for path in folder.iterdir() if path.is_file()}
    except OSError:
        return False
    for index in ("model.safetensors.index.json", "tensor-cache.json", "ndarray-cache.json"):
        if index in names:
            return _parts(folder / index) <= names
    whole = {"model.safetensors", "adapter_model.safetensors"}
    return bool(whole & names) or any(name.endswith(".gguf") for name in names)


def _parts(index: Path) -> set[str]:
    """The files that an index of weights names; one that nobody has, if it cannot be read."""
    try:
        fields: Any = json.loads(index.read_bytes())
        records = fields.get("records", ())
        return {*fields.get("weight_map", {}).values(), *(part["dataPath"] for part in records)}
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return {"\0"}
