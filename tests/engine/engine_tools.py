"""What engine tests use to steer and watch a generation through the public interface."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import webllm_py
from webllm_py import Engine
from webllm_py.runtime.generation import in_flight

__all__ = [
    "EOS",
    "PRINTABLE_ONLY",
    "Teacher",
    "ahead",
    "answer_of",
    "generation_logits",
    "open_files",
    "said",
]

EOS = 257

# A logit bias that leaves a made model (a token a byte) only printable ASCII to say.
PRINTABLE_ONLY = {token: -100 for token in range(263) if not 32 <= token < 127}


class Teacher:
    """A logits processor that keeps the logits it sees and makes the sampler take given tokens.

    A made model has a token a byte, so that ``b"text"`` is what it says.
    """

    def __init__(self, tokens: Sequence[int]):
        self.tokens = tokens
        self.seen: list[np.ndarray] = []

    def __call__(self, logits: Any) -> Any:
        self.seen.append(np.array(logits))
        forced = np.full_like(logits, -1e9)
        forced[self.tokens[len(self.seen) - 1]] = 0
        return forced


def ahead(patch: pytest.MonkeyPatch, seconds: float) -> None:
    """From now on have decode steps in flight for so long: 1e-4 waits for each, 1e3 for none."""
    for of_reads in ("READ_SECONDS", "QUICK_READ_SECONDS"):
        patch.setattr(in_flight, of_reads, seconds)
    patch.setattr(in_flight, "SPARE_SECONDS", min(seconds, in_flight.SPARE_SECONDS))


async def generation_logits(engine: Engine, tokens: Sequence[int], prompt: int) -> np.ndarray:
    """The logits that generation sees after the positions from ``prompt - 1`` on.

    The first ``prompt`` tokens are prefilled, the others come out of decode steps.
    """
    teacher = Teacher([*tokens[prompt:], 0])
    await engine.completions.create(
        prompt=list(tokens[:prompt]),
        max_tokens=len(tokens) - prompt + 1,
        temperature=0,
        ignore_eos=True,
        logits_processors=[teacher],
    )
    return np.array(teacher.seen)


async def said(engine: Engine, prompt: str = "Once", **fields: Any) -> str:
    """The greedy answer to a prompt, printable."""
    reply = await engine.completions.create(
        **{
            "prompt": prompt,
            "max_tokens": 40,
            "temperature": 0,
            "logit_bias": PRINTABLE_ONLY,
            **fields,
        }
    )
    text: str = reply.choices[0].text
    return text


async def answer_of(source: Path, device: Any, **options: Any) -> str:
    """A short answer of an engine that is loaded for it."""
    async with await webllm_py.load(source, device=device, **options) as engine:
        return await said(engine, max_tokens=8)


def open_files(folder: Path) -> list[str]:
    """The files below a folder that this process holds open."""
    if not sys.platform.startswith("linux"):
        return []
    found = []
    for handle in Path("/proc/self/fd").iterdir():
        try:
            target = str(handle.readlink())
        except OSError:
            continue  # the handle of this very listing
        if target.startswith(str(folder)):
            found.append(target)
    return found
