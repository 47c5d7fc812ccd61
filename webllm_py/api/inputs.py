"""The inputs of requests: a text, token ids, or several of them."""

from __future__ import annotations

from typing import Any

from webllm_py.api.checks import fail, integer, items, text, wrong_type
from webllm_py.api.sampling import MAX_TOKEN_ID

__all__ = ["texts_or_token_ids"]


def texts_or_token_ids(value: Any, param: str) -> tuple[tuple[str | tuple[int, ...], ...], bool]:
    """A text or token ids, or a list of them; and whether it is no list of them but one."""
    if isinstance(value, str):
        return (text(value, param),), True
    value = value.tolist() if hasattr(value, "tolist") else value  # numpy's arrays
    found = items(value, param) if isinstance(value, list | tuple) else None
    if found is None:
        wrong_type(param, "a string, token ids, or a list of either", value)
    if not found:
        fail(param, "must not be empty.")
    if isinstance(found[0], str | list | tuple):
        each = (_text_or_token_ids(one, f"{param}[{i}]") for i, one in enumerate(found))
        return tuple(each), False
    return (_token_ids(found, param),), True


def _text_or_token_ids(value: Any, param: str) -> str | tuple[int, ...]:
    if isinstance(value, str):
        return text(value, param)
    return _token_ids(items(value, param), param)


def _token_ids(value: list[Any], param: str) -> tuple[int, ...]:
    if not value:
        fail(param, "must not be empty.")
    if {*map(type, value)} == {int} and 0 <= min(value) <= max(value) <= MAX_TOKEN_ID:
        return tuple(value)  # long prompts are not looked at one by one
    return tuple(
        integer(token, f"{param}[{i}]", low=0, high=MAX_TOKEN_ID) for i, token in enumerate(value)
    )
