"""What was measured while loading, kept for the adapter that it was measured on: the shapes that
the tuner found, and how chunks of a prompt are multiplied.

One JSON text an adapter. Whatever is wrong with it, it counts as empty, and what cannot be kept is
found again: tuning must never break a load.
"""

from __future__ import annotations

import json
from contextlib import suppress
from functools import cache
from hashlib import sha256
from typing import Any, TypeAlias

from webllm_py.errors import SourceError
from webllm_py.fetch.store.texts import open_store
from webllm_py.gpu.device import Device
from webllm_py.gpu.kernels import kernels_folder

__all__ = ["Choices", "keep_choices", "kept_choices"]

# Of a problem's name, the shape that it takes; for tuning/gemm_trial.py's, a number of GEMMS.
Choices: TypeAlias = dict[str, tuple[int, ...]]

KIND = "tuning"
# Changes when the same shapes would be measured in another way.
VERSION = 1
# Some ten models' worth.
MOST_CHOICES = 100
# open_store's, where there is no home folder either.
UNKEPT = (SourceError, RuntimeError)


async def kept_choices(device: Device) -> Choices:
    """What an earlier load found on this adapter with these kernels."""
    try:
        text = await open_store(KIND).read(file_name(device))
        return choices_in(json.loads(text or "{}"))
    except (*UNKEPT, ValueError, RecursionError):
        return {}


async def keep_choices(device: Device, choices: Choices) -> None:
    """Keep these as well, the newest last; the oldest give way."""
    found = await kept_choices(device)
    for name, shape in choices.items():
        found.pop(name, None)
        found[name] = shape
    text = json.dumps(
        {
            "version": VERSION,
            "kernels": kernels_hash(),
            "adapter": adapter(device),
            "shapes": dict([*found.items()][-MOST_CHOICES:]),
        },
        indent=1,
    )
    with suppress(*UNKEPT):
        await open_store(KIND).write(file_name(device), text)


def choices_in(value: Any) -> Choices:
    """The choices in a JSON value; none where it is not what ``keep_choices`` writes."""
    if not isinstance(value, dict):
        return {}
    # The hash last: it reads a hundred files.
    if value.get("version") != VERSION or value.get("kernels") != kernels_hash():
        return {}
    shapes = value.get("shapes")
    if not isinstance(shapes, dict):
        return {}
    return {
        name: tuple(shape)
        for name, shape in shapes.items()
        if isinstance(shape, list) and all(type(number) is int for number in shape)
    }


def adapter(device: Device) -> dict[str, Any]:
    """What a kernel's speed depends on besides the kernel."""
    info, variant = device.info, device.variant
    return {
        "name": info.name,
        "vendor": info.vendor,
        "backend": info.backend,
        "driver": info.driver,
        "f16": variant.f16,
        "subgroups": variant.subgroups,
    }


def file_name(device: Device) -> str:
    """One for each adapter."""
    return f"{sha256(json.dumps(adapter(device)).encode()).hexdigest()[:16]}.json"


@cache
def kernels_hash() -> str:
    """A hash of the text of every kernel: other kernels take other times."""
    texts = sorted((path.name, path.read_bytes()) for path in kernels_folder().rglob("*.wgsl"))
    return sha256(b"\0".join(name.encode() + b"\0" + text for name, text in texts)).hexdigest()[:16]
