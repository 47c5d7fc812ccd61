"""The fields of a chat request that are about its model's template, and what it writes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from webllm_py.api.checks import boolean, fail, json_object, one_of
from webllm_py.api.options import switch

__all__ = ["enable_thinking", "reasoning_apart", "template_kwargs"]

REASONING_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh")
REASONING_FORMATS = ("auto", "deepseek", "none")
TEMPLATE_ARGUMENTS = ("messages", "tools", "add_generation_prompt")  # filled from other fields


def template_kwargs(present: Mapping[str, Any]) -> dict[str, Any]:
    """``chat_template_kwargs``, and ``reasoning_effort``, which goes to the template as well."""
    kwargs = json_object(present.get("chat_template_kwargs", {}), "chat_template_kwargs")
    for name in TEMPLATE_ARGUMENTS:
        if name in kwargs:
            fail(f"chat_template_kwargs.{name}", "comes from the request's own fields.")
    if "reasoning_effort" in present:
        effort = one_of(present["reasoning_effort"], "reasoning_effort", REASONING_EFFORTS)
        if kwargs.setdefault("reasoning_effort", effort) != effort:
            fail("reasoning_effort", "differs from the one in 'chat_template_kwargs'.")
    return kwargs


def reasoning_apart(present: Mapping[str, Any]) -> bool:
    """``reasoning_format``, as llama.cpp has it: "none" leaves reasoning in the content."""
    given = present.get("reasoning_format", "auto")
    return one_of(given, "reasoning_format", REASONING_FORMATS) != "none"


def enable_thinking(present: Mapping[str, Any], kwargs: dict[str, Any]) -> bool | None:
    """WebLLM has the switch as a field, vLLM inside ``chat_template_kwargs``; it is taken out."""
    outer = switch(present, "enable_thinking", None)
    inner = kwargs.pop("enable_thinking", None)
    if inner is None:
        return outer
    inner = boolean(inner, "chat_template_kwargs.enable_thinking")
    if outer not in (None, inner):
        fail("enable_thinking", "differs from the one in 'chat_template_kwargs'.")
    return inner
