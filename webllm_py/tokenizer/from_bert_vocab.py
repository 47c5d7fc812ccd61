"""Reads BERT's vocab.txt; tokenizer_config.json tells how letters are normalized."""

from __future__ import annotations

from functools import partial

from webllm_py.errors import TokenizerError
from webllm_py.tokenizer.added_tokens import AddedToken
from webllm_py.tokenizer.bert import bert_normalizer, bert_pre_tokenizer
from webllm_py.tokenizer.config import FolderConfig
from webllm_py.tokenizer.tokenizer import Tokenizer
from webllm_py.tokenizer.vocabulary import CONTINUATION, Vocabulary, word_bytes
from webllm_py.tokenizer.wordpiece import WordPiece

__all__ = ["read_bert_vocab"]

_BERT_SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def read_bert_vocab(data: bytes, config: FolderConfig) -> Tokenizer:
    """The tokenizer of a vocab.txt: a WordPiece token a line, in order of id.

    Raises:
        TokenizerError: the file is damaged, or is no such vocabulary.
    """
    try:
        lines = data.decode().removesuffix("\n").split("\n")
    except UnicodeDecodeError as error:
        raise TokenizerError(f"vocab.txt is not UTF-8 text: {error}") from None
    ids = {line.rstrip("\r"): index for index, line in enumerate(lines)}  # the last of equal lines
    if not {"[UNK]", "[CLS]", "[SEP]"} <= ids.keys():
        raise TokenizerError(
            "vocab.txt has no [UNK], [CLS] and [SEP]: it is no WordPiece vocabulary of BERT's kind"
        )
    own = [AddedToken(ids[text], text, special=True) for text in _BERT_SPECIALS if text in ids]
    added = config.added_tokens(own, ids)
    vocabulary = Vocabulary(
        ids, partial(word_bytes, CONTINUATION), added, lambda token: token.special
    )
    lower = config.flag("do_lower_case") is not False
    strip = config.flag("strip_accents")
    return Tokenizer(
        WordPiece(ids, ids["[UNK]"]),
        vocabulary,
        added,
        config.special_tokens(vocabulary, prefix=(ids["[CLS]"],), suffix=(ids["[SEP]"],)),
        normalizer=bert_normalizer(
            part_chinese=config.flag("tokenize_chinese_chars") is not False,
            strip=lower if strip is None else strip,
            lower=lower,
        ),
        pre_tokenizer=bert_pre_tokenizer(),
        drop_leading_space=True,
    )
