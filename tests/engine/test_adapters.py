"""LoRA adapters beside a model's weights, against PEFT over transformers in float32."""

from __future__ import annotations

from pathlib import Path

import pytest
from expected import Expected
from family_files import write_family_folder, write_family_gguf
from family_models import FamilyModel, Recorded
from made_adapters import ADAPTERS, MIX, MadeAdapter, RecordedAdapter, small_gguf
from made_models import SMALL, Spec
from model_files import Files

import webllm_py
from webllm_py import Engine
from webllm_py.gpu import Device
from webllm_py.runtime import executor

TOLERANCE = 5e-5  # the issue asks for 2e-3
FAMILIES = [adapter for adapter in ADAPTERS.values() if isinstance(adapter.base, FamilyModel)]


@pytest.fixture(autouse=True)
def few_plans(monkeypatch: pytest.MonkeyPatch) -> None:
    """No kernels are compiled for prompts that nobody sends."""
    monkeypatch.setattr(executor, "USUAL_PROMPTS", ())


@pytest.mark.parametrize("adapter", FAMILIES, ids=lambda adapter: adapter.name)
async def test_families(adapter: MadeAdapter, tmp_path: Path, plain_device: Device) -> None:
    """PEFT's folder beside Hugging Face's files and beside GGUF's."""
    recorded, base = RecordedAdapter.load(adapter.name), adapter.base
    assert isinstance(base, FamilyModel)
    model = Recorded.load(base.name)
    weights = base.weights(model.shapes)
    folder = recorded.folder(tmp_path / "adapter", adapter)
    files = [write_family_folder(tmp_path / base.name, model, weights)]
    if base.gguf:
        files.append(write_family_gguf(tmp_path / "model.gguf", base, model, weights))
    for file in files:
        async with await webllm_py.load(
            file, device=plain_device, kv_dtype="f32", context_length=base.context, tune=False
        ) as engine:
            await engine.load_adapter(folder)
            logits = await engine.logits(adapter.tokens(), adapters=["adapter"])
        error = recorded.expected.error(logits)
        print(f"{adapter.name}, {file.name}: {error:.1e}")
        assert error < TOLERANCE
