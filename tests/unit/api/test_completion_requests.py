"""Text completion requests, and the sampling defaults of a checkpoint."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from webllm_py.api import CompletionRequest, parse_completion_request, sampling_defaults
from webllm_py.errors import CorruptCheckpointError, RequestError
from webllm_py.runtime.sampling.settings import SamplingSettings


def test_defaults_are_those_of_openai() -> None:
    assert parse_completion_request({"prompt": "a"}) == CompletionRequest(
        prompts=("a",),
        echo=False,
        max_tokens=16,
        n=1,
        stop=(),
        stream=False,
        sampling=SamplingSettings(temperature=1.0, top_p=1.0),
    )


@pytest.mark.parametrize(
    ("prompt", "prompts"),
    [
        ("", ("",)),
        (["a", "b"], ("a", "b")),
        ([1, 2, 3], ((1, 2, 3),)),
        ((np.int32(7),), ((7,),)),
        ([[1, 2], [3]], ((1, 2), (3,))),
        (["a", [1]], ("a", (1,))),
    ],
)
def test_prompts(prompt: Any, prompts: tuple[Any, ...]) -> None:
    assert parse_completion_request({"prompt": prompt}).prompts == prompts


def test_fields_arrive() -> None:
    request = parse_completion_request(
        {"prompt": "a", "echo": True, "max_tokens": 0, "n": 2, "stop": "x", "seed": 3,
         "stream": True, "temperature": 0, "user": "u", "suffix": "z", "logprobs": 5}
    )  # fmt: skip
    assert request == CompletionRequest(
        prompts=("a",),
        echo=True,
        max_tokens=0,
        n=2,
        best_of=2,
        suffix="z",
        logprobs=5,
        stop=("x",),
        stream=True,
        sampling=SamplingSettings(temperature=0.0, seed=3),
    )
    assert request.sampling.greedy


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({}, "prompt"),
        ({"prompt": None}, "prompt"),
        ({"prompt": 5}, "prompt"),
        ({"prompt": {"a": 1}}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": [[]]}, "prompt[0]"),
        ({"prompt": ["a", 1]}, "prompt[1]"),
        ({"prompt": [1, "a"]}, "prompt[1]"),
        ({"prompt": [1, -1]}, "prompt[1]"),
        ({"prompt": [True]}, "prompt[0]"),
        ({"prompt": [[1], [1.5]]}, "prompt[1][0]"),
        ({"prompt": ["ok", "\ud800"]}, "prompt[1]"),
        ({"prompt": "a", "max_tokens": -1}, "max_tokens"),
        ({"prompt": "a", "echo": 1}, "echo"),
        ({"prompt": "a", "suffix": 5}, "suffix"),
        ({"prompt": "a", "best_of": 2, "n": 3}, "best_of"),
        ({"prompt": "a", "best_of": 2, "stream": True}, "best_of"),
        ({"prompt": "a", "best_of": 129}, "best_of"),
        ({"prompt": "a", "logprobs": 21}, "logprobs"),
        ({"prompt": "a", "logprobs": "5"}, "logprobs"),
        ({"prompt": "a", "logprobs": 5, "top_logprobs": 2}, "top_logprobs"),
        ({"prompt": "a", "continue_final_message": True}, "continue_final_message"),
        ({"prompt": "a", "messages": []}, "messages"),
        ({"prompt": "a", "max_completion_tokens": 5}, "max_completion_tokens"),
        ({"prompt": "a", "temperature": 3}, "temperature"),
    ],
)
def test_wrong_values_name_their_field(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse_completion_request(fields)
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("fields", "attribute", "value"),
    [
        ({"logprobs": 0}, "logprobs", 0),
        ({"logprobs": True, "top_logprobs": 2}, "logprobs", 2),  # WebLLM's
        ({"best_of": 4, "n": 2}, "best_of", 4),
        ({"n": 3}, "best_of", 3),
        ({"suffix": ""}, "suffix", ""),
    ],
)
def test_values_arrive(fields: dict[str, Any], attribute: str, value: Any) -> None:
    assert getattr(parse_completion_request({"prompt": "a", **fields}), attribute) == value


def test_check_vocabulary_looks_at_every_prompt() -> None:
    request = parse_completion_request({"prompt": ["text", [1, 2], [3]], "logit_bias": {"2": 1}})
    request.check_vocabulary(4)
    with pytest.raises(RequestError, match="token id 3") as caught:
        request.check_vocabulary(3)
    assert caught.value.param == "prompt"
    with pytest.raises(RequestError, match="token id 2") as caught:
        request.check_vocabulary(2)
    assert caught.value.param == "logit_bias"


@pytest.mark.parametrize(
    ("config", "defaults"),
    [
        ({}, {}),
        (
            {"temperature": 0.6, "top_p": 0.9, "top_k": 50, "do_sample": True,
             "eos_token_id": [1, 2], "repetition_penalty": 1.05, "max_length": 20},
            {"temperature": 0.6, "top_p": 0.9, "top_k": 50, "repetition_penalty": 1.05},
        ),
        ({"do_sample": False}, {"temperature": 0.0}),
        ({"do_sample": False, "temperature": 0.7}, {"temperature": 0.7}),
        ({"temperature": None, "top_k": None}, {}),
    ],
)  # fmt: skip
def test_sampling_defaults(config: dict[str, Any], defaults: dict[str, Any]) -> None:
    assert sampling_defaults(config) == defaults


def test_sampling_defaults_that_no_sampler_can_follow_name_the_file() -> None:
    with pytest.raises(CorruptCheckpointError, match=r"generation_config\.json: 'top_p'"):
        sampling_defaults({"top_p": 7})
