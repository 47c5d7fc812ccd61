"""GGUF files that are right: real ones against numbers read by gguf-py, and made ones."""

from __future__ import annotations

import struct
import time
import zlib
from hashlib import sha256
from typing import Any

import pytest
from checkpoint_files import (
    SMALL_GGUF_DATA,
    GGUFBytes,
    MemorySource,
    opened,
    shared,
    small_gguf,
)

from webllm_py.checkpoint import open_checkpoint
from webllm_py.errors import (
    SourceError,
)

STORIES = "checkpoints/stories260K/stories260K.gguf"
LLAMA2 = "checkpoints/llama-2-tiny-random/llama-2-tiny-random.gguf"


# Real files


async def test_stories260k() -> None:
    checkpoint = await open_checkpoint(shared(STORIES))
    assert (checkpoint.kind, checkpoint.name, checkpoint.architecture) == ("gguf", "llama", "llama")
    assert checkpoint.chat_template is None
    metadata = checkpoint.metadata
    assert len(metadata) == 19 and len(checkpoint.tensors) == 48
    assert metadata["llama.embedding_length"] == 64
    assert metadata["llama.attention.layer_norm_rms_epsilon"] == 9.999999747378752e-06
    assert metadata["tokenizer.ggml.padding_token_id"] == 0xFFFFFFFF
    assert metadata["tokenizer.ggml.tokens"][:3] == ["<unk>", "<s>", "</s>"]
    assert checkpoint.nbytes == 1171200
    for name, shape, offset, nbytes, crc in [
        ("token_embd.weight", (512, 64), 14176, 131072, 696204196),
        ("output_norm.weight", (64,), 145248, 256, 3568002521),
        ("blk.4.ffn_down.weight", (64, 172), 1097056, 44032, 1248765983),
    ]:
        tensor = checkpoint.tensors[name]
        assert (tensor.shape, tensor.format.name) == (shape, "F32")
        assert (tensor.offset, tensor.nbytes) == (offset, nbytes)
        assert zlib.crc32(await tensor.source.read(offset, nbytes)) == crc
    await checkpoint.close()
    with pytest.raises(SourceError, match="was closed"):
        await tensor.source.read(0, 1)


async def test_llama2_tiny_random() -> None:
    checkpoint = await open_checkpoint(str(shared(LLAMA2)))
    assert checkpoint.name == "LLaMA v2"
    assert checkpoint.nbytes == 1026144
    tensor = checkpoint.tensors["output.weight"]
    assert (tensor.shape, tensor.format.name, tensor.offset) == ((32000, 8), "F16", 1238560)
    data = await tensor.source.read_chunk(tensor.offset, tensor.nbytes)
    assert zlib.crc32(data) == 508101722
    assert struct.unpack("<3e", data[:6]) == (0.0132598876953125, 0.03363037109375, -0.01611328125)
    await checkpoint.close()


@pytest.mark.parametrize(
    ("name", "key", "count", "digest", "last"),
    [
        ("bert-bge", "tokens", 30522, "0644203d2f143f33", "～"),
        ("gpt-2", "tokens", 50257, "e35a33a0b2250c93", "<|endoftext|>"),
        ("gpt-2", "merges", 50000, "04e3597d7996f292", "Ġg azed"),
        ("gpt-2", "token_type", 50257, "303a2f63a3ef16df", 3),
        ("llama-spm", "tokens", 32000, "0f97b4337921e6e7", "给"),
        ("llama-spm", "scores", 32000, "1b1d519b689dc7e3", -31740.0),
        ("phi-3", "tokens", 32064, "1fd4242ce933c4c1", "[PAD32063]"),
        ("phi-3", "scores", 32064, "000a05ed5d668095", -10000.0),
    ],
)
async def test_vocabularies(name: str, key: str, count: int, digest: str, last: Any) -> None:
    """Digests of the lists as gguf-py 0.19 reads them."""
    checkpoint = await open_checkpoint(shared(f"tokenizers/{name}/ggml-vocab-{name}.gguf"))
    values = checkpoint.metadata[f"tokenizer.ggml.{key}"]
    assert (len(values), values[-1]) == (count, last)
    assert sha256("\n".join(map(str, values)).encode()).hexdigest()[:16] == digest
    assert checkpoint.tensors == {}
    await checkpoint.close()


async def test_chat_template_of_phi3() -> None:
    checkpoint = await open_checkpoint(shared("tokenizers/phi-3/ggml-vocab-phi-3.gguf"))
    assert checkpoint.chat_template is not None
    assert checkpoint.chat_template.startswith("{{ bos_token }}{% for message in messages %}")
    await checkpoint.close()


# How it is read


async def test_small_file_and_its_defaults() -> None:
    checkpoint = await opened(small_gguf(), SMALL_GGUF_DATA)
    assert checkpoint.name == "model"
    assert dict(checkpoint.metadata) == {
        "general.architecture": "llama",
        "llama.block_count": 2,
        "llama.use_parallel_residual": True,
        "tokenizer.ggml.tokens": ["a", "é", ""],
        "tokenizer.ggml.scores": [0.5, -1.0, 2.0],
        "nested": [[-1, 7]],
        "general.alignment": 64,
    }
    start = -(-len(small_gguf().data) // 64) * 64
    tensors = checkpoint.tensors.values()
    assert [(t.name, t.shape, t.format.name, t.offset, t.nbytes) for t in tensors] == [
        ("a.weight", (8, 4), "F32", start, 128),
        ("b.weight", (2, 32), "Q8_0", start + 128, 68),
        ("c.weight", (16,), "F16", start + 256, 32),
    ]  # fmt: skip


@pytest.mark.parametrize("version", [2, 3])
async def test_versions(version: int) -> None:
    file = GGUFBytes(tensors=0, keys=1, version=version)
    file.string("general.architecture", "qwen2")
    assert (await opened(file)).architecture == "qwen2"


async def test_named_templates() -> None:
    file = GGUFBytes(tensors=0, keys=3)
    file.string("general.architecture", "llama")
    file.string("tokenizer.chat_template", "default {{ x }}")
    file.string("tokenizer.chat_template.tool_use", "tools {{ x }}")
    checkpoint = await opened(file)
    assert checkpoint.chat_template == "default {{ x }}"
    assert checkpoint.named_templates == {"tool_use": "tools {{ x }}"}


@pytest.mark.parametrize("path", [STORIES, LLAMA2, "tokenizers/gpt-2/ggml-vocab-gpt-2.gguf"])
async def test_only_the_header_is_read_and_only_once(path: str) -> None:
    source = MemorySource(shared(path).read_bytes())
    checkpoint = await open_checkpoint(source)
    position = 0
    for offset, length in source.reads:
        assert offset == position
        position += length
    first = min((t.offset for t in checkpoint.tensors.values()), default=len(source.data))
    assert first - 32 < position <= first
    assert len(source.reads) < 60


async def test_unknown_size_works_and_a_cut_header_is_the_sources_error() -> None:
    data = small_gguf().bytes(SMALL_GGUF_DATA)
    assert len((await open_checkpoint(MemorySource(data, tells_size=False))).tensors) == 3
    with pytest.raises(SourceError, match="ends at byte 100"):
        await open_checkpoint(MemorySource(data[:100], tells_size=False))


async def test_large_vocabulary_parses_quickly() -> None:
    """150,000 tokens and 280,000 merges: under 0.5 s (best of three, CPU time)."""
    tokens = [f"tok{i * 7919 % 150_000:x}é" for i in range(150_000)]
    merges = [f"{a} {b}" for a, b in zip(tokens * 2, reversed(tokens * 2), strict=True)][:280_000]
    file = GGUFBytes(tensors=0, keys=4)
    file.string("general.architecture", "qwen2")
    for name, strings in (("tokens", tokens), ("merges", merges)):
        file.array(name, 8, len(strings))
        file.data += b"".join(struct.pack("<Q", len(s.encode())) + s.encode() for s in strings)
    file.array("scores", 6, len(tokens))
    file.data += struct.pack(f"<{len(tokens)}f", *range(len(tokens)))
    source = MemorySource(file.bytes())
    seconds = []
    for _ in range(3):
        begun = time.process_time()
        checkpoint = await open_checkpoint(source)
        seconds.append(time.process_time() - begun)
        source.open = True
    assert checkpoint.metadata["tokens"] == tokens
    assert checkpoint.metadata["merges"] == merges
    assert checkpoint.metadata["scores"][-1] == 149_999.0
    assert min(seconds) < 0.5


# What is refused
