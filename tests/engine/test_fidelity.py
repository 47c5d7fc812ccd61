"""How far real models' next-token distributions are from those of transformers in float32.

In nats: the mean over positions of the Kullback-Leibler divergence from transformers' distribution
to the one that generation draws from, after a prefill and after decode steps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from engine_tools import generation_logits
from expected import FIXTURES
from family_files import write_family_folder
from made_families import Recorded
from mixture_models import MIXTURE_IN_BLOCKS

import webllm_py
from webllm_py import Engine
from webllm_py.gpu import Device

Find = Callable[[str], Path]


@dataclass(frozen=True)
class Fidelity:
    """What transformers says of a model: whole rows of logits at some positions of a text, and the
    greedy tokens after the first ``prompt`` of ``greedy``."""

    ids: list[int]
    positions: np.ndarray
    logits: np.ndarray
    greedy: list[int]
    prompt: int

    @classmethod
    def load(cls, name: str) -> Fidelity:
        with np.load(FIXTURES / f"fidelity-{name}.npz") as file:
            return cls(
                file["ids"].tolist(),
                file["positions"],
                file["logits"],
                file["greedy"].tolist(),
                int(file["prompt"]),
            )


# Fixture, checkpoint (None: the pocket model, or none of them), options of ``load``. Of quantized
# weights the fixture has the logits of their float32 values.
MODELS: dict[str, tuple[str | None, dict[str, Any]]] = {
    "tinystories-656k": ("TinyStories-656K", {}),
    "tinystories-656k-q4": ("TinyStories-656K", {"quantize": "q4"}),
    "stories260k": ("stories260K/stories260K.gguf", {}),
    "pocket": (None, {}),
    # Out of a formula.
    MIXTURE_IN_BLOCKS.name: (None, {"quantize": "q4"}),
}


def log_softmax(logits: np.ndarray) -> np.ndarray:
    rows = logits.astype(np.float64)
    rows -= rows.max(1, keepdims=True)
    return np.asarray(rows - np.log(np.exp(rows).sum(1, keepdims=True)))


def divergence(wanted: np.ndarray, found: np.ndarray) -> float:
    """The mean of KL(wanted || found) over rows of logits."""
    p, q = log_softmax(wanted), log_softmax(found)
    return float((np.exp(p) * (p - q)).sum(1).mean())


async def load(name: str, find: Find, device: Device, kv_dtype: str, **more: Any) -> Engine:
    checkpoint, options = MODELS[name]
    options = {**options, **more}
    source = find(checkpoint) if checkpoint else None
    with TemporaryDirectory() as folder:
        if name == MIXTURE_IN_BLOCKS.name:
            recorded = Recorded.load(name)
            weights = MIXTURE_IN_BLOCKS.weights(recorded.shapes)
            source = write_family_folder(Path(folder) / name, recorded, weights)
        return await webllm_py.load(source, device=device, kv_dtype=kv_dtype, **options)


async def measured(engine: Engine, name: str) -> float:
    """The divergence of a model."""
    expected = Fidelity.load(name)
    first = int(expected.positions[0])
    seen = await generation_logits(engine, expected.ids, first + 1)
    found = divergence(expected.logits, seen[expected.positions - first])
    about = engine.info
    print(f"{name}: {about['kernels']}, cache {about['kv_dtype']}: mean KL {found:.1e} nats")
    return found


@pytest.mark.parametrize("name", ["tinystories-656k", "stories260k", "pocket"])
async def test_in_float32(name: str, checkpoint: Find, plain_device: Device) -> None:
    """The greedy text is transformers', too: the least distance of its best token from a second
    is 0.006."""
    expected = Fidelity.load(name)
    prompt, answer = expected.greedy[: expected.prompt], expected.greedy[expected.prompt :]
    async with await load(name, checkpoint, plain_device, "f32") as engine:
        assert await measured(engine, name) < 1e-5
        reply = await engine.completions.create(
            prompt=prompt, max_tokens=len(answer), temperature=0, ignore_eos=True
        )
        before, whole = (
            engine.tokenizer.decode(ids, skip_special=True) for ids in (prompt, expected.greedy)
        )
    assert reply.choices[0].text.strip() == whole.removeprefix(before).strip()
    assert len(whole) > len(before) + 100


@pytest.mark.parametrize("name", MODELS)
async def test_as_loaded_by_default(name: str, checkpoint: Find, device: Device) -> None:
    """f16 arithmetic where the GPU has it, keys and values in float16."""
    async with await load(name, checkpoint, device, "f16") as engine:
        assert await measured(engine, name) < 2e-3


@pytest.mark.parametrize("name", ["tinystories-656k", "pocket"])
async def test_with_an_8_bit_cache(name: str, checkpoint: Find, device: Device) -> None:
    """Less than what float16 may be off by, but more than it is."""
    async with await load(name, checkpoint, device, "q8") as engine:
        assert 1e-5 < await measured(engine, name) < 2e-3
