"""Weights never enter Python's memory: a 128 MB model barely grows the wasm heap."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from served import TestSite

from webllm_py.checkpoint.gguf_format import ValueType
from webllm_py.checkpoint.gguf_writer import GGUFWriter

NEW_PAGE = True  # whose heap has not grown
WIDTH, HIDDEN, LAYERS, HEADS, KV_HEADS, VOCABULARY = 2048, 8192, 2, 32, 8, 300
MEGABYTE = 1 << 20
SIZE = 120 * MEGABYTE
MOST_GROWTH = 64 * MEGABYTE  # whatever the size


@pytest.fixture(scope="module")
def large_gguf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A random llama in Q8_0; SentencePiece's byte tokens are its vocabulary."""
    writer = GGUFWriter()
    writer.add("general.architecture", "llama")
    writer.add("general.name", "large and random")
    writer.add("llama.block_count", LAYERS)
    writer.add("llama.context_length", 256)
    writer.add("llama.embedding_length", WIDTH)
    writer.add("llama.feed_forward_length", HIDDEN)
    writer.add("llama.attention.head_count", HEADS)
    writer.add("llama.attention.head_count_kv", KV_HEADS)
    writer.add("llama.attention.layer_norm_rms_epsilon", 1e-5)
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    tokens += [f"word{number}" for number in range(VOCABULARY - len(tokens))]
    kinds = [2, 3, 3] + [6] * 256 + [1] * (VOCABULARY - 259)
    writer.add("tokenizer.ggml.model", "llama")
    writer.add("tokenizer.ggml.tokens", tokens)
    writer.add("tokenizer.ggml.scores", [0.0] * VOCABULARY)
    writer.add("tokenizer.ggml.token_type", kinds, ValueType.INT32)
    writer.add("tokenizer.ggml.bos_token_id", 1)
    writer.add("tokenizer.ggml.eos_token_id", 2)
    add_weights(writer)
    path = tmp_path_factory.mktemp("large") / "large.gguf"
    with path.open("wb") as file:
        writer.write(file)
    assert path.stat().st_size > SIZE
    yield path
    path.unlink()  # pytest keeps its temporary folders for a while


def add_weights(writer: GGUFWriter) -> None:
    narrow = WIDTH * KV_HEADS // HEADS
    shapes = {
        "attn_q": (WIDTH, WIDTH),
        "attn_k": (narrow, WIDTH),
        "attn_v": (narrow, WIDTH),
        "attn_output": (WIDTH, WIDTH),
        "ffn_gate": (HIDDEN, WIDTH),
        "ffn_up": (HIDDEN, WIDTH),
        "ffn_down": (WIDTH, HIDDEN),
    }
    ones = (b"\x00\x00\x80\x3f") * WIDTH
    writer.add_tensor("token_embd.weight", (VOCABULARY, WIDTH), "Q8_0", blocks(VOCABULARY * WIDTH))
    writer.add_tensor("output_norm.weight", (WIDTH,), "F32", [ones])
    for layer in range(LAYERS):
        for norm in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"blk.{layer}.{norm}.weight", (WIDTH,), "F32", [ones])
        for name, shape in shapes.items():
            data = blocks(shape[0] * shape[1])
            writer.add_tensor(f"blk.{layer}.{name}.weight", shape, "Q8_0", data)


def blocks(count: int) -> Iterator[bytes]:
    """Q8_0 blocks for so many weights: a scale of 2^-12, then 32 random bytes."""
    randomness = random.Random(count)
    pattern = b"".join(b"\x00\x0c" + randomness.randbytes(32) for _ in range(2048))
    whole, rest = divmod(count // 32, 2048)
    yield from (pattern for _ in range(whole))
    yield pattern[: 34 * rest]


def test_the_heap_hardly_grows(python: Any, pyodide_site: TestSite, large_gguf: Path) -> None:
    pyodide_site.folders["/large/"] = large_gguf.parent
    heap = "return pyodide._module.HEAP8.length;"
    python.run("import webllm_py")
    before = python.run_js(heap)
    text, memory = python.run_async(f"""
        import webllm_py
        engine = await webllm_py.load("/large/{large_gguf.name}")
        reply = await engine.completions.create(prompt="x", max_tokens=2, ignore_eos=True)
        answer = [reply.usage.completion_tokens, engine.info["gpu_memory"]]
        await engine.unload()
        answer
        """)
    grown = python.run_js(heap) - before  # wasm memory never shrinks: this is the peak
    assert text == 2
    assert memory > SIZE
    assert grown < MOST_GROWTH, f"the heap grew by {grown / MEGABYTE:.0f} MB"
    print(f"\nthe wasm heap grew by {grown / MEGABYTE:.1f} MB")
