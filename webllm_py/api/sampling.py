"""The sampling fields of a request, and what a model's own generation_config.json says of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from webllm_py.api.checks import decimal, fail, integer, items, text, wrong_type
from webllm_py.errors import CorruptCheckpointError, RequestError
from webllm_py.runtime.sampling.settings import Dry, LogitsProcessor, SamplingSettings

__all__ = ["parse_sampling", "sampling_defaults"]

MAX_TOKEN_ID = 2**31 - 1
MAX_TOP_K = 2**31 - 1
MAX_PENALTY = 1000  # multiplies or divides logits: beyond, float32 may not hold them
SEED_LIMIT = 2**63  # seeds are signed 64-bit integers, as OpenAI's


def parse_sampling(
    fields: Mapping[str, Any], defaults: Mapping[str, Any] | None = None
) -> SamplingSettings:
    """The sampler's settings from the fields present; ``defaults`` stand in for absent ones.

    OpenAI's ranges hold where OpenAI has the field. ``temperature`` above 2 is refused as there:
    it gives noise, and a typing mistake is the likelier reason. ``top_k`` -1 means off, as in vLLM.
    """
    settings = dict(defaults or {})
    settings.update(
        (name, check(fields[name])) for name, check in _CHECKS.items() if name in fields
    )
    return SamplingSettings(**settings, dry=_dry(fields), **_mirostat(fields))


def sampling_defaults(generation_config: Mapping[str, Any]) -> dict[str, Any]:
    """The sampling settings that a model's generation_config.json recommends.

    Only what a sampler can follow is taken; the file holds much else. ``do_sample: false`` means
    greedy only where no temperature is given: published files keep both.

    Raises:
        CorruptCheckpointError: a value that no sampler can follow.
    """
    names = (
        "temperature",
        "top_k",
        "top_p",
        "min_p",
        "repetition_penalty",
        "frequency_penalty",
        "presence_penalty",
    )
    given = {n: generation_config[n] for n in names if generation_config.get(n) is not None}
    if generation_config.get("do_sample") is False and "temperature" not in given:
        given["temperature"] = 0.0
    try:
        return {name: _CHECKS[name](value) for name, value in given.items()}
    except RequestError as error:
        raise CorruptCheckpointError(
            f"generation_config.json: {error} Correct the file, or take the field out."
        ) from None


def _seed(value: Any) -> int:
    return integer(value, "seed", low=-SEED_LIMIT, high=SEED_LIMIT - 1)


def _top_k(value: Any) -> int:
    return max(0, integer(value, "top_k", low=-1, high=MAX_TOP_K))


def _logit_bias(value: Any) -> dict[int, float]:
    if not isinstance(value, Mapping):
        wrong_type("logit_bias", "an object of token ids and numbers", value)
    return {
        _token_id(key): decimal(bias, f"logit_bias[{key!r}]", low=-100, high=100)
        for key, bias in value.items()
    }


def _dry(fields: Mapping[str, Any]) -> Dry | None:
    """``dry_*``, with llama.cpp's defaults; a multiplier or a length of 0 is off."""
    given = {name: check(fields[name]) for name, check in _DRY.items() if name in fields}
    settings = {_DRY_NAMES.get(name, name.removeprefix("dry_")): v for name, v in given.items()}
    dry = Dry(**{"multiplier": 0.0, **settings})
    return dry if dry.multiplier and dry.last_n else None


def _breakers(value: Any) -> tuple[str, ...]:
    name = "dry_sequence_breakers"
    return tuple(
        text(item, f"{name}[{i}]", empty=False) for i, item in enumerate(items(value, name))
    )


def _mirostat(fields: Mapping[str, Any]) -> dict[str, Any]:
    """``mirostat`` is 0 (off), 1 or 2, without which ``mirostat_tau`` says nothing (llama.cpp)."""
    tau = decimal(fields.get("mirostat_tau", 5.0), "mirostat_tau", low=1e-3, high=100)
    version = integer(fields.get("mirostat", 0), "mirostat", low=0, high=2)
    return {"mirostat": version, "mirostat_tau": tau} if version else {}


def _token_id(key: Any) -> int:
    """A token id as JSON has it, a string of digits, or as Python has it."""
    if isinstance(key, str):
        if not (key.isascii() and key.isdigit() and len(key) <= 10):
            fail("logit_bias", f"has the key {key[:40]!r}, which is no token id.")
        key = int(key)
    return integer(key, "logit_bias", low=0, high=MAX_TOKEN_ID)


def _logits_processors(value: Any) -> tuple[LogitsProcessor, ...]:
    processors = value if isinstance(value, list | tuple) else [value]
    for index, processor in enumerate(processors):
        if not callable(processor):
            wrong_type(f"logits_processors[{index}]", "a function", processor)
    return tuple(processors)


_CHECKS: Mapping[str, Callable[[Any], Any]] = {
    "temperature": lambda value: decimal(value, "temperature", low=0, high=2),
    "top_k": _top_k,
    "top_p": lambda value: decimal(value, "top_p", low=0, high=1),
    "min_p": lambda value: decimal(value, "min_p", low=0, high=1),
    "seed": _seed,
    "repetition_penalty": lambda value: decimal(
        value, "repetition_penalty", low=1 / MAX_PENALTY, high=MAX_PENALTY
    ),
    "frequency_penalty": lambda value: decimal(value, "frequency_penalty", low=-2, high=2),
    "presence_penalty": lambda value: decimal(value, "presence_penalty", low=-2, high=2),
    "typical_p": lambda value: decimal(value, "typical_p", low=0, high=1),
    "xtc_probability": lambda value: decimal(value, "xtc_probability", low=0, high=1),
    "xtc_threshold": lambda value: decimal(value, "xtc_threshold", low=0, high=1),
    "mirostat_eta": lambda value: decimal(value, "mirostat_eta", low=0, high=1),
    "min_tokens": lambda value: integer(value, "min_tokens", low=0, high=MAX_TOKEN_ID),
    "no_repeat_ngram_size": lambda value: integer(
        value, "no_repeat_ngram_size", low=0, high=MAX_TOKEN_ID
    ),
    "logit_bias": _logit_bias,
    "logits_processors": _logits_processors,
}
_DRY: Mapping[str, Callable[[Any], Any]] = {
    "dry_multiplier": lambda value: decimal(value, "dry_multiplier", low=0, high=MAX_PENALTY),
    "dry_base": lambda value: decimal(value, "dry_base", low=1, high=MAX_PENALTY),
    "dry_allowed_length": lambda value: integer(
        value, "dry_allowed_length", low=1, high=MAX_TOKEN_ID
    ),
    "dry_penalty_last_n": lambda value: integer(
        value, "dry_penalty_last_n", low=-1, high=MAX_TOKEN_ID
    ),
    "dry_sequence_breakers": _breakers,
}
_DRY_NAMES = {"dry_penalty_last_n": "last_n", "dry_sequence_breakers": "breakers"}
