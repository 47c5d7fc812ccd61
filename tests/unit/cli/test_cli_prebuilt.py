"""``webllm-py info`` of WebLLM's prebuilt models: planned from small files, or from nothing."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from webllm_py.checkpoint.mlc_export import chat_config, exported
from webllm_py.checkpoint.mlc_writer import MLCWriter
from webllm_py.cli import main

TESTS = Path(__file__).parents[2]
sys.path.insert(0, str(TESTS / "unit" / "fetch"))

from range_server import running_server  # noqa: E402 - it lies beside other tests

NAME = "SmolLM2-360M-Instruct-q4f16_1-MLC"
CONFIG = {
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 32,
    "vocab_size": 300,
    "max_position_embeddings": 512,
    "tie_word_embeddings": True,
}
VOCAB = {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": []}
CHATML = {
    "roles": {"user": "<|im_start|>user", "assistant": "<|im_start|>assistant"},
    "seps": ["<|im_end|>\n"],
}


def written(folder: Path) -> dict[str, bytes]:
    """A small model in the place of the named one, by its files' names."""
    layer = "model.layers.0"
    shapes = {
        "model.embed_tokens": (300, 64),
        "model.norm": (64,),
        f"{layer}.input_layernorm": (64,),
        f"{layer}.post_attention_layernorm": (64,),
        f"{layer}.self_attn.q_proj": (64, 64),
        f"{layer}.self_attn.k_proj": (32, 64),
        f"{layer}.self_attn.v_proj": (32, 64),
        f"{layer}.self_attn.o_proj": (64, 64),
        f"{layer}.mlp.gate_proj": (96, 64),
        f"{layer}.mlp.up_proj": (96, 64),
        f"{layer}.mlp.down_proj": (64, 96),
    }
    weights = {f"{name}.weight": np.ones(shape, np.float32) for name, shape in shapes.items()}
    writer = MLCWriter("q4f16_1", chat_config(CONFIG, conversation=CHATML))
    for name, weight in exported(weights, CONFIG).items():
        writer.add(name, weight)
    writer.write(folder)
    (folder / "tokenizer.json").write_text(json.dumps({"model": VOCAB}))
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def found(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    assert main(["info", "--json", *words]) == 0
    return json.loads(capsys.readouterr().out)


def test_planned_without_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with running_server() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url("files"))
        for name, data in written(tmp_path).items():
            server.files[f"mlc-ai/{NAME}/resolve/main/{name}"] = data
        about = found(capsys, NAME)
    assert (about["name"], about["kind"], about["vocab_size"]) == (NAME, "mlc", 300)
    rows = 300 + 128 + 64 + 192
    assert about["bytes_by_format"]["Q4F16_1"] == rows * 64 // 32 * 18 + 64 * 96 // 32 * 18
    assert about["memory"]["weights"] > 20_000 and about["chat_template"]["from_checkpoint"]
    assert about["memory"]["quantization"] == "Q4F16_1"
    assert not any(".bin" in path for path, _ in server.requests)


def test_what_is_known_without_a_network(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    about = found(capsys, NAME)
    assert about["runs"] and about["repository"] == f"mlc-ai/{NAME}"
    assert (about["webllm_memory"], about["webllm_context_length"]) == (376 << 20, 4096)
    assert about["memory"]["quantization"] == "Q4F16_1"
    assert 190 << 20 < about["memory"]["weights"] < 200 << 20
    assert main(["info", NAME]) == 0
    text = capsys.readouterr().out
    assert "394 MB, with a context of 4,096 tokens" in text and "at most" in text
    assert main(["info", "Qwen3.5-2B-q4f16_1-MLC"]) == 0
    assert "which this version runs\n" in capsys.readouterr().out
