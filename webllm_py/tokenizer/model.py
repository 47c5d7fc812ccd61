"""The protocol of tokenizer models, the last step of encoding: from a word to token ids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from webllm_py.errors import UnsupportedModelError

__all__ = ["Model", "unsupported_model"]


class Model(Protocol):
    """Turns one pre-tokenized word into ids. ``BPE``, ``WordPiece`` and ``Unigram`` are such."""

    def encode(self, word: str) -> Sequence[int]:
        """The ids of a word.

        Raises:
            TokenizerError: the vocabulary has no token for a part of it, and no unknown token.
        """
        ...


def unsupported_model(kind: str) -> UnsupportedModelError:
    """The error for a tokenizer model that this version does not run."""
    return UnsupportedModelError(
        f"the checkpoint's tokenizer is a {kind} model; this version runs BPE (byte-level and "
        "SentencePiece), Unigram and WordPiece. Choose a checkpoint with such a tokenizer."
    )
