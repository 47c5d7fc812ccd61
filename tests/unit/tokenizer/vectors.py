"""The published tokenization vectors, checked without pytest: natively and in Pyodide.

``read`` gives the bytes of a file by its path below ``shared/data``.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from webllm_py.checkpoint.gguf_reader import read_header
from webllm_py.tokenizer import Tokenizer, from_files, from_gguf

Read = Callable[[str], bytes]

TEXTS_PER_SET = 46
SEPARATOR = "\n__ggml_vocab_test__\n"


@dataclass(frozen=True)
class Case:
    """One definition of a tokenizer (a GGUF file, or the files of a folder) and its vectors."""

    vectors: str
    paths: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{self.vectors} from {' + '.join(path for path in self.paths)}"


CASES = (
    Case("gpt-2", ("tokenizers/gpt-2/ggml-vocab-gpt-2.gguf",)),
    Case("bert-bge", ("tokenizers/bert-bge/ggml-vocab-bert-bge.gguf",)),
    Case("llama-spm", ("tokenizers/llama-spm/ggml-vocab-llama-spm.gguf",)),
    Case("llama-spm", ("tokenizers/llama2/tokenizer.model",)),
    Case(
        "llama-spm",
        ("tokenizers/llama2/tokenizer.model", "tokenizers/llama2/tokenizer_config.json"),
    ),
    Case("llama-spm", ("checkpoints/llama-2-tiny-random/llama-2-tiny-random.gguf",)),
    Case("phi-3", ("tokenizers/phi-3/ggml-vocab-phi-3.gguf",)),
    Case("phi-3", ("tokenizers/phi-3/tokenizer.json",)),
    Case("phi-3", ("tokenizers/phi-3/tokenizer.json", "tokenizers/phi-3/tokenizer_config.json")),
    Case("llama-bpe", ("tokenizers/llama3/tokenizer.model",)),
    Case("llama-bpe", ("tokenizers/llama3.2/encoder.json", "tokenizers/llama3.2/vocab.bpe")),
    Case("qwen2", ("tokenizers/qwen2/vocab.json", "tokenizers/qwen2/merges.txt")),
    Case(
        "qwen2",
        (
            "tokenizers/qwen2/vocab.json",
            "tokenizers/qwen2/merges.txt",
            "tokenizers/qwen2/tokenizer_config.json",
            "tokenizers/qwen2/added_tokens.json",
            "tokenizers/qwen2/special_tokens_map.json",
        ),
    ),
)


class _Bytes:
    """A ``ByteSource`` whose bytes are all given beforehand, as ``head``."""

    name = "vectors.gguf"

    async def size(self) -> int | None:
        return None

    async def read(self, offset: int, length: int) -> bytes:
        raise AssertionError("the header reaches past the bytes that were given")


def gguf_metadata(data: bytes) -> dict[str, Any]:
    """The key-value pairs of a GGUF file."""
    return _result(read_header(_Bytes(), data)).metadata  # type: ignore[arg-type]


def _result(coroutine: Coroutine[Any, Any, Any]) -> Any:
    # All bytes are at hand, so it never waits; no event loop is needed (nor free, in Pyodide).
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("reading from memory waited")


def load(paths: tuple[str, ...], read: Read) -> Tokenizer:
    """The tokenizer that these files define."""
    if paths[0].endswith(".gguf"):
        return from_gguf(gguf_metadata(read(paths[0])))
    return from_files({PurePosixPath(path).name: read(path) for path in paths})


def texts_and_ids(name: str, read: Read) -> list[tuple[str, list[int]]]:
    """The pairs of one set of vectors."""
    texts = read(f"tokenizers/vectors/{name}.inp").decode().split(SEPARATOR)[:-1]
    lines = read(f"tokenizers/vectors/{name}.out").decode().split("\n")[:-1]
    assert len(texts) == len(lines) == TEXTS_PER_SET
    return [
        (text, [int(word) for word in line.split()])
        for text, line in zip(texts, lines, strict=True)
    ]


def mismatches(case: Case, read: Read) -> list[str]:
    """Descriptions of the texts that are not encoded exactly; empty where all 46 are."""
    tokenizer = load(case.paths, read)
    wrong = []
    for text, expected in texts_and_ids(case.vectors, read):
        ids = tokenizer.encode(text)
        if ids != expected:
            wrong.append(f"{text!r}: {ids} instead of {expected}")
    return wrong
