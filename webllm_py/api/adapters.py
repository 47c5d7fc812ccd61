"""Which adapters a request asks for: ``adapters``, or llama.cpp's ``lora``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from webllm_py.api.checks import decimal, fail, integer, items, mapping, refuse_unknown, text

__all__ = ["AdapterChoice", "adapter_choice"]

MOST = 1e6  # of a scale, either way
MOST_ID = 1 << 20


@dataclass(frozen=True)
class AdapterChoice:
    """Adapters and their scales.

    Attributes:
        names: by name.
        ids: by place among those that are loaded, in the order of their loading.
    """

    names: Mapping[str, float]
    ids: Mapping[int, float]


def adapter_choice(present: Mapping[str, Any]) -> AdapterChoice | None:
    """What a request says; None if it says nothing.

    ``adapters`` is an object of names and scales, or a list of names, each at scale 1; ``lora`` a
    list of objects with ``id`` and ``scale``.

    Raises:
        RequestError: it is something else.
    """
    if "adapters" not in present and "lora" not in present:
        return None
    if "adapters" in present and "lora" in present:
        fail("lora", "says what 'adapters' says; give one of them.")
    return AdapterChoice(by_name(present.get("adapters", {})), by_id(present.get("lora", [])))


def by_name(value: Any) -> dict[str, float]:
    """``adapters``."""
    if isinstance(value, list | tuple):
        names = [text(name, f"adapters[{i}]", empty=False) for i, name in enumerate(value)]
        return dict.fromkeys(names, 1.0)
    return {
        name: decimal(scale, f"adapters.{name}", low=-MOST, high=MOST)
        for name, scale in mapping(value, "adapters").items()
    }


def by_id(value: Any) -> dict[int, float]:
    """``lora``."""
    found = {}
    for i, one in enumerate(items(value, "lora")):
        fields = mapping(one, f"lora[{i}]")
        refuse_unknown(fields, ("id", "scale"), f"lora[{i}]")
        if "id" not in fields:
            fail(f"lora[{i}].id", "is missing.", code="missing_required_parameter")
        id = integer(fields["id"], f"lora[{i}].id", low=0, high=MOST_ID)
        scale = fields.get("scale", 1.0)
        found[id] = decimal(scale, f"lora[{i}].scale", low=-MOST, high=MOST)
    return found
