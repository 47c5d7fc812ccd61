"""TinyStories-656K, a real model in safetensors, against transformers and numpy."""

from __future__ import annotations

import json
import struct
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import numpy as np
import pytest
from engine_tools import generation_logits
from expected import Expected
from made_models import Weights
from reference import forward, stored_as

import webllm_py
from webllm_py import Engine
from webllm_py.gpu import Device

Find = Callable[[str], Path]

EXPECTED, MORE = Expected.load("tinystories-656k")
IDS = MORE["ids"].tolist()


@pytest.fixture
async def tiny(checkpoint: Find, each_device: Device) -> AsyncIterator[Engine]:
    async with await webllm_py.load(checkpoint("TinyStories-656K"), device=each_device) as engine:
        yield engine


async def test_logits_are_those_of_transformers(tiny: Engine) -> None:
    assert tiny.tokenizer.encode(MORE["text"].tobytes().decode(), add_special=True)[:64] == IDS
    logits = await tiny.logits(IDS)
    assert logits.shape == (64, 2048) and logits.dtype == np.float32
    error = EXPECTED.error(logits)
    print(f"greatest difference from transformers: {error:.1e}")
    assert error < 1e-4  # the issue asks for 1e-3


async def test_greedy_tokens_are_those_of_transformers(
    checkpoint: Find, plain_device: Device
) -> None:
    """The least distance between a best and a second token here is 0.0037."""
    greedy = MORE["greedy"].tolist()
    source = checkpoint("TinyStories-656K")
    async with await webllm_py.load(source, device=plain_device, kv_dtype="f32") as engine:
        reply = await engine.completions.create(
            prompt=greedy[:8], max_tokens=100, temperature=0, ignore_eos=True
        )
        before, whole = (
            engine.tokenizer.decode(ids, skip_special=True) for ids in (greedy[:8], greedy)
        )
        assert reply.choices[0].text == whole.removeprefix(before)
        seen = await generation_logits(engine, IDS, 40)
    assert EXPECTED.error(seen, first=39) < 1e-4


@pytest.mark.parametrize("quantize", ["q4", "q8"])
async def test_quantized_while_loading(checkpoint: Find, device: Device, quantize: str) -> None:
    """As far from the float model as numpy's quantization of the same weights, no further.

    Layers become Q4_0 or Q8_0, the table Q8_0.
    """
    source = checkpoint("TinyStories-656K")
    config = json.loads((source / "config.json").read_text())
    weights = read_safetensors(source / "model.safetensors")
    kept = stored_as({"q4": "q4_0", "q8": "q8_0"}[quantize], weights, tables="q8_0")
    wanted = forward(config, kept, IDS)
    async with await webllm_py.load(source, device=device, quantize=quantize) as engine:
        logits = await engine.logits(IDS)
        assert quantize in engine.info["quantization"]
    error = np.abs(logits - wanted).max()
    print(
        f"{quantize}: {error:.1e} from numpy's quantized model; from the float model "
        f"{EXPECTED.error(logits):.3f}, where numpy's is off by {EXPECTED.error(wanted):.3f}"
    )
    assert error < 1e-4
    assert EXPECTED.error(wanted) > 0.02, "the quantized weights are the float weights"


def read_safetensors(path: Path) -> Weights:
    data = path.read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    return {
        name: np.frombuffer(
            data[slice(*(8 + length + at for at in entry["data_offsets"]))], "<f4"
        ).reshape(entry["shape"])
        for name, entry in header.items()
    }
