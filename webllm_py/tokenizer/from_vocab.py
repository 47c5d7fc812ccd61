"""Reads vocabularies without steps of their own: vocab + merges, and tiktoken ranks.

Their pre-tokenizer is a matter of the tokenizer's class, which the small files name; without them
it is told by the number of tokens, else it is GPT-2's.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from webllm_py.errors import TokenizerError
from webllm_py.tokenizer import merges as tables
from webllm_py.tokenizer.added_tokens import AddedToken
from webllm_py.tokenizer.bpe import BPE
from webllm_py.tokenizer.byte_level import bytes_to_chars, chars_to_bytes
from webllm_py.tokenizer.config import FolderConfig
from webllm_py.tokenizer.fields import read_json, require, token_ids
from webllm_py.tokenizer.normalizers import unicode_form
from webllm_py.tokenizer.patterns import PROFILES
from webllm_py.tokenizer.tokenizer import Tokenizer
from webllm_py.tokenizer.vocabulary import Vocabulary

__all__ = ["read_tiktoken", "read_vocab_and_merges"]


@dataclass(frozen=True)
class _Family:
    """What a family's own code knows and its files do not say.

    Attributes:
        profile: name of the pre-tokenizer.
        specials: texts of the special tokens behind the model's own, in order of id.
        bos, eos: texts; empty where there is none.
        nfc: text is brought to Unicode's form NFC first.
    """

    profile: str
    specials: tuple[str, ...] = ()
    bos: str = ""
    eos: str = ""
    nfc: bool = False


def _reserved(start: int, stop: int) -> list[str]:
    return [f"<|reserved_special_token_{number}|>" for number in range(start, stop)]


_LLAMA3_SPECIALS = (
    "<|begin_of_text|>",
    "<|end_of_text|>",
    *_reserved(0, 2),
    "<|finetune_right_pad_id|>",
    *_reserved(2, 3),
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eom_id|>",
    "<|eot_id|>",
    "<|python_tag|>",
    *_reserved(3, 248),
)
_GPT2 = _Family("gpt-2", ("<|endoftext|>",), "<|endoftext|>", "<|endoftext|>")
_LLAMA3 = _Family("llama-bpe", _LLAMA3_SPECIALS, "<|begin_of_text|>", "<|end_of_text|>")
_QWEN2 = _Family(
    "qwen2", ("<|endoftext|>", "<|im_start|>", "<|im_end|>"), eos="<|endoftext|>", nfc=True
)

_BY_CLASS = {"GPT2Tokenizer": _GPT2, "Qwen2Tokenizer": _QWEN2}
_BY_MODEL_TYPE = {"gpt2": _GPT2, "qwen2": _QWEN2, "qwen2_moe": _QWEN2, "qwen3": _QWEN2}
_BY_MODEL_TYPE |= {"qwen3_moe": _QWEN2, "llama": _LLAMA3}
_BY_SIZE = {50257: _GPT2, 128000: _LLAMA3, 128256: _LLAMA3, 151643: _QWEN2}


def _family(config: FolderConfig, size: int) -> _Family:
    name = config.text("tokenizer_class").removesuffix("Fast")
    if name in _BY_CLASS:
        return _BY_CLASS[name]
    if size in _BY_SIZE:
        return _BY_SIZE[size]
    return _BY_MODEL_TYPE.get(config.text("model_type"), _GPT2)


def read_vocab_and_merges(
    files: Mapping[str, bytes], config: FolderConfig, vocab_name: str, merges_name: str
) -> Tokenizer:
    """The tokenizer of vocab.json and merges.txt, or of encoder.json and vocab.bpe.

    Raises:
        MissingFileError: one of the two is missing.
        TokenizerError: one of the files is damaged.
    """
    ids = token_ids(read_json(files, vocab_name), vocab_name)
    merges = tables.parse_merges_txt(require(files, merges_name), merges_name)
    priorities, joiner = tables.from_merges(merges, ids)
    family = _family(config, len(ids))
    whole_words = PROFILES[family.profile].whole_words
    model = BPE(ids, priorities, joiner, byte_level=True, whole_words=whole_words)
    return _byte_level_tokenizer(model, ids, config, family)


def read_tiktoken(data: bytes, name: str, config: FolderConfig) -> Tokenizer:
    """The tokenizer of tiktoken ranks: lines of a token in base64 and its id.

    Raises:
        TokenizerError: the file is damaged.
    """
    words = data.split()
    try:
        tokens = [binascii.a2b_base64(word) for word in words[::2]]
        ranks = list(map(int, words[1::2]))
    except ValueError as error:
        raise TokenizerError(f"{name} is not a list of tiktoken ranks: {error}") from None
    if ranks != list(range(len(tokens))):
        raise TokenizerError(f"{name}: the ranks must count up from 0 without a gap")
    ids = dict(zip(map(bytes_to_chars, tokens), ranks, strict=True))
    if len(ids) < len(tokens):
        raise TokenizerError(f"{name} gives a token twice")
    family = _BY_SIZE.get(len(ids), _LLAMA3)  # the format is that of Meta's Llama 3
    model = BPE(ids, ids, "", byte_level=True, whole_words=True)
    return _byte_level_tokenizer(model, ids, config, family)


def _byte_level_tokenizer(
    model: BPE, ids: Mapping[str, int], config: FolderConfig, family: _Family
) -> Tokenizer:
    added = config.added_tokens([], ids) or _family_tokens(family.specials, ids)
    vocabulary = Vocabulary(ids, chars_to_bytes, added, lambda token: True)
    profile = PROFILES[family.profile]
    return Tokenizer(
        model,
        vocabulary,
        added,
        config.special_tokens(
            vocabulary,
            bos=vocabulary.token_id(family.bos),
            eos=vocabulary.token_id(family.eos),
            add_bos=profile.add_bos,
        ),
        normalizer=unicode_form("NFC") if family.nfc else None,
        pre_tokenizer=profile.pre_tokenizer(),
    )


def _family_tokens(texts: Iterable[str], ids: Mapping[str, int]) -> list[AddedToken]:
    """The family's special tokens: those in the vocabulary, and the others behind it.

    Only a vocabulary of the family's own size is known to go on with them.
    """
    following = len(ids)
    tokens = []
    for text in texts:
        if text in ids:
            tokens.append(AddedToken(ids[text], text, special=True))
        elif len(ids) in _BY_SIZE:
            tokens.append(AddedToken(following, text, special=True))
            following += 1
    return tokens
