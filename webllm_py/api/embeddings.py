"""Embedding requests and responses in OpenAI's shapes."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from webllm_py.api.checks import fail, integer, one_of, text
from webllm_py.api.fields import CHAT_FIELDS, COMPLETION_FIELDS, EMBEDDING_FIELDS, request_fields
from webllm_py.api.inputs import texts_or_token_ids
from webllm_py.api.records import Record
from webllm_py.arrays import base64_of

__all__ = [
    "CreateEmbeddingResponse",
    "Embedding",
    "EmbeddingRequest",
    "EmbeddingUsage",
    "parse_embedding_request",
]

MAX_INPUTS = 2048  # OpenAI's limit
MAX_DIMENSIONS = 2**31 - 1


@dataclass(frozen=True, eq=False)
class Embedding(Record):
    """One text's vector: numbers, or in base64 the bytes of float32, little-endian."""

    embedding: list[float] | str
    index: int
    object: Literal["embedding"] = "embedding"


@dataclass(frozen=True, eq=False)
class EmbeddingUsage(Record):
    """Tokens of all texts together, special ones included."""

    prompt_tokens: int
    total_tokens: int


@dataclass(frozen=True, eq=False)
class CreateEmbeddingResponse(Record):
    """The answer to an embedding request, a vector for each input in order."""

    data: list[Embedding]
    model: str
    usage: EmbeddingUsage
    object: Literal["list"] = "list"


@dataclass(frozen=True, kw_only=True)
class EmbeddingRequest:
    """An embedding request.

    Attributes:
        inputs: each a text or token ids.
        single: whether ``input`` was one of them and not a list.
        encoding_format: how vectors are written.
        dimensions: how many leading numbers of a vector are wanted; None for all.
        model: the name that was asked for, or None.
    """

    inputs: tuple[str | tuple[int, ...], ...]
    single: bool = False
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = None
    model: str | None = None

    @property
    def named_inputs(self) -> list[tuple[str, str | tuple[int, ...]]]:
        """The inputs, each with its place in the request."""
        names = ["input"] if self.single else [f"input[{i}]" for i in range(len(self.inputs))]
        return list(zip(names, self.inputs, strict=True))

    def check_model(self, vocab_size: int, hidden_size: int) -> None:
        """Refuse token ids and ``dimensions`` that a model does not have.

        Raises:
            RequestError: naming the field.
        """
        if self.dimensions and self.dimensions > hidden_size:
            fail("dimensions", f"is {self.dimensions}; this model's vectors have {hidden_size}.")
        for param, value in self.named_inputs:
            for token in () if isinstance(value, str) else value:
                if token >= vocab_size:
                    fail(param, f"has token id {token}; this model's are 0 to {vocab_size - 1}.")

    def response(
        self,
        vectors: Sequence[array[float]],
        *,
        model: str,
        tokens: int,
        normalized: bool,
    ) -> CreateEmbeddingResponse:
        """The response that holds these vectors, cut and written as was asked for.

        Args:
            vectors: float32, one an input.
            model: its name, where the request gives none.
            tokens: of all inputs.
            normalized: whether vectors have length 1, and are to have it when they are cut.
        """
        size = self.dimensions
        cut = [
            vector if size is None else shortened(vector, size, normalized) for vector in vectors
        ]
        return CreateEmbeddingResponse(
            data=[
                Embedding(base64_of(v) if self.encoding_format == "base64" else v.tolist(), index)
                for index, v in enumerate(cut)
            ],
            model=self.model or model,
            usage=EmbeddingUsage(prompt_tokens=tokens, total_tokens=tokens),
        )


def parse_embedding_request(fields: Mapping[str, Any]) -> EmbeddingRequest:
    """Check the fields of an embedding request.

    Raises:
        RequestError: a field that is missing, unknown or wrong. ``param`` says where, as in
            ``input[1]``.
    """
    present = request_fields(fields, EMBEDDING_FIELDS, elsewhere=CHAT_FIELDS | COMPLETION_FIELDS)
    if "input" not in present:
        fail("input", "is missing.", code="missing_required_parameter")
    inputs, single = texts_or_token_ids(present["input"], "input")
    if len(inputs) > MAX_INPUTS:
        fail("input", f"holds {len(inputs)} texts; {MAX_INPUTS} are allowed.")
    for index, value in enumerate(inputs):
        if not value:
            fail("input" if single else f"input[{index}]", "must not be empty.")
    encoding = one_of(present.get("encoding_format", "float"), "encoding_format", FORMATS)
    dimensions = None
    if "dimensions" in present:
        dimensions = integer(present["dimensions"], "dimensions", low=1, high=MAX_DIMENSIONS)
    return EmbeddingRequest(
        inputs=inputs,
        single=single,
        encoding_format=cast(Literal["float", "base64"], encoding),
        dimensions=dimensions,
        model=text(present["model"], "model") if "model" in present else None,
    )


FORMATS = ("float", "base64")


def shortened(vector: array[float], size: int, normalized: bool) -> array[float]:
    """A vector's first numbers, brought to length 1 again if it had that."""
    part = vector[:size]
    length = math.sqrt(math.fsum(x * x for x in part)) if normalized else 1.0
    return array("f", [x / length for x in part]) if length > 0 else part
