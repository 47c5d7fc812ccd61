"""A real model, greedy: token for token the text that llama2.c's own test expects."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engine_tools import ahead
from made_models import Weights
from model_files import write_safetensors

import webllm_py
from webllm_py.checkpoint import Checkpoint, open_checkpoint
from webllm_py.gpu import Device

Find = Callable[[str], Path]


def expected_text(folder: Path) -> str:
    return (folder / "greedy_200.txt").read_text().strip()


async def test_greedy_text_on_every_kernel_variant(checkpoint: Find, each_device: Device) -> None:
    folder = checkpoint("stories260K")
    async with await webllm_py.load(folder / "stories260K.gguf", device=each_device) as engine:
        reply = await engine.completions.create(prompt="", max_tokens=200, temperature=0)
    assert reply.choices[0].text.strip() == expected_text(folder)
    assert reply.choices[0].finish_reason == "length"
    assert reply.usage.completion_tokens == 200


async def test_greedy_text_streamed(
    checkpoint: Find, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead(monkeypatch, 1e-4)  # quick steps are read many at a time
    folder = checkpoint("stories260K")
    async with await webllm_py.load(folder / "stories260K.gguf", device=device) as engine:
        stream = await engine.completions.create(
            prompt="", max_tokens=200, temperature=0, stream=True
        )
        pieces = [piece async for piece in stream]
    texts = [piece.choices[0].text for piece in pieces]
    assert "".join(texts).strip() == expected_text(folder)
    assert len(pieces) > 20, "the text did not come in pieces"


async def test_greedy_text_from_a_hugging_face_folder(
    checkpoint: Find, device: Device, tmp_path: Path
) -> None:
    """The same weights as safetensors with rotary pairs half a head apart, and tokenizer.model."""
    source = checkpoint("stories260K")
    opened = await open_checkpoint(source / "stories260K.gguf")
    config, weights = await as_huggingface(opened)
    await opened.close()
    folder = tmp_path / "stories260K"
    write_files(folder, config, weights, source / "tok512.model")
    async with await webllm_py.load(folder, device=device) as engine:
        reply = await engine.completions.create(prompt="", max_tokens=200, temperature=0)
    assert reply.choices[0].text.strip() == expected_text(source)


def write_files(folder: Path, config: dict[str, Any], weights: Weights, tokenizer: Path) -> None:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    shutil.copy(tokenizer, folder / "tokenizer.model")
    write_safetensors(folder / "model.safetensors", weights, "F32")


async def as_huggingface(gguf: Checkpoint) -> tuple[dict[str, Any], Weights]:
    """config.json and the tensors of a GGUF llama that is all F32."""
    numbers = {
        key.removeprefix("llama."): value
        for key, value in gguf.metadata.items()
        if key.startswith("llama.")
    }
    config = {
        "model_type": "llama",
        "hidden_size": numbers["embedding_length"],
        "intermediate_size": numbers["feed_forward_length"],
        "num_hidden_layers": numbers["block_count"],
        "num_attention_heads": numbers["attention.head_count"],
        "num_key_value_heads": numbers["attention.head_count_kv"],
        "rms_norm_eps": numbers["attention.layer_norm_rms_epsilon"],
        "max_position_embeddings": numbers["context_length"],
        "vocab_size": gguf.tensors["token_embd.weight"].shape[0],
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    heads = {
        "attn_q": config["num_attention_heads"],
        "attn_k": config["num_key_value_heads"],
    }
    weights = {}
    for name, tensor in gguf.tensors.items():
        data = await tensor.source.read(tensor.offset, tensor.nbytes)
        weight = np.frombuffer(data, np.float32).reshape(tensor.shape)
        part = name.split(".")[-2]
        if part in heads:
            pairs = weight.reshape(heads[part], -1, 2, tensor.shape[1])
            weight = pairs.swapaxes(1, 2).reshape(tensor.shape)
        weights[huggingface_name(name)] = weight
    return config, weights


PARTS = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def huggingface_name(name: str) -> str:
    *layer, part, kind = name.split(".")
    prefix = f"model.layers.{layer[1]}." if layer else ""
    return f"{prefix}{PARTS[part]}.{kind}"
