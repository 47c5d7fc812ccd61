"""The base of every response object: a frozen dataclass that is a mapping too."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

from webllm_py.arrays import in_base64

__all__ = ["OPTIONAL", "Record"]


# Metadata of a dataclass field that is no key of the JSON form while it is None.
OPTIONAL: Mapping[str, bool] = {"optional": True}


class Record(Mapping[str, Any]):
    """``reply.choices[0].text`` and ``reply["choices"][0]["text"]`` are the same.

    As a mapping it has the keys of its JSON form: an optional field that is None is no key, as
    OpenAI leaves it out, but indexing it gives None all the same.
    Subclasses are dataclasses with ``eq=False``: equal to any mapping of the same content.
    """

    def __getitem__(self, key: str) -> Any:
        if key not in self.__dataclass_fields__:  # type: ignore[attr-defined]
            raise KeyError(key)
        return getattr(self, key)

    def __iter__(self) -> Iterator[str]:
        for entry in fields(self):  # type: ignore[arg-type]
            if getattr(self, entry.name) is not None or not entry.metadata.get("optional"):
                yield entry.name

    def __contains__(self, key: object) -> bool:
        return any(key == name for name in self)

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a key, or ``default`` if it is left out."""
        if key not in self:
            return default
        return self[key]

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts and lists, ready for ``json.dumps``: what OpenAI's interface sends.

        An array is ``{"dtype": "float32", "shape": [...], "base64": "..."}``, row-major and
        little-endian.
        """
        return {name: _plain(value) for name, value in self.items()}

    def to_json(self, *, indent: int | None = 2) -> str:
        """The JSON text."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=indent)

    def model_dump(
        self, *, exclude_none: bool = False, exclude_unset: bool = False
    ) -> dict[str, Any]:
        """``to_dict``, as programs written for the openai package call it. ``exclude_none`` leaves
        out every null; what is unset is no key in any case."""
        plain = self.to_dict()
        return _without_nulls(plain) if exclude_none else plain

    def model_dump_json(
        self, *, indent: int | None = None, exclude_none: bool = False, exclude_unset: bool = False
    ) -> str:
        """The same as JSON text."""
        plain = self.model_dump(exclude_none=exclude_none)
        return json.dumps(plain, ensure_ascii=False, indent=indent)

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.items())
        return f"{type(self).__name__}({shown})"

    def __init_subclass__(cls) -> None:
        cls.__repr__ = Record.__repr__  # type: ignore[method-assign]  # not a dataclass's own


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value


def _plain(value: Any) -> Any:
    if isinstance(value, Record):
        return value.to_dict()
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return in_base64(value) if hasattr(value, "tobytes") else value
