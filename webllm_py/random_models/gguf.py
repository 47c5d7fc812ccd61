"""GGUF files of random weights. No numpy is needed.

The file repeats one pool of random blocks. Speed does not depend on the values; they only have to
keep activations finite, as trained weights do.
"""

from __future__ import annotations

import math
import random
import struct
from array import array
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from webllm_py.checkpoint.checkpoint import FORMATS
from webllm_py.checkpoint.gguf_format import ValueType
from webllm_py.checkpoint.gguf_writer import GGUFWriter
from webllm_py.random_models.shapes import Shape

__all__ = ["write_random_model"]

# A prime number of blocks of 32: rows, which are shorter, begin at another block each.
POOL_BLOCKS = 65537
BLOCK = 32
NORMAL_TOKEN, CONTROL_TOKEN, UNUSED_TOKEN = 1, 3, 5  # token types of the GGUF specification


def write_random_model(path: Path, name: str, shape: Shape, format: str) -> None:
    """Write a model file; a file of that name appears only when it is whole.

    Args:
        name: the model's own (general.name).
        format: of the matrices: one of ``shapes.FORMATS``.

    Raises:
        OSError: it cannot be written.
    """
    writer = GGUFWriter()
    add_sizes(writer, name, shape)
    add_tokenizer(writer, shape.vocab)
    add_tensors(writer, shape, format.upper())
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    try:
        with partial.open("wb") as file:
            writer.write(file)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def add_sizes(writer: GGUFWriter, name: str, shape: Shape) -> None:
    """The keys that every model has."""
    writer.add("general.architecture", shape.architecture)
    writer.add("general.name", name)
    sizes = {
        "block_count": shape.layers,
        "context_length": shape.context,
        "embedding_length": shape.hidden,
        "feed_forward_length": shape.ffn,
        "attention.head_count": shape.heads,
        "attention.head_count_kv": shape.kv_heads,
        "attention.key_length": shape.head_dim,
        "attention.value_length": shape.head_dim,
        "attention.layer_norm_rms_epsilon": 1e-6,
        "rope.dimension_count": shape.head_dim,
        "rope.freq_base": shape.rope_theta,
    }
    for key, value in sizes.items():
        writer.add(f"{shape.architecture}.{key}", value)


def add_tokenizer(writer: GGUFWriter, vocab: int) -> None:
    """Byte-level BPE without merges: a token a byte, one that ends a text, and unused ones."""
    tokens = [*byte_characters(), "<|endoftext|>"]
    kinds = [NORMAL_TOKEN] * 256 + [CONTROL_TOKEN] + [UNUSED_TOKEN] * (vocab - len(tokens))
    tokens += [f"~{i}" for i in range(len(tokens), vocab)]
    writer.add("tokenizer.ggml.model", "gpt2")
    writer.add("tokenizer.ggml.pre", "gpt-2")
    writer.add("tokenizer.ggml.tokens", tokens)
    writer.add("tokenizer.ggml.token_type", kinds, ValueType.INT32)
    writer.add("tokenizer.ggml.merges", [], ValueType.STRING)
    writer.add("tokenizer.ggml.eos_token_id", 256)


def byte_characters() -> list[str]:
    """GPT-2's character for each byte: itself where it is visible, else one from 256 on."""
    visible = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = count(256)
    return [chr(byte if byte in visible else next(others)) for byte in range(256)]


def add_tensors(writer: GGUFWriter, shape: Shape, format: str) -> None:
    """Every tensor of the architecture; matrices random, norms 1, biases 0."""
    hidden, ffn = shape.hidden, shape.ffn
    queries, keys = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    pool = Pool(format)

    def matrix(name: str, rows: int, columns: int, gain: float = 1.0) -> None:
        writer.add_tensor(f"{name}.weight", (rows, columns), format, pool.data(rows, columns, gain))

    def vector(name: str, length: int, value: float) -> None:
        writer.add_tensor(name, (length,), "F32", [array("f", [value]).tobytes() * length])

    # Logits spread as a trained model's do: sampling works on a few hundred likely tokens.
    matrix("token_embd", shape.vocab, hidden, gain=3.0)
    for i in range(shape.layers):
        layer = f"blk.{i}"
        vector(f"{layer}.attn_norm.weight", hidden, 1.0)
        for part, rows in (("q", queries), ("k", keys), ("v", keys)):
            matrix(f"{layer}.attn_{part}", rows, hidden)
            if shape.architecture == "qwen2":
                vector(f"{layer}.attn_{part}.bias", rows, 0.0)
        matrix(f"{layer}.attn_output", hidden, queries)
        vector(f"{layer}.ffn_norm.weight", hidden, 1.0)
        matrix(f"{layer}.ffn_gate", ffn, hidden)
        matrix(f"{layer}.ffn_up", ffn, hidden)
        matrix(f"{layer}.ffn_down", hidden, ffn)
    vector("output_norm.weight", hidden, 1.0)
    if not shape.tied:
        matrix("output", shape.vocab, hidden, gain=3.0)


class Pool:
    """Random blocks of one format, and tensors cut from them."""

    def __init__(self, format: str):
        self.format = format
        self.block_bytes = FORMATS[format].nbytes(BLOCK)
        self._random = random.Random(1).randbytes(POOL_BLOCKS * self.block_bytes)
        self._scaled: dict[float, bytes] = {}
        self._starts = count(0, 7919)  # another block for every tensor

    def data(self, rows: int, columns: int, gain: float) -> Iterator[bytes]:
        """A matrix whose products have ``gain`` times the size of what goes in."""
        deviation = gain / math.sqrt(columns)
        if deviation not in self._scaled:
            self._scaled[deviation] = scaled(self._random, self.format, deviation)
        pool = self._scaled[deviation]
        at = next(self._starts) % POOL_BLOCKS * self.block_bytes
        missing = rows * columns // BLOCK * self.block_bytes
        while missing:
            piece = pool[at : at + missing]
            yield piece
            at, missing = 0, missing - len(piece)


def scaled(noise: bytes, format: str, deviation: float) -> bytes:
    """Blocks of random bytes whose values have this standard deviation."""
    if format == "F16":
        # Any mantissa and sign, one exponent: |value| is even over [2^e, 2^(e+1)), whose root mean
        # square is 2^e * sqrt(7/3). The exponent and two bits of mantissa are in the second byte.
        exponent = round(math.log2(deviation / math.sqrt(7 / 3))) + 15
        high = bytes(byte & 0x83 | exponent << 2 for byte in range(256))
        blocks = bytearray(noise)
        blocks[1::2] = blocks[1::2].translate(high)
        return bytes(blocks)
    # The deviation of n even steps is sqrt((n * n - 1) / 12).
    step = deviation / (73.9 if format == "Q8_0" else 4.61)
    header = struct.pack("<2e", step, -7.5 * step) if format == "Q4_1" else struct.pack("<e", step)
    blocks, stride = bytearray(noise), FORMATS[format].block_bytes
    for i, byte in enumerate(header):
        blocks[i::stride] = bytes([byte]) * (len(noise) // stride)
    return bytes(blocks)
