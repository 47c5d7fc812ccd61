"""The Unigram model of SentencePiece's scored pieces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from webllm_py.tokenizer.from_sentencepiece import BYTE, NORMAL
from webllm_py.tokenizer.unigram import Unigram
from webllm_py.tokenizer.vocabulary import byte_token_ids

__all__ = ["sentencepiece_unigram"]


def sentencepiece_unigram(
    ids: Mapping[str, int], scores: Sequence[float], types: Sequence[int], unknown_id: int | None
) -> Unigram:
    """As ``sentencepiece_bpe``, of a model that takes the best-scored pieces. Its text is never
    split: how a sum is rounded depends on all of it before."""
    normal = {piece: scores[index] for piece, index in ids.items() if types[index] == NORMAL}
    known = unknown_id is not None and 0 <= unknown_id < len(ids)
    return Unigram(
        normal,
        ids,
        unknown_id if known else None,
        byte_token_ids(ids) if BYTE in types else (),
        min(normal.values(), default=0.0),
        single_precision=True,
    )
