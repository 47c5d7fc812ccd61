"""Adapters' files: what is read of them, and which are refused with a reason."""

from __future__ import annotations

import json
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from webllm_py import AdapterError, CorruptCheckpointError, MissingFileError, NotAModelError
from webllm_py.checkpoint import open_checkpoint
from webllm_py.checkpoint.adapter import Adapter, open_adapter
from webllm_py.checkpoint.gguf_writer import GGUFWriter
from webllm_py.fetch.hub import holds_model
from webllm_py.fetch.options import FetchOptions

sys.path.insert(0, str(Path(__file__).parents[1] / "fetch"))

from hostile_server import hostile_server

Q = "base_model.model.model.layers.0.self_attn.q_proj"
SHAPES = {f"{Q}.lora_A.weight": (4, 8), f"{Q}.lora_B.weight": (12, 4)}
CONFIG: dict[str, Any] = {
    "peft_type": "LORA",
    "r": 4,
    "lora_alpha": 6,
    "target_modules": ["q_proj"],
}


def safetensors(shapes: dict[str, tuple[int, ...]], dtype: str = "F32") -> bytes:
    header, at = {}, 0
    for name, shape in shapes.items():
        size = 4 * int(np.prod(shape))
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(at)


def folder_of(path: Path, config: Any = None, shapes: Any = None) -> Path:
    path.mkdir()
    (path / "adapter_config.json").write_text(json.dumps({**CONFIG, **(config or {})}))
    (path / "adapter_model.safetensors").write_bytes(safetensors(shapes or SHAPES))
    return path


async def opened(source: Path) -> Adapter:
    adapter = await open_adapter(source)
    await adapter.close()
    return adapter


@pytest.mark.parametrize(
    ("config", "factor"),
    [
        ({}, 6 / 4),
        ({"use_rslora": True}, 6 / 2),
        ({"r": 9, "rank_pattern": {"self_attn.q_proj": 4}}, 6 / 4),
        ({"alpha_pattern": {"k_proj": 1, r".*\.0\..*q_proj": 8, "q_proj": 2}}, 8 / 4),
        ({"alpha_pattern": {"^model.layers.0.self_attn.q_proj": 2}}, 2 / 4),
        ({"alpha_pattern": {"_proj": 2}}, 6 / 4),
    ],
)
async def test_factors(tmp_path: Path, config: dict[str, Any], factor: float) -> None:
    adapter = await opened(folder_of(tmp_path / "a", config))
    assert adapter.name == "a" and not adapter.gguf
    [(module, pair)] = adapter.pairs.items()
    assert (module, pair.rank, pair.factor) == ("model.layers.0.self_attn.q_proj", 4, factor)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"peft_type": "IA3"}, "type IA3; LORA is run"),
        ({"use_dora": True}, "use_dora, DoRA"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"lora_bias": True}, "lora_bias"),
        ({"bias": "all"}, "bias='all'"),
        ({"layer_replication": [[0, 1]]}, "layer_replication"),
        ({"target_parameters": ["experts"]}, "target_parameters"),
        ({"init_lora_weights": "pissa_niter_4"}, "pissa_niter_4.*Convert it"),
        ({"r": 8}, r"the rank 8, but its lora_A has 4"),
        ({"rank_pattern": {"q_proj": 5}}, r"q_proj the rank 5"),
        ({"rank_pattern": {"(": 5}}, r"no regular expression"),
        ({"lora_alpha": "much"}, r"'much'.*no number"),
    ],
)
async def test_kinds_that_are_not_run(tmp_path: Path, config: dict[str, Any], words: str) -> None:
    with pytest.raises(AdapterError, match=words):
        await open_adapter(folder_of(tmp_path / "a", config))


@pytest.mark.parametrize(
    ("shapes", "words"),
    [
        ({f"{Q}.lora_A.weight": (4, 8)}, "only one half"),
        ({f"{Q}.lora_A.weight": (4, 8), f"{Q}.lora_B.weight": (12, 5)}, "ranks .* differ"),
        ({**SHAPES, f"{Q}.lora_magnitude_vector": (12,)}, "lora_magnitude_vector"),
        ({**SHAPES, f"{Q}.lora_B.bias": (12,)}, "lora_B.bias"),
        ({"base_model.model.score.weight": (2, 8)}, "no half of a LoRA"),
        ({f"{Q}.lora_A.weight": (4, 8, 1), f"{Q}.lora_B.weight": (12, 4)}, r"\(4, 8, 1\)"),
    ],
)
async def test_tensors_that_do_not_fit(tmp_path: Path, shapes: Any, words: str) -> None:
    with pytest.raises(AdapterError, match=words):
        await open_adapter(folder_of(tmp_path / "a", shapes=shapes))


async def test_the_copy_of_a_table_tells_the_vocabulary(tmp_path: Path) -> None:
    copy = {"base_model.model.lm_head.base_layer.weight": (99, 8)}
    adapter = await opened(folder_of(tmp_path / "a", shapes={**SHAPES, **copy}))
    assert adapter.vocab_size == 99 and len(adapter.pairs) == 1


async def test_what_is_no_adapter(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match=r"holds no adapter_config\.json"):
        await open_adapter(tmp_path)
    folder = folder_of(tmp_path / "a")
    with pytest.raises(AdapterError, match="the folder that holds PEFT's"):
        await open_adapter(folder / "adapter_model.safetensors")
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")
    with pytest.raises(MissingFileError, match="PyTorch pickle"):
        await open_adapter(folder)
    (folder / "adapter_model.safetensors").write_bytes(safetensors(SHAPES)[:-8])
    with pytest.raises(CorruptCheckpointError):
        await open_adapter(folder)


async def test_a_hub_s_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As models are: the next time it comes from the store."""
    folder = folder_of(tmp_path / "a")
    names = [path.name for path in folder.iterdir()]
    listing = {"sha": "a" * 40, "siblings": [{"rfilename": name} for name in names]}
    published = {"api/models/org/lora/revision/main": json.dumps(listing).encode()}
    for name in names:
        published[f"org/lora/resolve/{'a' * 40}/{name}"] = (folder / name).read_bytes()
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("WEBLLM_PY_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))

    async def read() -> bytes:
        adapter = await open_adapter("hf:org/lora", FetchOptions())
        tensors = [*adapter.checkpoint.tensors.values()]
        data = [await tensor.source.read(tensor.offset, tensor.nbytes) for tensor in tensors]
        assert not await adapter.checkpoint.verify()
        await adapter.close()
        return b"".join(data)

    with hostile_server(published) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url())
        first = await read()
    assert await read() == first and len(first) == 4 * (4 * 8 + 12 * 4)
    assert holds_model(folder) and not holds_model(tmp_path)


def gguf_of(path: Path, **keys: Any) -> Path:
    writer = GGUFWriter()
    named = {"general.type": "adapter", "general.architecture": "llama", "adapter.type": "lora"}
    for key, value in {**named, **{name.replace("__", "."): v for name, v in keys.items()}}.items():
        if value is not None:
            writer.add(key, value)
    for half, shape in (("a", (4, 8)), ("b", (12, 4))):
        data = bytes(4 * shape[0] * shape[1])
        writer.add_tensor(f"blk.0.attn_q.weight.lora_{half}", shape, "F32", [data])
    with path.open("wb") as file:
        writer.write(file)
    return path


async def test_ggufs(tmp_path: Path) -> None:
    adapter = await opened(gguf_of(tmp_path / "a.gguf", adapter__lora__alpha=6.0))
    assert (adapter.name, adapter.architecture, adapter.gguf) == ("a", "llama", True)
    assert adapter.pairs["blk.0.attn_q"].factor == 6 / 4
    adapter = await opened(gguf_of(tmp_path / "b.gguf", general__name="named"))
    assert adapter.name == "named" and adapter.pairs["blk.0.attn_q"].factor == 1
    with pytest.raises(AdapterError, match="of type 'model', not an adapter"):
        await open_adapter(gguf_of(tmp_path / "c.gguf", general__type=None))
    with pytest.raises(AdapterError, match="plain LoRA"):
        await open_adapter(gguf_of(tmp_path / "d.gguf", adapter__type="control"))
    with pytest.raises(NotAModelError, match=r"engine\.load_adapter"):
        await open_checkpoint(tmp_path / "a.gguf")
