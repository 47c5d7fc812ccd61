"""Chunks multiplied in another way than in float32: how far off, and when they are not."""

from __future__ import annotations

from array import array
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engine_tools import generation_logits
from k_quants import write_q4_k_m
from made_models import SPECS, tokens_of
from model_files import Files
from test_fidelity import Fidelity, divergence, load, measured

import webllm_py
from webllm_py import Engine
from webllm_py.errors import ShaderError
from webllm_py.gpu import Device
from webllm_py.gpu.kernels import Kernel
from webllm_py.gpu.pipelines import Pipelines
from webllm_py.models.linear import Gemm
from webllm_py.runtime.tuning import gemm_trial, other_formats

Find = Callable[[str], Path]
IN_8_BITS = "prompts in 8 bits"


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """CPUs that play a GPU are asked as well, and every trial is won."""

    monkeypatch.setattr(gemm_trial, "offers_dot4", lambda _: True)
    monkeypatch.setattr(gemm_trial, "worthwhile", lambda times: int(min(map(min, times)) > 0))
    return monkeypatch


@pytest.mark.parametrize("name", ["tinystories-656k-q4", "pocket"])
async def test_fidelity(
    name: str, checkpoint: Find, device: Device, tried: pytest.MonkeyPatch
) -> None:
    """Less than what float16 may be off by, but more than it is. ``engine.logits`` stays exact."""
    async with await load(name, checkpoint, device, "f16") as engine:
        assert IN_8_BITS in engine.info["kernels"]
        assert 1e-5 < await measured(engine, name) < 2e-3
        rounded = await engine.logits(list(range(40)))
        engine.loaded.executor.gemm = "plain"
        np.testing.assert_array_equal(rounded, await engine.logits(list(range(40))))


@pytest.fixture
async def mixture(
    tmp_path: Path, device: Device, tried: pytest.MonkeyPatch
) -> AsyncIterator[Engine]:
    """The pocket model in Q4_K_M."""
    source = await write_q4_k_m(tmp_path / "pocket.gguf")
    async with await webllm_py.load(source, device=device) as engine:
        yield engine


def readers(engine: Engine) -> set[tuple[str, str]]:
    """The linear kernels of a long chunk, and how they read weights."""
    kernels = [d.kernel for d in engine.loaded.executor.forward(128, head=False)]
    return {(k.name, dict(k.snippets)["quant"]) for k in kernels if k.name.startswith("gemm")}


async def test_fidelity_of_q4_k_m(mixture: Engine) -> None:
    """How far from itself in floats it is."""
    formats = ("q4_k", "q6_k", "q8_0")
    assert readers(mixture) == {("gemm_dot4", f"dot4/{format}") for format in formats}
    known = Fidelity.load("pocket")
    first = int(known.positions[0])
    seen = await generation_logits(mixture, known.ids, first + 1)
    exact = await mixture.logits(known.ids)
    found = divergence(exact[known.positions], seen[known.positions - first])
    print(f"Q4_K_M: mean KL {found:.1e} nats")
    assert 1e-5 < found < 2e-3


async def test_a_format_that_has_none(
    tmp_path: Path, device: Device, tried: pytest.MonkeyPatch
) -> None:
    """Matrices in it are multiplied as they were, beside others in 8 bits."""
    source = await write_q4_k_m(tmp_path / "pocket.gguf", halves="attn_output")
    async with await webllm_py.load(source, device=device) as engine:
        in_8_bits = {("gemm_dot4", f"dot4/{format}") for format in ("q4_k", "q6_k", "q8_0")}
        assert readers(engine) == {("gemm_direct", "quant/f16"), *in_8_bits}


async def test_a_mixture_of_experts(
    checkpoint: Find, device: Device, tried: pytest.MonkeyPatch
) -> None:
    """In 8 bits its prompts would be off by 4e-3 nats."""
    async with await load("mixture-in-blocks", checkpoint, device, "f16") as engine:
        assert {kernel for kernel, _ in readers(engine)} == {"gemm_direct"}


async def test_a_format_that_is_wrong(
    tmp_path: Path, device: Device, tried: pytest.MonkeyPatch
) -> None:
    """What is right in the first layer's matrix says nothing of others: here 8 bits' results of
    those of Q6_K are off by more than they may be. They are multiplied as they were, now and when
    it is loaded again."""
    source = await write_q4_k_m(tmp_path / "pocket.gguf")
    results = other_formats.FormatCheck.results

    async def off(self: other_formats.FormatCheck, gemm: Gemm) -> array[float]:
        found = await results(self, gemm)
        wrong = self.part.format == "q6_k" and gemm == "dot4"
        return array("f", [1.1 * value for value in found]) if wrong else found

    tried.setattr(other_formats.FormatCheck, "results", off)
    for _ in range(2):
        async with await webllm_py.load(source, device=device) as engine:
            assert IN_8_BITS in engine.info["kernels"]
            names = readers(engine)
        # Of a matrix in slices, all are.
        assert {name for name in names if "q6_k" in name[1]} == {("gemm_direct", "quant/q6_k")}
        assert {("gemm_dot4", "dot4/q4_k"), ("gemm_dot4", "dot4/q8_0")} <= names
        tried.setattr(gemm_trial.GemmTrial, "embed", None)  # nothing is tried again


async def refuses(find: Find, device: Device) -> bool:
    """Whether a model is loaded without, and as exact as it is then."""
    async with await load("pocket", find, device, "f16") as engine:
        return IN_8_BITS not in engine.info["kernels"] and await measured(engine, "pocket") < 1e-5


async def test_results_that_are_wrong(
    checkpoint: Find, device: Device, tried: pytest.MonkeyPatch
) -> None:
    """Even rounding counts as wrong here."""
    tried.setattr(gemm_trial, "MOST_DEVIATION", {"dot4": 1e-5})
    assert await refuses(checkpoint, device)


async def test_kernels_that_do_not_compile(
    checkpoint: Find, device: Device, tried: pytest.MonkeyPatch
) -> None:
    holding = Pipelines.holding

    def refusing(self: Pipelines[Any], kernels: Iterable[Kernel]) -> Any:
        kernels = list(kernels)
        if any(kernel.name == "gemm_dot4" for kernel in kernels):
            raise ShaderError("no such function: dot4I8Packed")
        return holding(self, kernels)

    tried.setattr(Pipelines, "holding", refusing)
    assert await refuses(checkpoint, device)


async def test_rows_that_are_no_whole_blocks(
    files: Files, device: Device, tried: pytest.MonkeyPatch
) -> None:
    """What the plain kernels take for zeros stays zero."""
    spec = SPECS["llama-7x80"]
    source = files.huggingface(spec)
    async with await webllm_py.load(source, device=device, quantize="q8") as engine:
        assert IN_8_BITS not in engine.info["kernels"]
        assert np.isfinite(await engine.logits(tokens_of(spec, 20))).all()


async def test_where_float32_is_asked_for(
    checkpoint: Find, device: Device, tried: pytest.MonkeyPatch
) -> None:
    async with await load("pocket", checkpoint, device, "f32") as engine:
        assert IN_8_BITS not in engine.info["kernels"]


@pytest.mark.parametrize("pays", [True, False])
async def test_the_answer_is_kept(
    checkpoint: Find, device: Device, tried: pytest.MonkeyPatch, pays: bool
) -> None:
    """For this adapter and these matrices; unless nothing is to be kept."""
    tried.setattr(gemm_trial, "worthwhile", lambda times: int(pays))
    async with await load("pocket", checkpoint, device, "f16") as first:
        assert (IN_8_BITS in first.info["kernels"]) is pays

    asked = []
    tried.setattr(gemm_trial, "worthwhile", lambda times: asked.append(times) or int(not pays))
    async with await load("pocket", checkpoint, device, "f16") as second:
        assert (IN_8_BITS in second.info["kernels"]) is pays and not asked
        assert await measured(second, "pocket") < (2e-3 if pays else 1e-5)
    async with await webllm_py.load(device=device, tune=False) as third:
        assert (IN_8_BITS in third.info["kernels"]) is not pays and asked


def test_what_is_worthwhile() -> None:
    """Clearly faster than what comes before. Once in a while a measurement takes longer, which says
    nothing."""
    assert gemm_trial.worthwhile([[1.0, 0.8], [1.0, 9.0], [9.0, 0.8]]) == 1
    assert gemm_trial.worthwhile([[1.0, 0.95], [1.0, 9.0], [9.0, 0.95]]) == 0
    assert gemm_trial.worthwhile([[1.0, 0.8, 9.0], [1.0, 0.7, 0.5]]) == 2
    assert gemm_trial.worthwhile([[1.0, 0.5, 0.48]]) == 1
