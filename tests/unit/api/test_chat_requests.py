"""Chat requests: what is accepted and how it is filled in."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from chat_requests import NAMED, OTHER, TOOL, USER, allowed, parse

from webllm_py.api import ChatRequest, parse_chat_request
from webllm_py.chat import CallRules
from webllm_py.runtime.sampling.settings import Dry, SamplingSettings


def test_defaults_are_those_of_openai() -> None:
    assert parse() == ChatRequest(
        messages=(USER,),
        tools=(),
        calls=CallRules((), required=False, parallel=True, strict=frozenset()),
        template_kwargs={},
        enable_thinking=None,
        model=None,
        n=1,
        max_tokens=None,
        stop=(),
        ignore_eos=False,
        prompt_lookup=True,
        stream=False,
        include_usage=False,
        sampling=SamplingSettings(
            temperature=1.0,
            top_k=0,
            top_p=1.0,
            min_p=0.0,
            seed=None,
            repetition_penalty=1.0,
            frequency_penalty=0.0,
            presence_penalty=0.0,
            logit_bias={},
            logits_processors=(),
        ),
    )


def test_every_field_arrives() -> None:
    def processor(logits: Any) -> Any:
        return logits

    request = parse(
        model="pocket",
        stream=True,
        stream_options={"include_usage": True},
        n=3,
        max_completion_tokens=7,
        temperature=0.5,
        top_p=0.9,
        top_k=40,
        min_p=0.05,
        seed=-5,
        stop=["a", "b"],
        frequency_penalty=-2,
        presence_penalty=2,
        repetition_penalty=1.1,
        logit_bias={"5": -100, 6: 1.5},
        tools=[TOOL],
        tool_choice="auto",
        ignore_eos=True,
        prompt_lookup=False,
        logits_processors=processor,
        chat_template_kwargs={"date": "today", "deep": [{"a": None}]},
        reasoning_effort="low",
        reasoning_format="none",
        extra_body={"enable_thinking": False},
    )
    assert request == ChatRequest(
        messages=(USER,),
        tools=(TOOL,),
        calls=CallRules((TOOL["function"],)),
        template_kwargs={"date": "today", "deep": [{"a": None}], "reasoning_effort": "low"},
        enable_thinking=False,
        reasoning_apart=False,
        model="pocket",
        n=3,
        max_tokens=7,
        stop=("a", "b"),
        ignore_eos=True,
        prompt_lookup=False,
        stream=True,
        include_usage=True,
        sampling=SamplingSettings(
            temperature=0.5,
            top_k=40,
            top_p=0.9,
            min_p=0.05,
            seed=-5,
            repetition_penalty=1.1,
            frequency_penalty=-2.0,
            presence_penalty=2.0,
            logit_bias={5: -100.0, 6: 1.5},
            logits_processors=(processor,),
        ),
    )


@pytest.mark.parametrize(
    ("fields", "attribute", "value"),
    [
        ({"stop": "end"}, "stop", ("end",)),
        ({"stop": ()}, "stop", ()),
        ({"max_tokens": 5}, "max_tokens", 5),
        ({"max_tokens": 5, "max_completion_tokens": 5}, "max_tokens", 5),
        ({"n": np.int64(2)}, "n", 2),
        ({"tools": [TOOL], "tool_choice": "none"}, "tools", ()),
        ({"tools": []}, "tools", ()),
        ({"tool_choice": "auto"}, "tools", ()),
        ({"chat_template_kwargs": {"enable_thinking": True}}, "enable_thinking", True),
        ({"chat_template_kwargs": {"enable_thinking": True}}, "template_kwargs", {}),
        ({"enable_thinking": False}, "enable_thinking", False),
        ({"logprobs": True}, "logprobs", 0),
        ({"logprobs": True, "top_logprobs": 20}, "logprobs", 20),
        ({"logprobs": False}, "logprobs", None),
        ({"timeout": 5}, "timeout", 5.0),
        ({"add_generation_prompt": False}, "add_generation_prompt", False),
        ({"grammar": 'root ::= "a"'}, "n", 1),
        ({"stream": True, "stream_options": {"include_usage": False}}, "include_usage", False),
        ({"stream": True, "stream_options": {"include_obfuscation": False}}, "stream", True),
    ],
)
def test_other_spellings(fields: dict[str, Any], attribute: str, value: Any) -> None:
    assert getattr(parse(**fields), attribute) == value


def test_a_last_message_to_continue() -> None:
    begun = {"role": "assistant", "content": "The capital"}
    request = parse_chat_request({"messages": [USER, begun], "continue_final_message": True})
    assert (request.continue_final_message, request.add_generation_prompt) == (True, False)
    assert not parse_chat_request({"messages": [USER, begun]}).continue_final_message


@pytest.mark.parametrize(
    ("fields", "attribute", "value"),
    [
        ({"temperature": 0}, "temperature", 0.0),
        ({"temperature": 2}, "temperature", 2.0),
        ({"temperature": np.float32(0.5)}, "temperature", 0.5),
        ({"top_p": 0}, "top_p", 0.0),
        ({"top_k": -1}, "top_k", 0),
        ({"seed": 2**63 - 1}, "seed", 2**63 - 1),
        ({"logits_processors": []}, "logits_processors", ()),
        ({"logits_processors": [abs, len]}, "logits_processors", (abs, len)),
        ({"typical_p": 0.7}, "typical_p", 0.7),
        ({"xtc_probability": 0.5}, "xtc_probability", 0.5),
        ({"xtc_threshold": 0.2}, "xtc_threshold", 0.2),
        ({"mirostat": 2}, "mirostat_tau", 5.0),
        ({"mirostat": 1}, "mirostat", 1),
        ({"mirostat": 1}, "mirostat_tau", 5.0),
        ({"mirostat": 2, "mirostat_tau": 3}, "mirostat_tau", 3.0),
        ({"mirostat": 0, "mirostat_tau": 3}, "mirostat_tau", 0.0),
        ({"mirostat": 2, "mirostat_eta": 0.3}, "mirostat_eta", 0.3),
        ({"min_tokens": 5}, "min_tokens", 5),
        ({"no_repeat_ngram_size": 3}, "no_repeat_ngram_size", 3),
        ({"dry_multiplier": 0.8}, "dry", Dry(multiplier=0.8)),
        ({"dry_multiplier": 0, "dry_base": 2}, "dry", None),
        ({"dry_multiplier": 1, "dry_penalty_last_n": 0}, "dry", None),
        (
            {
                "dry_multiplier": 1,
                "dry_base": 2,
                "dry_allowed_length": 3,
                "dry_penalty_last_n": 64,
                "dry_sequence_breakers": ["x"],
            },
            "dry",
            Dry(multiplier=1.0, base=2.0, allowed_length=3, last_n=64, breakers=("x",)),
        ),
    ],
)
def test_other_spellings_of_sampling(fields: dict[str, Any], attribute: str, value: Any) -> None:
    assert getattr(parse(**fields).sampling, attribute) == value


@pytest.mark.parametrize(
    ("fields", "names", "required", "parallel"),
    [
        ({}, "add sub", False, True),
        ({"tool_choice": "auto", "parallel_tool_calls": False}, "add sub", False, False),
        ({"tool_choice": "none"}, "", False, True),
        ({"tool_choice": "required"}, "add sub", True, True),
        ({"tool_choice": NAMED}, "add", True, False),
        ({"tool_choice": allowed()}, "add", False, True),
        ({"tool_choice": allowed("required", [NAMED, OTHER, NAMED])}, "add sub", True, True),
    ],
)
def test_tool_choice(fields: dict[str, Any], names: str, required: bool, parallel: bool) -> None:
    request = parse(tools=[TOOL, OTHER], **fields)
    functions = tuple(t["function"] for t in (TOOL, OTHER) if t["function"]["name"] in names)
    assert request.calls == CallRules(functions, required, parallel)
    assert request.tools == (() if fields.get("tool_choice") == "none" else (TOOL, OTHER))


def test_strict_functions_are_remembered_but_not_shown() -> None:
    strict = {"type": "function", "function": {**TOOL["function"], "strict": True}}
    request = parse(tools=[strict, OTHER])
    assert request.calls.strict == {"add"}
    assert request.tools == (TOOL, OTHER)


def test_null_is_absent_for_every_optional_field() -> None:
    names = (
        "model stream stream_options n max_tokens max_completion_tokens temperature top_p top_k "
        "min_p seed stop frequency_penalty presence_penalty repetition_penalty logit_bias tools "
        "tool_choice ignore_eos logits_processors chat_template_kwargs extra_body enable_thinking "
        "prompt_lookup reasoning_effort reasoning_format logprobs top_logprobs response_format "
        "user metadata timeout"
    )
    assert parse(**dict.fromkeys(names.split())) == parse()


def test_fields_that_cannot_change_the_answer_change_nothing() -> None:
    assert (
        parse(
            user="u",
            metadata={"a": "b"},
            store=True,
            service_tier="auto",
            safety_identifier="s",
            prompt_cache_key="k",
            prediction={"type": "content", "content": "x"},
            extra_headers={"a": "b"},
            extra_query={},
            # the values of unsupported fields that ask for nothing
            response_format={"type": "text"},
            modalities=["text"],
            parallel_tool_calls=True,
            # and of others
            logprobs=False,
            add_generation_prompt=True,
            continue_final_message=False,
        )
        == parse()
    )


def test_a_models_own_settings_stand_in_for_absent_fields_only() -> None:
    defaults = {"temperature": 0.6, "top_k": 20, "top_p": 0.95}
    request = parse_chat_request({"messages": [USER], "top_k": 5}, defaults=defaults)
    assert request.sampling == SamplingSettings(temperature=0.6, top_k=5, top_p=0.95)
    assert defaults == {"temperature": 0.6, "top_k": 20, "top_p": 0.95}


def test_the_request_is_not_tied_to_the_callers_objects() -> None:
    message = {"role": "user", "content": [{"type": "text", "text": "a"}]}
    kwargs = {"list": [1]}
    request = parse_chat_request({"messages": [message], "chat_template_kwargs": kwargs})
    message["content"][0]["text"] = "changed"  # type: ignore[index]
    kwargs["list"].append(2)
    assert request.messages[0]["content"] == [{"type": "text", "text": "a"}]
    assert request.template_kwargs == {"list": [1]}
