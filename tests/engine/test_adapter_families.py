"""LoRA adapters of other families than LLaMA, against PEFT over transformers in float32."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from engine_tools import Teacher
from family_files import write_family_folder
from family_gguf import write_family_gguf
from made_adapters import ADAPTERS, TOLERANCE, MadeAdapter, RecordedAdapter
from made_families import FamilyModel, Recorded

import webllm_py
from webllm_py import AdapterError
from webllm_py.gpu import Device

pytestmark = pytest.mark.usefixtures("no_long_prompts")

# Those that differ most from each other in what becomes of B's rows.
USUAL = {
    "mistral-lora": "gguf",
    "phi3-lora": "safetensors",
    "gpt-neox-lora": "gguf",
    "gpt2-lora": "safetensors",
    "lfm2-lora": "gguf",
    "qwen2-yarn-lora": "gguf",
}
FAMILIES = [
    pytest.param(
        adapter,
        kind,
        marks=() if USUAL.get(adapter.name) == kind else pytest.mark.every_family,
        id=f"{adapter.name}-{kind}",
    )
    for adapter in ADAPTERS.values()
    for kind in ("safetensors", "gguf")
    if isinstance(adapter.base, FamilyModel)
    and (adapter.name, kind) != ("qwen3.5-lora", "gguf")  # see below
]


@pytest.mark.parametrize(("adapter", "kind"), FAMILIES)
async def test_families(
    adapter: MadeAdapter, kind: str, tmp_path: Path, plain_device: Device
) -> None:
    """PEFT's folder beside Hugging Face's files and beside GGUF's."""
    recorded, base = RecordedAdapter.load(adapter.name), adapter.base
    assert isinstance(base, FamilyModel)
    model = Recorded.load(base.name)
    weights = base.weights(model.shapes)
    folder = recorded.folder(tmp_path / "adapter", adapter)
    if kind == "gguf":
        file = write_family_gguf(tmp_path / "model.gguf", base, model, weights)
    else:
        file = write_family_folder(tmp_path / base.name, model, weights)
    async with await webllm_py.load(
        file, device=plain_device, kv_dtype="f32", context_length=base.context, tune=False
    ) as engine:
        await engine.load_adapter(folder)
        logits = await engine.logits(adapter.tokens(), adapters=["adapter"])
    error = recorded.expected.error(logits)
    print(f"{adapter.name}, {kind}: {error:.1e}")
    assert error < TOLERANCE


async def test_heads_in_another_order(tmp_path: Path, plain_device: Device) -> None:
    """GGUF's values of a delta net."""
    adapter = ADAPTERS["qwen3.5-lora"]
    assert isinstance(adapter.base, FamilyModel)
    model = Recorded.load(adapter.base.name)
    folder = RecordedAdapter.load(adapter.name).folder(tmp_path / "adapter", adapter)
    weights = adapter.base.weights(model.shapes)
    file = write_family_gguf(tmp_path / "model.gguf", adapter.base, model, weights)
    async with await webllm_py.load(file, device=plain_device, tune=False) as engine:
        with pytest.raises(AdapterError, match="another order than Hugging Face"):
            await engine.load_adapter(folder)


async def test_halves_made_ahead(tmp_path: Path, plain_device: Device) -> None:
    """Token by token as on a GPU, where there are biases, an MLP without gates, and norms of their
    own, behind which shrinks are."""
    adapter, recorded = ADAPTERS["gpt2-lora"], RecordedAdapter.load("gpt2-lora")
    base, tokens, first = adapter.base, adapter.tokens(), len(adapter.tokens()) - 5
    assert isinstance(base, FamilyModel)
    model = Recorded.load(base.name)
    file = write_family_folder(tmp_path / base.name, model, base.weights(model.shapes))
    async with await webllm_py.load(
        file, device=plain_device, kv_dtype="f32", context_length=base.context, tune=False
    ) as engine:
        executor, teacher = engine.loaded.executor, Teacher([*tokens[first:], 0])
        await executor.retune(replace(executor.tuning, ahead_bytes=1 << 30))
        await engine.load_adapter(recorded.folder(tmp_path / "adapter", adapter))
        made = [dict(one.kernel.overrides) for one in executor.forward(1, adapted=True)]
        assert any("AHEAD_AT" in constants for constants in made)
        await engine.completions.create(
            prompt=tokens[:first],
            max_tokens=6,
            temperature=0,
            ignore_eos=True,
            logits_processors=[teacher],
            adapters=["adapter"],
        )
    assert recorded.expected.error(np.array(teacher.seen), first=first - 1) < TOLERANCE
