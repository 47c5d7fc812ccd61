"""Finds the tokenizer among a checkpoint's files."""

from __future__ import annotations

import re
from collections.abc import Mapping

from webllm_py.errors import MissingFileError, TokenizerError
from webllm_py.tokenizer.config import FolderConfig
from webllm_py.tokenizer.tokenizer import Tokenizer

__all__ = ["from_files"]

_TIKTOKEN_LINE = re.compile(rb"[A-Za-z0-9+/]+=* [0-9]+\r?\n")
_VOCAB_AND_MERGES = (("vocab.json", "merges.txt"), ("encoder.json", "vocab.bpe"))


def from_files(files: Mapping[str, bytes]) -> Tokenizer:
    """The tokenizer of a folder's files.

    Args:
        files: content by name. The first of these that is there is read: tokenizer.json;
            tokenizer.model (SentencePiece or tiktoken ranks); vocab.json with merges.txt;
            encoder.json with vocab.bpe; vocab.txt (WordPiece). tokenizer_config.json,
            special_tokens_map.json, added_tokens.json, generation_config.json and config.json add
            to it.

    Raises:
        MissingFileError: none of them is there, or only half of a pair.
        TokenizerError: a file is damaged.
        UnsupportedModelError: a tokenizer model or step that this version does not run.
    """
    try:
        return _read(files)
    except RecursionError:
        raise TokenizerError("the tokenizer's definition is nested too deeply") from None


def _read(files: Mapping[str, bytes]) -> Tokenizer:
    # No reader before it is needed: a page starts Python from a snapshot that must stay small.
    config = FolderConfig.read(files)
    if "tokenizer.json" in files:
        from webllm_py.tokenizer.from_json import read_tokenizer_json

        return read_tokenizer_json(files, config)
    if "tokenizer.model" in files:
        from webllm_py.tokenizer.from_sentencepiece import read_sentencepiece
        from webllm_py.tokenizer.from_vocab import read_tiktoken

        data = files["tokenizer.model"]
        if _TIKTOKEN_LINE.match(data):
            return read_tiktoken(data, "tokenizer.model", config)
        return read_sentencepiece(data, config)
    for vocab, merges in _VOCAB_AND_MERGES:
        if vocab in files or merges in files:
            from webllm_py.tokenizer.from_vocab import read_vocab_and_merges

            return read_vocab_and_merges(files, config, vocab, merges)
    if "vocab.txt" in files:
        from webllm_py.tokenizer.from_bert_vocab import read_bert_vocab

        return read_bert_vocab(files["vocab.txt"], config)
    raise MissingFileError(
        "the checkpoint has no tokenizer: put tokenizer.json (or tokenizer.model, or vocab.json "
        "and merges.txt) beside the weights"
    )
