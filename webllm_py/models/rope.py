"""Rotary position embedding: frequencies, and the table that the kernels read."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from typing import NamedTuple

from webllm_py.errors import CorruptCheckpointError
from webllm_py.models.rope_scaling import RopeScaling

__all__ = ["FINE", "Rotation", "inverse_frequencies", "rope_table"]

# The table holds this many single positions and then multiples of it: see rope_append.wgsl.
FINE = 64


class Rotation(NamedTuple):
    """How queries and keys are rotated: radians a position of each pair, and what their length is
    multiplied with."""

    frequencies: Sequence[float]
    length: float = 1.0


def inverse_frequencies(
    rotary_dim: int,
    theta: float,
    scaling: RopeScaling | None = None,
    factors: Sequence[float] | None = None,
) -> list[float]:
    """Radians a position for each pair: ``theta ** (-2i / rotary_dim)`` (arXiv 2104.09864), scaled.

    Args:
        factors: divides each frequency: a tensor of GGUF's, or ``RopeScaling.factors``.
    """
    frequencies = [theta ** (-i / rotary_dim) for i in range(0, rotary_dim, 2)]
    if factors:
        if len(factors) != len(frequencies) or not all(0 < f < math.inf for f in factors):
            raise CorruptCheckpointError(
                f"rope_freqs, or longrope's factors, must be {len(frequencies)} positive numbers"
            )
        frequencies = [f / factor for f, factor in zip(frequencies, factors, strict=True)]
    if scaling is None or scaling.kind == "longrope":
        return frequencies
    match scaling.kind:
        case "linear":
            return [f / scaling.factor for f in frequencies]
        case "llama3":
            return [llama3_scaled(f, scaling) for f in frequencies]
    return yarn_scaled(frequencies, rotary_dim, theta, scaling)


def llama3_scaled(frequency: float, scaling: RopeScaling) -> float:
    """One frequency, scaled as Llama 3.1 does."""
    turns = scaling.original_context * frequency / (2 * math.pi)
    if turns < scaling.low_freq_factor:
        return frequency / scaling.factor
    if turns > scaling.high_freq_factor:
        return frequency
    keep = (turns - scaling.low_freq_factor) / (scaling.high_freq_factor - scaling.low_freq_factor)
    return frequency * (keep + (1 - keep) / scaling.factor)


def yarn_scaled(
    frequencies: Sequence[float], rotary_dim: int, theta: float, scaling: RopeScaling
) -> list[float]:
    """Frequencies scaled by YaRN, whose blend runs over pairs, not over wavelengths."""

    def pair(turns: float) -> float:
        wavelength = scaling.original_context / (turns * 2 * math.pi)
        return rotary_dim * math.log(wavelength) / (2 * math.log(theta))

    low, high = pair(scaling.beta_fast), pair(scaling.beta_slow)
    if scaling.truncate:
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, rotary_dim - 1)
    width = high - low if high != low else 0.001
    scaled = []
    for i, frequency in enumerate(frequencies):
        divided = min(1.0, max(0.0, (i - low) / width))
        scaled.append(frequency * (1 - divided + divided / scaling.factor))
    return scaled


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
