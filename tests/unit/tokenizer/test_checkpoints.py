"""Real definitions: roles, special tokens and round trips."""

from __future__ import annotations

import pytest
from vectors import Read, gguf_metadata, load

from webllm_py.tokenizer import from_files, from_gguf

STORIES = "checkpoints/stories260K/"
TINY = "checkpoints/TinyStories-656K/"
TINY_FILES = tuple(
    TINY + name
    for name in (
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "generation_config.json",
        "config.json",
    )
)
QWEN = ("tokenizers/qwen2/vocab.json", "tokenizers/qwen2/merges.txt")


@pytest.mark.parametrize("file", ["stories260K.gguf", "tok512.model"])
def test_stories260k(file: str, read: Read) -> None:
    data = read(STORIES + file)
    is_gguf = file.endswith(".gguf")
    tokenizer = from_gguf(gguf_metadata(data)) if is_gguf else from_files({"tokenizer.model": data})
    assert tokenizer.vocab_size == 512
    assert (tokenizer.bos_id, tokenizer.eos_id) == (1, 2)
    assert (tokenizer.add_bos, tokenizer.add_eos) == (True, False)
    story = read(STORIES + "greedy_200.txt").decode().rstrip("\n")
    ids = tokenizer.encode(story, add_special=True)
    assert ids[0] == 1
    assert len(ids) <= 201  # BOS and the 200 tokens that made the story, or fewer
    assert tokenizer.decode(ids, skip_special=True) == story


def test_tinystories_656k(read: Read) -> None:
    tokenizer = load(TINY_FILES, read)
    assert tokenizer.vocab_size == 2048
    assert (tokenizer.bos_id, tokenizer.eos_id) == (1, 2)
    assert (tokenizer.add_bos, tokenizer.add_eos) == (True, False)
    assert tokenizer.special_ids == {0, 1, 2}
    assert tokenizer.end_ids == {2}
    for text in ("Once upon a time, there was a little girl named Lily.", "a  b\n\nc", "x"):
        ids = tokenizer.encode(text, add_special=True)
        assert ids[0] == 1
        assert tokenizer.decode(ids, skip_special=True) == text
    # Its vocabulary has no byte tokens: what it does not know is the unknown token.
    assert tokenizer.encode("é") == [tokenizer.token_id("▁"), 0]


def test_phi3_special_tokens_take_the_space_behind_them(read: Read) -> None:
    text = "<|user|>\nHi<|end|>\n<|assistant|>\n"
    expected = [32010, 6324, 32007, 32001]
    for path in ("tokenizer.json", "ggml-vocab-phi-3.gguf"):
        tokenizer = load((f"tokenizers/phi-3/{path}",), read)
        assert tokenizer.encode(text) == expected
        assert tokenizer.decode(expected, skip_special=True) == "Hi"
        assert len(tokenizer.encode(text, parse_special=False)) > 15


def test_mistral_v3_control_tokens(read: Read) -> None:
    tokenizer = load(("tokenizers/mistral-v3/tokenizer.model",), read)
    assert tokenizer.vocab_size == 32768
    assert tokenizer.encode("[INST] Hi [/INST]", add_special=True) == [1, 3, 29473, 16127, 29473, 4]
    assert 3 not in tokenizer.encode("[INST] Hi [/INST]", parse_special=False)
    assert {1, 2, 3, 4} <= tokenizer.special_ids


@pytest.mark.parametrize(("version", "size"), [("2.5", 151665), ("3", 151669)])
def test_qwen_tokens_that_only_the_config_names(version: str, size: int, read: Read) -> None:
    tokenizer = load((*QWEN, f"tokenizers/qwen{version}/tokenizer_config.json"), read)
    assert tokenizer.vocab_size == size
    assert (tokenizer.bos_id, tokenizer.eos_id) == (None, 151645)
    assert tokenizer.encode("<|im_start|>a<tool_call>") == [151644, 64, 151657]
    assert tokenizer.decode([151644, 64, 151657], skip_special=True) == "a<tool_call>"
    # brought to Unicode's form NFC, as the model's own tokenizer does
    assert tokenizer.encode("e\u0301") == tokenizer.encode("é") == [963]


@pytest.mark.parametrize(
    "paths",
    [
        ("tokenizers/llama3/tokenizer.model",),
        ("tokenizers/llama3.2/encoder.json", "tokenizers/llama3.2/vocab.bpe"),
    ],
    ids=["tiktoken", "vocab and merges"],
)
def test_llama3_special_tokens_that_no_file_names(paths: tuple[str, ...], read: Read) -> None:
    tokenizer = load(paths, read)
    assert tokenizer.vocab_size == 128256
    assert (tokenizer.bos_id, tokenizer.eos_id, tokenizer.add_bos) == (128000, 128001, True)
    text = "<|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>"
    assert tokenizer.encode(text, add_special=True) == [
        128000,
        128006,
        882,
        128007,
        271,
        13347,
        128009,
    ]
