"""A schema document: its subschemas by path, and where references lead."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin

from webllm_py.errors import UnsupportedSchemaError

__all__ = ["Document"]

NO_SCHEMAS = frozenset(["enum", "const", "default", "examples", "example"])


class Document:
    """Subschemas have keys: the JSON pointer from the document's root, such as ``#/items``."""

    def __init__(self, schema: Any):
        self.root = schema
        declared = schema.get("$schema", "") if isinstance(schema, dict) else ""
        self.draft = _draft(declared if isinstance(declared, str) else "")
        self._bases: dict[str, str] = {}
        self._places: dict[str, str] = {"": "#"}
        self._made: dict[str, Any] = {}
        self._index(schema, "#", "")

    def _index(self, value: Any, key: str, base: str) -> None:
        if isinstance(value, list):
            for position, item in enumerate(value):
                self._index(item, f"{key}/{position}", base)
        if not isinstance(value, dict):
            return
        name = value.get("$id", value.get("id") if self.draft < 6 else None)
        if isinstance(name, str) and not ("$ref" in value and self.draft < 2019):
            if name.startswith("#"):
                self._places.setdefault(base + name, key)
            else:
                base = urldefrag(urljoin(base, name))[0]
                self._bases[key] = base
                self._places.setdefault(base, key)
        for anchor in ("$anchor", "$dynamicAnchor"):
            if isinstance(value.get(anchor), str):
                self._places.setdefault(f"{base}#{value[anchor]}", key)
        for word, inner in value.items():
            if word not in NO_SCHEMAS:
                self._index(inner, child(key, word), base)

    def make(self, schema: Any) -> str:
        """The key of a schema that stands in no document."""
        key = f"made:{json.dumps(schema, sort_keys=True)}"
        self._made[key] = schema
        return key

    def at(self, key: str) -> Any:
        """The subschema with this key.

        Raises:
            KeyError: there is none.
        """
        if key.startswith("made:"):
            whole, _, rest = key, "", ""
            while whole not in self._made:
                whole, _, last = whole.rpartition("/")
                rest = f"/{last}{rest}"
            value = self._made[whole]
        else:
            value, rest = self.root, key[1:]
        for part in rest.split("/")[1:]:
            part = part.replace("~1", "/").replace("~0", "~")
            if isinstance(value, list) and part.isdecimal() and int(part) < len(value):
                value = value[int(part)]
            elif isinstance(value, dict) and part in value:
                value = value[part]
            else:
                raise KeyError(key)
        return value

    def target(self, key: str, reference: str) -> str:
        """The key of the subschema that a ``$ref`` at ``key`` means.

        Raises:
            UnsupportedSchemaError: it leads out of the document, or nowhere.
        """
        whole = urljoin(self._base(key), reference) if reference else self._base(key)
        address, fragment = urldefrag(whole)
        if reference.startswith("#"):
            address, fragment = self._base(key), reference[1:]
        found = self._places.get(f"{address}#{fragment}" if fragment else address)
        if found is None and (not fragment or fragment.startswith("/")):
            found = self._places.get(address)
            if found is not None:
                found += unquote(fragment)
        try:
            if found is not None:
                self.at(found)
                return found
        except KeyError:
            pass
        raise UnsupportedSchemaError(
            f"{reference!r} is not in this document; put what it means into $defs",
            keyword="$ref",
            path=key,
        )

    def _base(self, key: str) -> str:
        while key:
            if key in self._bases:
                return self._bases[key]
            key = key.rpartition("/")[0]
        return ""


def child(key: str, word: str) -> str:
    """The key of what stands under ``word``."""
    return f"{key}/{word.replace('~', '~0').replace('/', '~1')}"


def _draft(declared: str) -> int:
    for draft in (3, 4, 6, 7):
        if f"draft-0{draft}" in declared:
            return draft
    return 2019 if "2019-09" in declared else 2020
