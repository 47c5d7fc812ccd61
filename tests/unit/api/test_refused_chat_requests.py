"""Chat requests: what is refused, and at which place."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from chat_requests import NAMED, TOOL, USER, allowed, parse, refused

from webllm_py.errors import RequestError


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"temperature": -0.1}, "temperature"),
        ({"temperature": 2.1}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"temperature": float("inf")}, "temperature"),
        ({"temperature": "1"}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"temperature": 10**400}, "temperature"),
        ({"top_p": 1.01}, "top_p"),
        ({"top_k": -2}, "top_k"),
        ({"top_k": 1.0}, "top_k"),
        ({"min_p": 1.5}, "min_p"),
        ({"seed": 2**63}, "seed"),
        ({"seed": 10**10_000}, "seed"),
        ({"seed": "7"}, "seed"),
        ({"repetition_penalty": 0}, "repetition_penalty"),
        ({"repetition_penalty": float("inf")}, "repetition_penalty"),
        ({"frequency_penalty": 2.5}, "frequency_penalty"),
        ({"presence_penalty": -2.5}, "presence_penalty"),
        ({"typical_p": -0.1}, "typical_p"),
        ({"xtc_probability": 2}, "xtc_probability"),
        ({"xtc_threshold": "x"}, "xtc_threshold"),
        ({"mirostat": 3}, "mirostat"),
        ({"mirostat_tau": 0}, "mirostat_tau"),
        ({"mirostat_eta": 1.5}, "mirostat_eta"),
        ({"min_tokens": -1}, "min_tokens"),
        ({"no_repeat_ngram_size": 2.0}, "no_repeat_ngram_size"),
        ({"dry_multiplier": -1}, "dry_multiplier"),
        ({"dry_base": 0.5}, "dry_base"),
        ({"dry_allowed_length": 0}, "dry_allowed_length"),
        ({"dry_penalty_last_n": -2}, "dry_penalty_last_n"),
        ({"dry_sequence_breakers": "x"}, "dry_sequence_breakers"),
        ({"dry_sequence_breakers": ["a", ""]}, "dry_sequence_breakers[1]"),
        ({"n": 0}, "n"),
        ({"n": 129}, "n"),
        ({"n": True}, "n"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_completion_tokens": -1}, "max_completion_tokens"),
        ({"max_tokens": 5, "max_completion_tokens": 6}, "max_tokens"),
        ({"stop": ""}, "stop"),
        ({"stop": ["a", ""]}, "stop[1]"),
        ({"stop": ["a", 1]}, "stop[1]"),
        ({"stop": {"a": 1}}, "stop"),
        ({"stop": ["x"] * 129}, "stop"),
        ({"stop": ["x" * 4000, "y" * 97]}, "stop"),
        ({"stop": "\ud800"}, "stop"),
        ({"logit_bias": [1]}, "logit_bias"),
        ({"logit_bias": {"cat": 1}}, "logit_bias"),
        ({"logit_bias": {"-1": 1}}, "logit_bias"),
        ({"logit_bias": {"٣": 1}}, "logit_bias"),
        ({"logit_bias": {2**31: 1}}, "logit_bias"),
        ({"logit_bias": {"5": 101}}, "logit_bias['5']"),
        ({"logits_processors": "f"}, "logits_processors[0]"),
        ({"logits_processors": [abs, 1]}, "logits_processors[1]"),
        ({"stream": "yes"}, "stream"),
        ({"stream": 1}, "stream"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"stream": True, "stream_options": True}, "stream_options"),
        ({"stream": True, "stream_options": {"usage": True}}, "stream_options.usage"),
        (
            {"stream": True, "stream_options": {"include_usage": 1}},
            "stream_options.include_usage",
        ),
        (
            {"stream": True, "stream_options": {"include_obfuscation": True}},
            "stream_options.include_obfuscation",
        ),
        ({"ignore_eos": "no"}, "ignore_eos"),
        ({"prompt_lookup": 3}, "prompt_lookup"),
        ({"model": 5}, "model"),
        ({"logprobs": 3}, "logprobs"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": "5"}, "timeout"),
        ({"grammar": "root ::= a"}, "grammar"),
        ({"grammar": 'root ::= "a"', "response_format": {"type": "json_object"}}, "grammar"),
        ({"grammar": 'root ::= "a"', "ignore_eos": True}, "ignore_eos"),
        ({"continue_final_message": True}, "continue_final_message"),
        (
            {"continue_final_message": True, "add_generation_prompt": True},
            "continue_final_message",
        ),
        ({"best_of": 2}, "best_of"),
        ({"suffix": "x"}, "suffix"),
        ({"reasoning_effort": "huge"}, "reasoning_effort"),
        ({"reasoning_format": "raw"}, "reasoning_format"),
        (
            {"reasoning_effort": "low", "chat_template_kwargs": {"reasoning_effort": "high"}},
            "reasoning_effort",
        ),
        ({"enable_thinking": "on"}, "enable_thinking"),
        (
            {"enable_thinking": True, "chat_template_kwargs": {"enable_thinking": False}},
            "enable_thinking",
        ),
        ({"chat_template_kwargs": {"enable_thinking": 1}}, "chat_template_kwargs.enable_thinking"),
        ({"chat_template_kwargs": {"messages": []}}, "chat_template_kwargs.messages"),
        ({"chat_template_kwargs": {"x": [object()]}}, "chat_template_kwargs.x[0]"),
        ({"chat_template_kwargs": {1: 2}}, "chat_template_kwargs"),
        ({"extra_body": []}, "extra_body"),
        ({"extra_body": {"extra_body": {}}}, "extra_body.extra_body"),
        ({"temperature": 1, "extra_body": {"temperature": 1}}, "extra_body.temperature"),
        ({"tool_choice": "maybe"}, "tool_choice"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tool_choice": {"type": "function", "function": {"name": "add"}}}, "tool_choice"),
        ({"tool_choice": {"type": "custom"}}, "tool_choice.type"),
        ({"tool_choice": {"type": "function"}}, "tool_choice.function"),
        ({"tool_choice": {"type": "function", "name": "add"}}, "tool_choice.name"),
        ({"tools": [TOOL], "tool_choice": {**NAMED, "function": {"name": "sub"}}}, "tool_choice"),
        ({"tool_choice": allowed(mode="none")}, "tool_choice.allowed_tools.mode"),
        ({"tool_choice": allowed(tools=[])}, "tool_choice.allowed_tools.tools"),
        ({"tool_choice": allowed(tools=[{}])}, "tool_choice.allowed_tools.tools[0].type"),
        ({"tools": [TOOL], "tool_choice": "required", "ignore_eos": True}, "ignore_eos"),
        ({"parallel_tool_calls": 1}, "parallel_tool_calls"),
        ({"tools": {}}, "tools"),
        ({"messages": None}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": []}, "messages"),
    ],
)
def test_wrong_values_name_their_field(fields: dict[str, Any], param: str) -> None:
    error = refused({"messages": [USER], **fields})
    assert error.param == param
    assert param in str(error)
    assert error.to_openai()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("audio", {"voice": "x"}, "not supported yet"),
        ("modalities", ["text", "audio"], "not supported yet"),
        ("functions", [], "not supported: 'tools' have taken their place"),
        ("function_call", "auto", "not supported: 'tool_choice' has taken its place"),
        ("web_search_options", {}, "not supported yet"),
        ("modalities", np.array(["text"]), "not supported yet"),
    ],
)
def test_what_is_not_done_says_so(name: str, value: Any, problem: str) -> None:
    error = refused({"messages": [USER], name: value})
    assert error.param == name
    assert problem in str(error)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"max_tokens": 5.0}, "'max_tokens' must be a whole number, not 5.0."),
        ({"tools": [{"type": "function"}]}, "'tools[0].function' is missing."),
        ({"tool_choice": {"name": "add"}}, "'tool_choice.type' is missing."),
        ({"response_format": {}}, "'response_format.type' is missing."),
        ({"stop": [None]}, "'stop[0]' must be a string, not null."),
        (
            {"messages": "Hello!"},
            "'messages' must be a list of messages, as in [{'role': 'user', 'content': 'Hello!'}], "
            "not a string.",
        ),
    ],
)
def test_what_is_wrong_is_shown(fields: dict[str, Any], problem: str) -> None:
    assert str(refused({"messages": [USER], **fields})) == problem


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("max_token", "'max_tokens'"),
        ("temprature", "'temperature'"),
        ("stops", "'stop'"),
        ("tool", "'tools'"),
    ],
)
def test_unknown_fields_are_refused_with_the_nearest_name(name: str, hint: str) -> None:
    error = refused({"messages": [USER], name: 1})
    assert (error.param, error.code) == (name, "unknown_parameter")
    assert hint in str(error)


def test_an_unknown_field_is_refused_inside_extra_body_too_and_even_when_null() -> None:
    assert refused({"messages": [USER], "extra_body": {"qqqq": 1}}).param == "qqqq"
    assert refused({"messages": [USER], "qqqq": None}).param == "qqqq"


def test_fields_of_text_completion_are_no_chat_fields() -> None:
    error = refused({"messages": [USER], "prompt": "x"})
    assert error.param == "prompt"
    assert str(error).startswith("'prompt' is a field of text completions, not of this kind")
    assert refused({"messages": [USER], "echo": True}).param == "echo"


def test_messages_are_required() -> None:
    error = refused({})
    assert (error.param, error.code) == ("messages", "missing_required_parameter")


def test_check_vocabulary_refuses_tokens_that_the_model_does_not_have() -> None:
    request = parse(logit_bias={"99": 1})
    request.check_vocabulary(100)
    with pytest.raises(RequestError, match="99") as caught:
        request.check_vocabulary(99)
    assert caught.value.param == "logit_bias"
