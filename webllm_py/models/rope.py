"""Rotary position embedding: frequencies, their scaling, and the table that the kernels read."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from webllm_py.errors import CorruptCheckpointError, UnsupportedModelError

__all__ = [
    "FINE",
    "RopeScaling",
    "Rotation",
    "inverse_frequencies",
    "rope_table",
    "scaling_from_gguf",
    "scaling_from_huggingface",
]

# The table holds this many single positions and then multiples of it: see rope_append.wgsl.
FINE = 64


@dataclass(frozen=True)
class RopeScaling:
    """How a context longer than the first training's was reached.

    ``linear`` divides every frequency by ``factor`` (arXiv 2306.15595). ``llama3`` divides those
    whose wavelength is over ``original_context / low_freq_factor``, keeps those under
    ``original_context / high_freq_factor``, and blends in between (Llama 3.1's reference code).
    """

    kind: Literal["linear", "llama3"]
    factor: float
    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0
    original_context: int = 8192


class Rotation(NamedTuple):
    """How queries and keys are rotated: radians a position of each pair, and what their length is
    multiplied with."""

    frequencies: Sequence[float]
    length: float = 1.0


def positive(source: Mapping[str, Any], key: str, *default: float) -> float:
    """A positive number of a scaling dictionary."""
    value = source.get(key, *default)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
        raise CorruptCheckpointError(
            f"rope scaling has {key} = {value!r}; it must be a positive number"
        )
    return float(value)


def scaling_from_huggingface(scaling: Any) -> RopeScaling | None:
    """From config.json's ``rope_scaling`` (or transformers 5's ``rope_parameters``)."""
    if scaling is None:
        return None
    if not isinstance(scaling, Mapping):
        raise CorruptCheckpointError(f"config.json has rope_scaling = {scaling!r}")
    kind = scaling.get("rope_type", scaling.get("type", "default"))
    match kind:
        case "default":
            return None
        case "linear":
            return RopeScaling("linear", positive(scaling, "factor"))
        case "llama3":
            return RopeScaling(
                "llama3",
                positive(scaling, "factor"),
                positive(scaling, "low_freq_factor", 1.0),
                positive(scaling, "high_freq_factor", 4.0),
                int(positive(scaling, "original_max_position_embeddings", 8192)),
            )
    raise UnsupportedModelError(f"rope scaling of type {kind!r} is not supported yet")


def scaling_from_gguf(architecture: str, metadata: Mapping[str, Any]) -> RopeScaling | None:
    """From GGUF's ``rope.scaling.*``. The llama3 kind comes as a tensor of factors instead."""
    prefix = f"{architecture}.rope."
    kind = metadata.get(f"{prefix}scaling.type", "none")
    if f"{prefix}scale_linear" in metadata:  # files from before scaling.type
        return RopeScaling("linear", positive(metadata, f"{prefix}scale_linear"))
    match kind:
        case "none":
            return None
        case "linear":
            return RopeScaling("linear", positive(metadata, f"{prefix}scaling.factor"))
    raise UnsupportedModelError(f"rope scaling of type {kind!r} is not supported yet")


def inverse_frequencies(
    rotary_dim: int,
    theta: float,
    scaling: RopeScaling | None = None,
    factors: Sequence[float] | None = None,
) -> list[float]:
    """Radians a position for each pair: ``theta ** (-2i / rotary_dim)`` (arXiv 2104.09864), scaled.

    Args:
        factors: divides each frequency: GGUF's ``rope_freqs.weight``.
    """
    frequencies = [theta ** (-i / rotary_dim) for i in range(0, rotary_dim, 2)]
    if factors is not None:
        if len(factors) != len(frequencies) or not all(0 < f < math.inf for f in factors):
            raise CorruptCheckpointError(
                f"rope_freqs.weight must hold {len(frequencies)} positive numbers"
            )
        frequencies = [f / factor for f, factor in zip(frequencies, factors, strict=True)]
    if scaling is None:
        return frequencies
    if scaling.kind == "linear":
        return [f / scaling.factor for f in frequencies]
    return [llama3_scaled(f, scaling) for f in frequencies]


def llama3_scaled(frequency: float, scaling: RopeScaling) -> float:
    """One frequency, scaled as Llama 3.1 does."""
    turns = scaling.original_context * frequency / (2 * math.pi)
    if turns < scaling.low_freq_factor:
        return frequency / scaling.factor
    if turns > scaling.high_freq_factor:
        return frequency
    keep = (turns - scaling.low_freq_factor) / (scaling.high_freq_factor - scaling.low_freq_factor)
    return frequency * (keep + (1 - keep) / scaling.factor)


def rope_table(rotation: Rotation, context_length: int) -> bytes:
    """float32 (cos, sin) of positions 0 .. FINE-1, then of the multiples of FINE in the context,
    these times the rotation's length.

    Shape (FINE + ceil(context_length / FINE), len(frequencies), 2), row-major.
    """
    fine, coarse = range(FINE), range(0, context_length, FINE)
    table = array("f")
    for positions, length in ((fine, 1.0), (coarse, rotation.length)):
        for position in positions:
            for frequency in rotation.frequencies:
                angle = position * frequency
                table.append(length * math.cos(angle))
                table.append(length * math.sin(angle))
    return table.tobytes()
