"""``/tokenize`` and ``/detokenize``, with llama.cpp's server's fields and answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from webllm_py.errors import RequestError

__all__ = ["detokenized", "tokenized"]


def tokenized(tokenizer: Any, fields: Mapping[str, Any]) -> dict[str, Any]:
    """``tokens``: the ids of ``content``; objects of an id and its text with ``with_pieces``.

    ``add_special`` puts special tokens around it as the model wants them; ``parse_special`` (True
    if left out) makes a special token of what spells one.

    Raises:
        RequestError: a field that is missing, unknown or wrong.
    """
    known = {"content": str, "add_special": bool, "parse_special": bool, "with_pieces": bool}
    given = checked(fields, known, "content")
    ids = tokenizer.encode(
        given["content"],
        add_special=given.get("add_special", False),
        parse_special=given.get("parse_special", True),
    )
    if not given.get("with_pieces"):
        return {"tokens": ids}
    return {"tokens": [{"id": id, "piece": piece(tokenizer.token_bytes(id))} for id in ids]}


def detokenized(tokenizer: Any, fields: Mapping[str, Any], vocab_size: int) -> dict[str, Any]:
    """``content``: the text of the ids in ``tokens``.

    Raises:
        RequestError: a field that is missing, unknown or wrong.
    """
    tokens = checked(fields, {"tokens": list}, "tokens")["tokens"]
    if not all(type(id) is int and 0 <= id < vocab_size for id in tokens):
        raise RequestError(f"'tokens' must be ids from 0 to {vocab_size - 1}", param="tokens")
    return {"content": tokenizer.decode(tokens)}


def piece(text: bytes) -> str | list[int]:
    """A token's text; its bytes where it is a part of a character."""
    try:
        return text.decode()
    except UnicodeDecodeError:
        return list(text)


def checked(fields: Mapping[str, Any], kinds: Mapping[str, type], needed: str) -> dict[str, Any]:
    """The fields that are given and not null.

    Raises:
        RequestError: one that is missing, unknown or of another kind.
    """
    given = {name: value for name, value in fields.items() if value is not None}
    for name, value in given.items():
        if name not in kinds:
            raise RequestError(f"there is no field {name!r}", param=name, code="unknown_parameter")
        if type(value) is not kinds[name]:
            raise RequestError(f"{name!r} must be a {NAMES[kinds[name]]}", param=name)
    if needed not in given:
        raise RequestError(
            f"{needed!r} is missing", param=needed, code="missing_required_parameter"
        )
    return given


NAMES = {str: "string", bool: "boolean", list: "list of token ids"}
