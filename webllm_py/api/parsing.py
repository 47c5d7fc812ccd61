"""From the fields of a request to the request: every field checked, every default filled in."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from webllm_py.api.adapters import adapter_choice
from webllm_py.api.checks import fail, integer, text
from webllm_py.api.fields import CHAT_FIELDS, COMPLETION_FIELDS, request_fields
from webllm_py.api.inputs import texts_or_token_ids
from webllm_py.api.messages import parse_messages
from webllm_py.api.options import (
    MAX_CHOICES,
    MAX_TOKENS,
    best_of,
    chat_logprobs,
    chat_max_tokens,
    completion_logprobs,
    grammar,
    include_usage,
    prompt_ending,
    resumable,
    stop_strings,
    switch,
    timeout,
)
from webllm_py.api.requests import ChatRequest, CompletionRequest
from webllm_py.api.sampling import parse_sampling
from webllm_py.api.template_fields import enable_thinking, reasoning_apart, template_kwargs
from webllm_py.chat import CallRules

if TYPE_CHECKING:
    from array import array

__all__ = ["parse_chat_request", "parse_completion_request"]

COMPLETION_TOKENS = 16  # OpenAI's default max_tokens of a text completion


def parse_chat_request(
    fields: Mapping[str, Any], *, defaults: Mapping[str, Any] | None = None
) -> ChatRequest:
    """Check the fields of a chat completion request and fill in the defaults.

    Args:
        fields: as OpenAI's interface names them, from JSON or from Python.
        defaults: the model's own sampling settings (``sampling_defaults``), for absent fields.

    Raises:
        RequestError: a field that is missing, unknown, not supported yet or wrong; nothing is
            dropped silently. ``param`` says where, as in ``messages[1].content``.
    """
    present = request_fields(fields, CHAT_FIELDS, elsewhere=COMPLETION_FIELDS)
    if "messages" not in present:
        fail("messages", "is missing.", code="missing_required_parameter")
    kwargs = template_kwargs(present)
    tools, calls = _tools(present)
    messages = parse_messages(present["messages"])
    opens, continues = prompt_ending(present, messages)
    return ChatRequest(
        messages=messages,
        tools=tools,
        calls=calls,
        enable_thinking=enable_thinking(present, kwargs),
        template_kwargs=kwargs,
        reasoning_apart=reasoning_apart(present),
        max_tokens=chat_max_tokens(present),
        logprobs=chat_logprobs(present),
        add_generation_prompt=opens,
        continue_final_message=continues,
        **_generation(present, defaults),
    )


def parse_completion_request(
    fields: Mapping[str, Any], *, defaults: Mapping[str, Any] | None = None
) -> CompletionRequest:
    """Check the fields of a text completion request and fill in the defaults.

    Arguments and errors are those of ``parse_chat_request``.
    """
    present = request_fields(fields, COMPLETION_FIELDS, elsewhere=CHAT_FIELDS)
    if "prompt" not in present:
        fail("prompt", "is missing.", code="missing_required_parameter")
    max_tokens = present.get("max_tokens", COMPLETION_TOKENS)
    generation = _generation(present, defaults)
    return CompletionRequest(
        prompts=texts_or_token_ids(present["prompt"], "prompt")[0],
        echo=bool(switch(present, "echo", False)),
        best_of=best_of(present, generation["n"], generation["stream"], generation["resumable"]),
        suffix=text(present["suffix"], "suffix") if "suffix" in present else None,
        max_tokens=integer(max_tokens, "max_tokens", low=0, high=MAX_TOKENS),
        logprobs=completion_logprobs(present),
        **generation,
    )


def _generation(present: Mapping[str, Any], defaults: Mapping[str, Any] | None) -> dict[str, Any]:
    stream = bool(switch(present, "stream", False))
    began = time.perf_counter()
    compiled = grammar(present)
    seconds = time.perf_counter() - began
    return {
        "model": text(present["model"], "model") if "model" in present else None,
        "n": integer(present.get("n", 1), "n", low=1, high=MAX_CHOICES),
        "stop": stop_strings(present.get("stop", [])),
        "ignore_eos": bool(switch(present, "ignore_eos", False)),
        "prompt_lookup": bool(switch(present, "prompt_lookup", True)),
        "latency_breakdown": bool(switch(present, "enable_latency_breakdown", False)),
        "stream": stream,
        "include_usage": include_usage(present, stream),
        "sampling": parse_sampling(present, defaults),
        "grammar": compiled,
        "grammar_seconds": seconds if compiled else None,
        "steering": _steering(present),
        "adapters": adapter_choice(present),
        "timeout": timeout(present),
        "resumable": resumable(present),
        "return_hidden_states": bool(switch(present, "return_hidden_states", False)),
        "return_attentions": bool(switch(present, "return_attentions", False)),
    }


def _steering(present: Mapping[str, Any]) -> Mapping[int, array[float]] | None:
    if "steering" not in present:
        return None
    from webllm_py.api.steering import parse_steering  # not before it is needed

    return parse_steering(present["steering"]) or None


def _tools(present: Mapping[str, Any]) -> tuple[tuple[dict[str, Any], ...], CallRules]:
    if not present.keys() & {"tools", "tool_choice", "parallel_tool_calls"}:
        return (), CallRules()
    from webllm_py.api.tool_choice import parse_tool_fields  # not before it is needed

    return parse_tool_fields(present)
