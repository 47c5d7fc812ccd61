"""Hidden states and attentions in a choice, where a request asks for them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from webllm_py.api.records import OPTIONAL, Record

__all__ = ["NOT_INSPECTED", "Inspected"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Inspected(Record):
    """What a request returns of the model's inside, for the prompt's and answer's tokens; float32.

    Attributes:
        token_ids: the prompt's, then those that the answer's text is made of.
        hidden_states: (layers + 1, tokens, hidden) as transformers has them: the embeddings, then
            what leaves each layer; the last one behind the final norm.
        attentions: (layers, heads, tokens, tokens): the weights that each position gives to each,
            of the layers that have attention.
    """

    token_ids: list[int] | None = field(default=None, metadata=OPTIONAL)
    hidden_states: Any = field(default=None, metadata=OPTIONAL)
    attentions: Any = field(default=None, metadata=OPTIONAL)


NOT_INSPECTED = Inspected()
