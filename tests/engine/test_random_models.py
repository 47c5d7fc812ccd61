"""Random weights in every shape that llama and qwen2 come in, against transformers in float32."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from engine_tools import generation_logits
from expected import Expected
from families_table import Measured
from made_models import POSITIONS, SPECS, Spec, tokens_of, weights_of
from model_files import Files, write_mlc

import webllm_py
from webllm_py import Engine
from webllm_py.gpu import Device
from webllm_py.loading import decoder
from webllm_py.models.tuning import Tuning

# Prefilled in two chunks (128 and 12 rows on a CPU), the rest decoded one by one across the end of
# a page: 159 is the last position of the fifth.
PROMPT = 140
GENERATED_IN_F16 = ("llama-1x64", "llama-4x128", "qwen2-7x64")


@pytest.fixture(params=SPECS.values(), ids=SPECS, scope="module")
def spec(request: pytest.FixtureRequest) -> Spec:
    found: Spec = request.param
    return found


@pytest.fixture(scope="module")
async def exact_engine(spec: Spec, files: Files, plain_device: Device) -> AsyncIterator[Engine]:
    """From a Hugging Face folder, everything in float32."""
    source = files.huggingface(spec)
    async with await webllm_py.load(source, device=plain_device, kv_dtype="f32") as engine:
        yield engine


async def test_logits_of_a_folder(spec: Spec, exact_engine: Engine, measured: Measured) -> None:
    expected, _ = Expected.load(spec.name)
    logits = await exact_engine.logits(tokens_of(spec))
    assert logits.shape == (POSITIONS, spec.vocab)
    error = expected.error(logits)
    print(f"{spec.name}: {error:.1e}")
    measured.note(spec.architecture, "safetensors", error)
    assert error < 1e-4  # the issue asks for 2e-3


async def test_generation_in_float32(spec: Spec, exact_engine: Engine) -> None:
    """Prefill in chunks, then decode steps: both see what transformers sees."""
    expected, _ = Expected.load(spec.name)
    seen = await generation_logits(exact_engine, tokens_of(spec), PROMPT)
    error = expected.error(seen, first=PROMPT - 1)
    print(f"{spec.name}: {error:.1e}")
    assert error < 1e-4


async def test_a_gguf_file(spec: Spec, files: Files, device: Device, measured: Measured) -> None:
    """On the device with f16 arithmetic, which logits do without. Generation has f16 tiles in
    prefill and f16 keys and values: 11 bits, so that logits around 1 are off by no more than a few
    hundredths."""
    expected, _ = Expected.load(spec.name)
    async with await webllm_py.load(files.gguf(spec), device=device) as engine:
        error = expected.error(await engine.logits(tokens_of(spec)))
        print(f"{spec.name}: {error:.1e}")
        measured.note(spec.architecture, "GGUF", error)
        assert error < 1e-4
        if spec.name in GENERATED_IN_F16:
            seen = await generation_logits(engine, tokens_of(spec), PROMPT)
            error = expected.error(seen, first=PROMPT - 1)
            print(f"{spec.name} in f16: {error:.1e}")
            assert error < 3e-2


async def test_an_mlc_folder(tmp_path: Path, plain_device: Device, measured: Measured) -> None:
    """That holds all of float32."""
    spec = SPECS["llama-4x128"]
    expected, _ = Expected.load(spec.name)
    folder = write_mlc(tmp_path / "model", spec, weights_of(spec), "q0f32", raw=True)
    async with await webllm_py.load(folder, device=plain_device, kv_dtype="f32") as engine:
        error = expected.error(await engine.logits(tokens_of(spec)))
    print(f"{error:.1e}")
    measured.note(spec.architecture, "MLC", error)
    assert error < 1e-4


async def test_with_the_tuning_of_a_gpu(
    files: Files, plain_device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernels' shapes that a CPU's adapter is spared give the same."""
    monkeypatch.setattr(decoder, "tuning_for", lambda device: Tuning())
    spec = SPECS["llama-4x96"]
    expected, _ = Expected.load(spec.name)
    source = files.huggingface(spec)
    async with await webllm_py.load(source, device=plain_device, kv_dtype="f32") as engine:
        error = expected.error(await engine.logits(tokens_of(spec)))
        seen = await generation_logits(engine, tokens_of(spec), PROMPT)
    assert error < 1e-4
    assert expected.error(seen, first=PROMPT - 1) < 1e-4
