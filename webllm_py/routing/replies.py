"""A JSON object that also has its keys as attributes: what engines and servers answer alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["Reply"]


class Reply(Mapping[str, Any]):
    """``reply.choices[0].text`` and ``reply["choices"][0]["text"]`` are the same.

    A key that OpenAI leaves out is None as an attribute.
    """

    def __init__(self, fields: Mapping[str, Any]):
        self._fields = fields

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return wrapped(self._fields.get(name))

    def __getitem__(self, key: str) -> Any:
        return wrapped(self._fields[key])

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __repr__(self) -> str:
        return f"Reply({self._fields!r})"

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts and lists."""
        return dict(self._fields)


def wrapped(value: Any) -> Any:
    """A value of JSON, its objects as replies."""
    if isinstance(value, Mapping):
        return Reply(value)
    if isinstance(value, list):
        return [wrapped(item) for item in value]
    return value
