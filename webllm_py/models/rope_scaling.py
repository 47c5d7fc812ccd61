"""How a context longer than the first training's was reached: scalings of rotary embedding."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from webllm_py.errors import CorruptCheckpointError, UnsupportedModelError

__all__ = ["RopeScaling", "scaling_from_gguf", "scaling_from_huggingface"]


@dataclass(frozen=True)
class RopeScaling:
    """A scaling of rotary frequencies.

    ``linear`` divides every frequency by ``factor`` (arXiv 2306.15595). ``llama3`` divides those
    whose wavelength is over ``original_context / low_freq_factor``, keeps those under
    ``original_context / high_freq_factor``, and blends in between (Llama 3.1's reference code).
    ``yarn`` (arXiv 2309.00071) keeps pairs that turn more than ``beta_fast`` times in the original
    context, divides those that turn less than ``beta_slow`` times, and blends in between.
    ``longrope`` (arXiv 2402.13753) divides each frequency by a factor of its own: one of
    ``long_factors`` where the context is longer than the original one, else of ``short_factors``.

    Attributes:
        length: what rotated queries and keys are multiplied with.
        truncate: whether yarn blends between whole pairs.
    """

    kind: Literal["linear", "llama3", "yarn", "longrope"]
    factor: float
    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0
    original_context: int = 8192
    length: float = 1.0
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    truncate: bool = True
    short_factors: tuple[float, ...] = ()
    long_factors: tuple[float, ...] = ()

    def factors(self, context_length: int) -> Sequence[float]:
        """longrope's for so long a context."""
        return self.long_factors if context_length > self.original_context else self.short_factors


def positive(source: Mapping[str, Any], key: str, *default: float) -> float:
    """A positive number of a scaling dictionary."""
    value = source.get(key)
    if value is None and default:
        return default[0]
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
        raise CorruptCheckpointError(
            f"rope scaling has {key} = {value!r}; it must be a positive number"
        )
    return float(value)


def scaling_from_huggingface(
    scaling: Mapping[str, Any], config: Mapping[str, Any]
) -> RopeScaling | None:
    """From config.json's ``rope_scaling`` (or transformers 5's ``rope_parameters``), and what the
    rest of it says of contexts. ``dynamic`` scales nothing within the context of the training,
    which is the longest here."""
    kind = scaling.get("rope_type", scaling.get("type", "default"))
    match kind:
        case "default" | "dynamic":
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
        case "yarn":
            return yarn(scaling, original_context(scaling, config))
        case "longrope" | "su":
            return longrope(scaling, config)
    raise UnsupportedModelError(f"rope scaling of type {kind!r} is not supported yet")


def original_context(scaling: Mapping[str, Any], config: Mapping[str, Any]) -> int:
    """The context of the first training."""
    key = "original_max_position_embeddings"
    found = scaling if scaling.get(key) is not None else config
    return int(positive(found, key, positive(config, "max_position_embeddings", 2048)))


def yarn(scaling: Mapping[str, Any], original: int) -> RopeScaling:
    """YaRN as transformers computes it."""
    factor = positive(scaling, "factor")
    length = yarn_length(factor)
    if scaling.get("mscale") and scaling.get("mscale_all_dim"):
        mscale, all_dim = positive(scaling, "mscale"), positive(scaling, "mscale_all_dim")
        length = yarn_length(factor, mscale) / yarn_length(factor, all_dim)
    return RopeScaling(
        "yarn",
        factor,
        original_context=original,
        length=positive(scaling, "attention_factor", length),
        beta_fast=positive(scaling, "beta_fast", 32.0),
        beta_slow=positive(scaling, "beta_slow", 1.0),
        truncate=scaling.get("truncate", True) is not False,
    )


def yarn_length(factor: float, mscale: float = 1.0) -> float:
    """What YaRN multiplies queries and keys with."""
    return 0.1 * mscale * math.log(factor) + 1 if factor > 1 else 1.0


def longrope(scaling: Mapping[str, Any], config: Mapping[str, Any]) -> RopeScaling:
    """LongRoPE as transformers computes it."""
    original = original_context(scaling, config)
    context = positive(config, "max_position_embeddings", original)
    factor = positive(scaling, "factor", context / original)
    length = math.sqrt(1 + math.log(factor) / math.log(original)) if factor > 1 < original else 1.0
    short, long = (numbers(scaling, key) for key in ("short_factor", "long_factor"))
    return RopeScaling(
        "longrope",
        factor,
        original_context=original,
        length=positive(scaling, "attention_factor", length),
        short_factors=short,
        long_factors=long,
    )


def numbers(source: Mapping[str, Any], key: str) -> tuple[float, ...]:
    """A list of positive numbers of a scaling dictionary."""
    values = source.get(key)
    if not isinstance(values, list) or not all(
        isinstance(value, (int, float)) and 0 < value < math.inf for value in values
    ):
        raise CorruptCheckpointError(f"rope scaling has no list of positive numbers {key}")
    return tuple(map(float, values))


def scaling_from_gguf(architecture: str, metadata: Mapping[str, Any]) -> RopeScaling | None:
    """From GGUF's ``rope.scaling.*``. The kinds llama3 and longrope come as tensors of factors."""
    prefix = f"{architecture}.rope."
    found = {
        key.removeprefix(f"{prefix}scaling."): value
        for key, value in metadata.items()
        if key.startswith(f"{prefix}scaling.")
    }
    kind = found.get("type", "none")
    if f"{prefix}scale_linear" in metadata:  # files from before scaling.type
        return RopeScaling("linear", positive(metadata, f"{prefix}scale_linear"))
    context = positive(metadata, f"{architecture}.context_length", 2048)
    original = int(positive(found, "original_context_length", context))
    match kind:
        case "none" | "longrope":
            if "attn_factor" not in found:
                return None
            return RopeScaling(
                "longrope",
                positive(found, "factor", context / original),
                original_context=original,
                length=positive(found, "attn_factor"),
            )
        case "linear":
            return RopeScaling("linear", positive(found, "factor"))
        case "yarn":
            factor = positive(found, "factor")
            log = found.get("yarn_log_multiplier")
            length = yarn_length(factor) / (yarn_length(factor, log) if log else 1.0)
            # config.json's attention_factor, which is all of the length.
            length = positive(found, "yarn_attn_factor", length)
            return RopeScaling(
                "yarn",
                factor,
                original_context=original,
                length=length * positive(found, "attn_factor", 1.0),
                beta_fast=positive(found, "yarn_beta_fast", 32.0),
                beta_slow=positive(found, "yarn_beta_slow", 1.0),
            )
    raise UnsupportedModelError(f"rope scaling of type {kind!r} is not supported yet")
