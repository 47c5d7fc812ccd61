"""GGUF keys: defaults, roles, and what is refused."""

from __future__ import annotations

from typing import Any

import definitions
import pytest

from webllm_py.errors import TokenizerError, UnsupportedModelError
from webllm_py.tokenizer import from_gguf

BOS, EOS, IM_END = range(definitions.vocab_size(), definitions.vocab_size() + 3)


@pytest.mark.parametrize(
    ("changes", "add_bos", "add_eos"),
    [
        ({}, False, False),
        ({"pre": "llama-bpe"}, True, False),
        ({"pre": "tekken"}, True, False),
        ({"pre": "qwen2"}, False, False),
        ({"pre": "llama-bpe", "add_bos_token": False}, False, False),
        ({"add_bos_token": True, "add_eos_token": True}, True, True),
        ({"add_bos_token": True, "bos_token_id": 2**32 - 1}, False, False),
    ],
)
def test_what_is_put_around_a_text(changes: dict[str, Any], add_bos: bool, add_eos: bool) -> None:
    tokenizer = from_gguf(definitions.byte_level_gguf(**changes))
    assert (tokenizer.add_bos, tokenizer.add_eos) == (add_bos, add_eos)
    ids = tokenizer.encode("a", add_special=True)
    assert ids == [*[BOS] * add_bos, 0x61, *[EOS] * add_eos]


def test_roles_without_keys() -> None:
    metadata = definitions.byte_level_gguf()
    del metadata["tokenizer.ggml.bos_token_id"], metadata["tokenizer.ggml.eos_token_id"]
    tokenizer = from_gguf(metadata)
    assert (tokenizer.bos_id, tokenizer.eos_id, tokenizer.end_ids) == (None, None, {IM_END})
    metadata = definitions.sentencepiece_gguf()
    del metadata["tokenizer.ggml.bos_token_id"], metadata["tokenizer.ggml.eos_token_id"]
    tokenizer = from_gguf(metadata)
    assert (tokenizer.bos_id, tokenizer.eos_id, tokenizer.end_ids) == (1, 2, {2})


def test_end_of_turn_and_of_message_end_generation() -> None:
    tokenizer = from_gguf(definitions.byte_level_gguf(eot_token_id=0x61, eom_token_id=0x62))
    assert tokenizer.end_ids == {EOS, IM_END, 0x61, 0x62}


def test_tokens_for_filling_in() -> None:
    """By the file's ids, or by names that are in use; none of them for other models."""
    assert from_gguf(definitions.byte_level_gguf()).infill is None
    ids = {"fim_pre_token_id": 0x61, "fim_suf_token_id": 0x62, "fim_mid_token_id": 0x63}
    found = from_gguf(definitions.byte_level_gguf(**ids, fim_pad_token_id=0x64)).infill
    assert found is not None
    assert (found.prefix, found.suffix, found.middle, found.ends) == (0x61, 0x62, 0x63, {0x64})
    assert found.prompt([1, 2], [3]) == [0x61, 1, 2, 0x62, 3, 0x63]
    names = ["<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", "<|endoftext|>"]
    size = definitions.vocab_size()
    metadata = definitions.byte_level_gguf(
        tokens=[*definitions.byte_level_vocab(), *names], token_type=[1] * size + [3] * 4
    )
    found = from_gguf(metadata).infill
    assert found is not None
    assert (found.prefix, found.suffix, found.middle) == (size, size + 1, size + 2)
    assert found.ends == {size + 3}


def test_the_end_of_a_message_in_the_harmony_format_goes_on() -> None:
    for extra, expected in (("<|return|>", {"<|return|>"}), ("<|other|>", {"<|end|>"})):
        tokens = [*definitions.byte_level_vocab(), "<|end|>", extra]
        types = [1] * definitions.vocab_size() + [3, 3]
        metadata = definitions.byte_level_gguf(tokens=tokens, token_type=types, eos_token_id=None)
        tokenizer = from_gguf(metadata)
        assert tokenizer.end_ids == {tokenizer.token_id(text) for text in expected}


def test_words_that_are_tokens_are_taken_whole_where_the_pre_tokenizer_says_so() -> None:
    vocab = list(definitions.byte_level_vocab())
    tokens = [*vocab, "hello", "word"]
    changes = {"tokens": tokens, "token_type": [1] * (len(tokens) - 1) + [3]}
    whole = from_gguf(definitions.byte_level_gguf(pre="llama-bpe", **changes))
    merged = from_gguf(definitions.byte_level_gguf(pre="qwen2", **changes))
    assert whole.encode("hello") == [len(vocab)]
    assert merged.encode("hello") == [merged.token_id(piece) for piece in ("he", "l", "lo")]
    # "word" is a control token, which plain text does not spell
    assert whole.encode("word") == [len(vocab) + 1]
    assert len(whole.encode("word", parse_special=False)) == 4


def test_no_space_prefix() -> None:
    tokenizer = from_gguf(definitions.sentencepiece_gguf(add_space_prefix=False))
    ids = tokenizer.encode("the the")
    assert ids == [tokenizer.token_id(piece) for piece in ("t", "he", "▁the")]
    assert tokenizer.decode(ids) == "the the"
    assert tokenizer.decode(ids[2:]) == " the"


def test_user_defined_tokens_are_found_even_in_plain_text() -> None:
    tokenizer = from_gguf(definitions.sentencepiece_gguf())
    user = tokenizer.token_id("<user>")
    assert user not in tokenizer.special_ids
    assert user in tokenizer.encode("a<user>b", parse_special=False)


def test_phi3_s_special_tokens_take_the_space_behind_them() -> None:
    plain = from_gguf(definitions.sentencepiece_gguf())
    phi3 = from_gguf(definitions.sentencepiece_gguf() | {"general.name": "Phi-3 mini"})
    the = phi3.token_id("▁the")
    assert phi3.encode("</s>\n the<s>\n") == [2, the, *plain.encode("<s>\n")]
    assert len(plain.encode("</s>\n the")) == 4


def test_an_empty_token_keeps_its_id() -> None:
    tokens = ["", *definitions.byte_level_vocab()]
    metadata = definitions.byte_level_gguf(tokens=tokens, token_type=[1] * len(tokens))
    tokenizer = from_gguf(metadata)
    assert tokenizer.encode("a") == [0x61 + 1]


@pytest.mark.parametrize(("model", "name"), [("rwkv", "RWKV"), ("new", "new")])
def test_other_models_are_named(model: str, name: str) -> None:
    with pytest.raises(UnsupportedModelError, match=name):
        from_gguf(definitions.byte_level_gguf(model=model))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"model": 3}, "model"),
        ({"tokens": None}, "tokens"),
        ({"tokens": "abc"}, "tokens"),
        ({"tokens": ["a", 1]}, "tokens"),
        ({"tokens": ["a", "a"], "token_type": [1, 1]}, "'a' twice"),
        ({"merges": None}, "merges"),
        ({"merges": ["x y"]}, "'xy'"),
        ({"token_type": [1]}, "token_type"),
        ({"token_type": ["1"] * 300}, "token_type"),
        ({"token_type": [-1] * 300}, "token_type holds a number that is no type"),
        ({"bos_token_id": "1"}, "bos_token_id"),
        ({"add_bos_token": 1}, "add_bos_token"),
    ],
)
def test_damaged_keys_are_named(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(TokenizerError, match=named):
        from_gguf(definitions.byte_level_gguf(**changes))


def test_missing_keys_are_named() -> None:
    with pytest.raises(TokenizerError, match="no tokenizer"):
        from_gguf({"general.architecture": "llama"})
    with pytest.raises(TokenizerError, match="scores"):
        from_gguf(definitions.sentencepiece_gguf(scores=None))
    with pytest.raises(UnsupportedModelError, match="'brand-new'"):
        from_gguf(definitions.byte_level_gguf(pre="brand-new"))
