"""WebLLM's prebuilt models by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from webllm_py.errors import SourceError
from webllm_py.fetch import resolve
from webllm_py.fetch.files.local import LocalFolder
from webllm_py.fetch.prebuilt import Prebuilt, near_prebuilt, prebuilt_models

NAME = "Llama-3.2-1B-Instruct-q4f16_1-MLC"


def test_the_table() -> None:
    models = prebuilt_models()
    assert len(models) == 163
    assert len({model.repository for model in models.values()}) == 135
    assert models[NAME] == Prebuilt(
        NAME, f"mlc-ai/{NAME}", "llama", "q4f16_1", 879 << 20, 4096, low_resource=True
    )
    short = models["Llama-2-7b-chat-hf-q4f32_1-MLC-1k"]
    assert (short.repository, short.context) == ("mlc-ai/Llama-2-7b-chat-hf-q4f32_1-MLC", 1024)
    assert not short.low_resource
    embedder = models["snowflake-arctic-embed-m-q0f32-MLC-b4"]
    assert embedder.repository == "mlc-ai/snowflake-arctic-embed-m-q0f32-MLC"
    assert (embedder.family, embedder.memory) == ("bert", 539 << 20)


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("Qwen3-0.6B", ["Qwen3-0.6B-q4f16_1-MLC"]),
        ("qwen3_0.6b", ["Qwen3-0.6B-q4f16_1-MLC"]),
        ("llama-3.2", [NAME, "Llama-3.2-3B-Instruct-q4f16_1-MLC"]),
        ("Llama-3.2-1B-Instuct-q4f16_1-MLC", [NAME]),
        ("L", []),
        ("model.gguf", []),
        ("", []),
    ],
)
def test_names_that_are_near(text: str, near: list[str]) -> None:
    assert near_prebuilt(text) == near


async def test_names_stand_for_addresses() -> None:
    folder = await resolve("Qwen2.5-0.5B-Instruct-q4f16_1-MLC")
    address = "https://huggingface.co/mlc-ai/Qwen2.5-0.5B-Instruct-q4f16_1-MLC/resolve/main/"
    assert folder.name == address


async def test_a_path_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / NAME).mkdir()
    assert isinstance(await resolve(NAME), LocalFolder)


@pytest.mark.parametrize("name", ["Llama-9-q4f16_1-MLC", "no-such-model"])
async def test_other_names(name: str) -> None:
    with pytest.raises(SourceError, match=r"no file or folder .*by WebLLM's name of it .*MLC\)\.$"):
        await resolve(name)
