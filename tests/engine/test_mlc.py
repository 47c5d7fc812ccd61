"""MLC folders: what the file holds is what computes, and the conversation is of its own form."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from blocks import decode
from engine_tools import PRINTABLE_ONLY, Teacher, generation_logits
from formats import from_bf16, to_bf16
from groups import GROUPS
from made_models import FORMATS, GGUF_NAMES, SMALL, SPECS, Weights, tokens_of, weights_of
from model_files import write_mlc, write_safetensors
from reference import forward

import webllm_py
from webllm_py import Engine
from webllm_py.checkpoint import Checkpoint, open_checkpoint
from webllm_py.checkpoint.mlc_export import chat_config, exported
from webllm_py.checkpoint.mlc_writer import MLCWriter
from webllm_py.errors import CorruptCheckpointError, TemplateError
from webllm_py.gpu import Device
from webllm_py.models.weights import Matrix
from webllm_py.runtime.weights import loader
from webllm_py.runtime.weights.storage import Quantize, slice_plans

POCKET = Path(__file__).resolve().parents[2] / "demo" / "pocket"
KINDS = {
    "q4f16_0": "Q4F16_0",
    "q4f16_1": "Q4F16_1",
    "q4f16_2": "Q4F16_1",
    "q4f32_1": "Q4F32_1",
    "q3f16_1": "Q3F16_1",
}
# Rows that are whole groups and rows that are not, biases, tied tables and others.
CASES = [
    ("q4f16_1", "llama-7x80"),
    ("q4f32_1", "qwen2-1x128"),
    ("q4f16_2", "qwen2-1x96"),
    ("q4f16_0", "llama-4x128"),
    ("q3f16_1", "llama-1x64"),
    ("q0f16", "qwen2-4x80"),
    ("q0f32", "formats"),
]
CONVERSATION = {
    "system_template": "<|im_start|>system\n{system_message}<|im_end|>\n",
    "system_message": "",
    "roles": {"user": "<|im_start|>user", "assistant": "<|im_start|>assistant"},
    "seps": ["<|im_end|>\n"],
    "role_content_sep": "\n",
    "role_empty_sep": "\n",
    "stop_str": ["<|im_end|>"],
    "stop_token_ids": [2047],
}


def kept(label: str, name: str, weight: np.ndarray) -> np.ndarray:
    """What a folder of this quantization holds of a weight."""
    table = name in ("model.embed_tokens.weight", "lm_head.weight")
    if weight.ndim == 1 or label not in KINDS or (label == "q4f16_2" and table):
        if "f32" in label:
            return from_bf16(to_bf16(weight))
        return weight.astype(np.float16).astype(np.float32)
    group = GROUPS[KINDS[label]]
    return group.decoded(*group.quantize(weight))


@pytest.mark.parametrize(("label", "model"), CASES)
async def test_logits(
    label: str, model: str, tmp_path: Path, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of prompts and of decode steps; tensors come in several pieces."""
    monkeypatch.setattr(loader, "PIECE_BYTES", 20_000)
    spec = SPECS.get(model, FORMATS)
    weights = weights_of(spec)
    tokens = tokens_of(spec, 12)
    folder = write_mlc(tmp_path / "model", spec, weights, label)
    async with await webllm_py.load(folder, device=device, kv_dtype="f32") as engine:
        logits = await engine.logits(tokens)
        decoding = await generation_logits(engine, tokens, 10)
    wanted = forward(spec.config, {n: kept(label, n, w) for n, w in weights.items()}, tokens)
    assert np.abs(logits - wanted).max() < 1e-4
    assert np.abs(decoding - wanted[9:]).max() < 1e-4


async def test_matrices_in_slices(
    tmp_path: Path, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Codes and scales of a matrix that no single binding holds are cut alike."""

    def small_slices(matrix: Matrix, quantize: Quantize | None, _: int) -> Any:
        return slice_plans(matrix, quantize, 1 << 13)

    monkeypatch.setattr(loader, "slice_plans", small_slices)
    spec, label = SMALL, "q4f16_0"
    weights, tokens = weights_of(spec), tokens_of(spec, 12)
    folder = write_mlc(tmp_path / "model", spec, weights, label)
    async with await webllm_py.load(folder, device=device, kv_dtype="f32") as engine:
        logits = await engine.logits(tokens)
        matrices = engine.loaded.executor.weights.matrices
        assert all(len(matrices[name][1]) > 1 for name in ("token_embd", "blk.0.gate_up"))
    wanted = forward(spec.config, {n: kept(label, n, w) for n, w in weights.items()}, tokens)
    assert np.abs(logits - wanted).max() < 1e-4


@pytest.mark.usefixtures("nothing_left")
async def test_a_damaged_shard_is_named(tmp_path: Path, device: Device) -> None:
    folder = write_mlc(tmp_path / "model", SMALL, weights_of(SMALL), "q4f16_1")
    shard = folder / "params_shard_0.bin"
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    with pytest.raises(CorruptCheckpointError, match=r"params_shard_0\.bin is damaged: its MD5"):
        await webllm_py.load(folder, device=device)
    shard.write_bytes(data[:-1])
    with pytest.raises(CorruptCheckpointError, match=r"params_shard_0\.bin is incomplete"):
        await webllm_py.load(folder, device=device)


async def pocket_weights(checkpoint: Checkpoint) -> Weights:
    """The pocket model's weights in float32, by Hugging Face's names and in its order of rows."""
    names = {gguf: name for name, gguf in GGUF_NAMES.items()}
    weights = {}
    for key, tensor in checkpoint.tensors.items():
        data = await tensor.source.read(tensor.offset, tensor.nbytes)
        if tensor.format.name == "F32":
            weight = np.frombuffer(data, np.float32).reshape(tensor.shape)
        else:
            weight = decode("q8_0", data, tensor.shape[1])
        stem, _, kind = key.rpartition(".")
        if stem.startswith("blk."):
            _, layer, inner = stem.split(".")
            name = f"model.layers.{layer}.{names[inner]}.{kind}"
        else:
            inner, name = stem, f"{names[stem]}.{kind}"
        if inner in ("attn_q", "attn_k"):
            pairs = weight.reshape(-1, 32, 2, weight.shape[1])
            weight = pairs.swapaxes(1, 2).reshape(weight.shape)
        weights[name] = np.ascontiguousarray(weight)
    return weights


class Exports:
    """The pocket model as a folder of either kind, with its tokenizer, and its own template or, in
    MLC's, a conversation template."""

    def __init__(self, folder: Path, checkpoint: Checkpoint, weights: Weights):
        self.folder = folder
        self.weights = weights
        metadata = checkpoint.metadata

        def number(key: str) -> Any:
            return metadata[f"llama.{key}"]

        self.config = {
            "model_type": "llama",
            "vocab_size": number("vocab_size"),
            "hidden_size": number("embedding_length"),
            "intermediate_size": number("feed_forward_length"),
            "num_hidden_layers": number("block_count"),
            "num_attention_heads": number("attention.head_count"),
            "num_key_value_heads": number("attention.head_count_kv"),
            "head_dim": number("attention.key_length"),
            "max_position_embeddings": number("context_length"),
            "rms_norm_eps": number("attention.layer_norm_rms_epsilon"),
            "rope_theta": number("rope.freq_base"),
            "tie_word_embeddings": "lm_head.weight" not in weights,
            "eos_token_id": 2047,
        }
        self.template = checkpoint.chat_template

    def finished(self, folder: Path) -> Path:
        """The tokenizer's files put beside the weights."""
        (folder / "tokenizer.json").write_bytes((POCKET / "tokenizer.json").read_bytes())
        template = {"chat_template": self.template}
        (folder / "tokenizer_config.json").write_text(json.dumps(template))
        return folder

    def safetensors(self, dtype: str) -> Path:
        folder = self.folder / f"safetensors {dtype}"
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps(self.config))
        write_safetensors(folder / "model.safetensors", self.weights, dtype)
        return self.finished(folder)

    def mlc(self, label: str, *, raw: bool = False) -> Path:
        folder = self.folder / f"mlc {label} {raw}"
        writer = MLCWriter(label, chat_config(self.config, conversation=CONVERSATION), raw=raw)
        for name, weight in exported(self.weights, self.config).items():
            writer.add(name, weight)
        writer.write(folder)
        self.finished(folder)
        if label == "q0f16":
            (folder / "tokenizer_config.json").unlink()
        return folder


@pytest.fixture(scope="module")
async def exports(tmp_path_factory: pytest.TempPathFactory) -> Exports:
    checkpoint = await open_checkpoint(POCKET / "pocket.gguf")
    try:
        weights = await pocket_weights(checkpoint)
    finally:
        await checkpoint.close()
    return Exports(tmp_path_factory.mktemp("pocket"), checkpoint, weights)


PROMPTS = (
    [{"role": "system", "content": "Answer briefly."}, {"role": "user", "content": "Hello!"}],
    [{"role": "user", "content": "Tell me a story about a brave mouse."}],
)


async def greedy(engine: Engine, prompts: Sequence[list[dict[str, str]]] = PROMPTS) -> list[str]:
    """Greedy answers."""
    answers = []
    for messages in prompts:
        reply = await engine.chat.completions.create(
            messages=messages, temperature=0, max_tokens=24
        )
        answers.append(reply.choices[0].message.content)
    return answers


async def test_the_pocket_model_says_the_same_from_every_format(
    exports: Exports, device: Device
) -> None:
    """From the file that ships, and from exports that hold its weights exactly."""
    said = {}
    sources: dict[str, Callable[[], Path]] = {
        "gguf": lambda: POCKET / "pocket.gguf",
        "safetensors": lambda: exports.safetensors("F32"),
        "mlc": lambda: exports.mlc("q0f32", raw=True),
    }
    for name, source in sources.items():
        async with await webllm_py.load(source(), device=device, kv_dtype="f32") as engine:
            said[name] = await greedy(engine)
    print(said["gguf"])
    assert said["safetensors"] == said["mlc"] == said["gguf"]
    assert all(len(text) > 5 for text in said["gguf"])


async def test_floats_of_16_bits(exports: Exports, device: Device) -> None:
    """The two formats hold the same weights; MLC's has no template but its own form of one, which
    says the same where there is a system message."""
    said, logits = [], []
    for source in (exports.safetensors("F16"), exports.mlc("q0f16")):
        async with await webllm_py.load(source, device=device, kv_dtype="f32") as engine:
            said.append((await greedy(engine, PROMPTS[:1]))[0])
            logits.append(await engine.logits([5, 6, 7, 8]))
    np.testing.assert_array_equal(*logits)
    assert said[0] == said[1] and len(said[0]) > 5


async def test_settings_and_ends_are_the_folder_s_own(tmp_path: Path, device: Device) -> None:
    """A made model says any bytes: these are to be printable, and each of them ends the answer."""
    ends = [chr(byte) for byte in range(32, 127)]
    conversation = {**CONVERSATION, "stop_str": ends, "stop_token_ids": [257, 9]}
    folder = write_mlc(
        tmp_path / "model", SMALL, weights_of(SMALL), "q4f16_1", conversation=conversation
    )
    config = json.loads((folder / "mlc-chat-config.json").read_text())
    settings = {"temperature": 0.3, "top_p": 0.9, "presence_penalty": 0.5}
    (folder / "mlc-chat-config.json").write_text(json.dumps({**config, **settings}))
    async with await webllm_py.load(folder, device=device) as engine:
        assert dict(engine.loaded.sampling) == settings
        assert engine.tokenizer.end_ids == {257, 9}
        reply = await engine.chat.completions.create(
            messages=[{"role": "user", "content": "Hi"}],
            logit_bias=PRINTABLE_ONLY,
            max_tokens=5,
        )
        completion = await engine.completions.create(
            prompt="Hi", logit_bias=PRINTABLE_ONLY, max_tokens=5
        )
    assert (reply.choices[0].message.content, reply.choices[0].finish_reason) == ("", "stop")
    assert len(completion.choices[0].text) == 5


async def test_another_template_than_the_files_own(tmp_path: Path, device: Device) -> None:
    """Fields of a conversation template stand before the folder's; a Jinja text for all of it."""
    folder = write_mlc(
        tmp_path / "model", SMALL, weights_of(SMALL), "q4f16_1", conversation=CONVERSATION
    )
    says: list[dict[str, Any]] = [{"role": "user", "content": "Hi"}]
    given = {"system_message": "Sing.", "stop_str": ["?"], "stop_token_ids": [33]}
    async with await webllm_py.load(folder, device=device, chat_template=given) as engine:
        prompt = engine.loaded.dialect.prompts.build(says)
        asked = {"messages": says, "max_tokens": 5, "logits_processors": [Teacher(b"ab!cd")]}
        reply = await engine.chat.completions.create(**asked)
        asked["logits_processors"] = [Teacher(b"ab?cd")]
        other = await engine.chat.completions.create(**asked)
        beside = await engine.add_model(
            folder, name="beside", chat_template="{{ messages[0].content }}"
        )
        assert beside.loaded.dialect.prompts.build(says) == "Hi"
    assert prompt == (
        "<|im_start|>system\nSing.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    )
    for choice in (*reply.choices, *other.choices):
        assert (choice.message.content, choice.finish_reason) == ("ab", "stop")
    for wrong, why in (({"seps": []}, "one or two seps"), ("{% if %}", "cannot be used")):
        with pytest.raises(TemplateError, match=why):
            await webllm_py.load(folder, device=device, chat_template=wrong)
    with pytest.raises(ValueError, match="chat_template must be the text of a Jinja template"):
        await webllm_py.load(folder, device=device, chat_template=5)  # type: ignore[arg-type]
