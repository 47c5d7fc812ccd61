"""The planned memory is what an engine really takes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import webllm_py
from webllm_py.checkpoint import open_checkpoint
from webllm_py.errors import DeviceLimitError
from webllm_py.gpu.device import Limits
from webllm_py.models import model_for
from webllm_py.models.transformer import Transformer
from webllm_py.runtime.kv.pages import Sequence
from webllm_py.runtime.memory import SizingDevice, plan_memory

SHARED = Path(__file__).parents[3] / "shared" / "data" / "checkpoints"


def path_of(name: str) -> Path:
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"the test data is missing: {path}")
    return path


async def opened(name: str) -> Transformer:
    checkpoint = await open_checkpoint(path_of(name))
    await checkpoint.close()
    return model_for(checkpoint)


JSON = {"type": "json_object"}


@pytest.mark.parametrize("context_length", [None, 100])
@pytest.mark.parametrize(
    ("name", "quantize", "kv_dtype"),
    [
        ("stories260K/stories260K.gguf", None, "f16"),
        ("stories260K/stories260K.gguf", "q4", "f32"),
        ("TinyStories-656K", "q8", "f16"),
        ("TinyStories-656K", None, "q8"),
    ],
)
async def test_the_plan_is_what_loading_takes(
    name: str, quantize: str | None, kv_dtype: str, context_length: int | None
) -> None:
    options = {"quantize": quantize, "context_length": context_length}
    try:
        engine = await webllm_py.load(path_of(name), kv_dtype=kv_dtype, **options)
    except webllm_py.NoAdapterError as error:
        pytest.skip(f"no GPU adapter for wgpu: {error}")
    async with engine:
        loaded = engine.loaded
        plan = plan_memory(
            loaded.executor.model, loaded.owner.device, kv_format=kv_dtype, **options
        )
        assert plan.loaded == pytest.approx(engine.info["gpu_memory"], rel=0.01)
        assert plan.context_length == engine.info["context_length"]
        # A conversation that fills the context takes what the plan says, too.
        filling = Sequence()
        await loaded.executor.cache.reserve(filling, plan.context_length)
        assert plan.whole == pytest.approx(engine.info["gpu_memory"], rel=0.01)
        loaded.executor.cache.pages.release(filling)
        await engine.completions.create(prompt="a", max_tokens=1, response_format=JSON)
        taken = engine.info["gpu_memory"] - plan.whole
        assert plan.grammar == pytest.approx(taken, rel=0.05)


async def test_the_cache_of_a_thousand_positions_by_hand() -> None:
    plan = plan_memory(await opened("stories260K/stories260K.gguf"), SizingDevice())
    # 5 layers, keys and values, 4 heads of 8, 2 bytes each, in pages of 32 positions
    assert plan.cache(1000) == 5 * 2 * 4 * 8 * 2 * 1024
    assert plan.cache(0) == 0
    eight_bits = plan_memory(
        await opened("stories260K/stories260K.gguf"), SizingDevice(), kv_format="q8"
    )
    # The same elements in a byte each, and a scale of 2 bytes for every 32 of them
    assert eight_bits.cache(1000) == 5 * 2 * (4 * 8 + 2) * 1024


async def test_the_weights_by_hand() -> None:
    model = await opened("TinyStories-656K")
    float_plan = plan_memory(model, SizingDevice())
    # As stored: 4 bytes a number; only the padding of rows comes on top.
    assert 4 * model.n_parameters <= float_plan.weights < 4.1 * model.n_parameters
    quantized = plan_memory(model, SizingDevice(), quantize="q8")
    # 34 bytes for a block of 32 numbers
    assert quantized.weights == pytest.approx(model.n_parameters * 34 / 32, rel=0.02)


async def test_a_small_binding_shortens_the_context() -> None:
    model = await opened("stories260K/stories260K.gguf")
    model = replace(model, config=replace(model.config, context_length=1 << 20))
    limits = Limits(max_buffer_size=1 << 30, max_storage_buffer_binding_size=1 << 20)
    # A layer's page of float32 takes 8192 bytes, so 1 MiB holds 128 pages of 32 positions.
    assert plan_memory(model, SizingDevice(limits), kv_format="f32").context_length == 4096


async def test_a_device_that_binds_too_little_is_an_error() -> None:
    model = await opened("stories260K/stories260K.gguf")
    limits = Limits(max_buffer_size=1 << 10, max_storage_buffer_binding_size=1 << 10)
    with pytest.raises(DeviceLimitError):
        plan_memory(model, SizingDevice(limits))
