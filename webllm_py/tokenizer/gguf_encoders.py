"""The tokenizers of text encoders in GGUF files: Unigram ("t5") and WordPiece ("bert")."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

from webllm_py.errors import TokenizerError
from webllm_py.tokenizer import normalizers
from webllm_py.tokenizer.bert import bert_normalizer, bert_pre_tokenizer
from webllm_py.tokenizer.charsmap import by_longest_match
from webllm_py.tokenizer.sentencepiece_unigram import sentencepiece_unigram
from webllm_py.tokenizer.tokenizer import Tokenizer
from webllm_py.tokenizer.vocabulary import CONTINUATION, Vocabulary, piece_to_bytes, word_bytes
from webllm_py.tokenizer.wordpiece import WordPiece

if TYPE_CHECKING:
    from webllm_py.tokenizer.from_gguf import Keys

__all__ = ["unigram", "wordpiece"]

_BRACKETED = re.compile(r"\[\w+\]")  # [CLS] and its like


def unigram(keys: Keys) -> Tokenizer:
    """The Unigram tokenizer of a GGUF file's keys."""
    model = sentencepiece_unigram(keys.ids, keys.scores(), keys.types, keys.id("unknown", 2))
    added = keys.added_tokens()
    add_prefix = keys.flag("add_space_prefix", True)
    rules = keys.data("precompiled_charsmap")
    steps = [by_longest_match(rules)] if rules else []
    if keys.flag("remove_extra_whitespaces", True):
        steps.append(normalizers.collapse_spaces)
    steps.append(normalizers.replace(" ", "▁"))
    if add_prefix:
        steps.append(normalizers.prepend("▁"))
    return Tokenizer(
        model,
        Vocabulary(keys.ids, piece_to_bytes, added, lambda token: True),
        added,
        keys.special_tokens(eos=1, add_bos=False, add_eos=True),
        normalizer=normalizers.sequence(steps),
        drop_leading_space=add_prefix,
    )


def wordpiece(keys: Keys) -> Tokenizer:
    """The WordPiece tokenizer of a GGUF file's keys."""
    ids = dict(zip(map(_plain_wordpiece, keys.pieces), range(len(keys.pieces)), strict=True))
    if len(ids) < len(keys.pieces):
        raise TokenizerError("the tokenizer's vocabulary holds a token twice")
    added = keys.added_tokens()
    # The file does not say it, but a vocabulary without capitals can only be of a model without.
    lower = all(piece == piece.lower() or _BRACKETED.fullmatch(piece) for piece in keys.pieces)
    return Tokenizer(
        WordPiece(ids, keys.id("unknown", ids.get("[UNK]"))),
        Vocabulary(ids, partial(word_bytes, CONTINUATION), added, lambda token: True),
        added,
        keys.class_and_separator(),
        normalizer=bert_normalizer(strip=lower, lower=lower),
        pre_tokenizer=bert_pre_tokenizer(),
        drop_leading_space=True,
    )


def _plain_wordpiece(piece: str) -> str:
    """As BERT's own vocabulary has it. The format writes "▁" before a word, and nothing before what
    goes on one."""
    if _BRACKETED.fullmatch(piece):
        return piece
    return piece[1:] if piece.startswith("▁") else CONTINUATION + piece
