"""Requests that cannot be answered: refused by name at once, and the engine answers the next."""

from __future__ import annotations

import asyncio
import time
from array import array
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
from engine_tools import said

from webllm_py import ContextLengthError, Engine, RequestError, TemplateError
from webllm_py.chat import ChatTemplate


@pytest.fixture(scope="module")
async def compiled_for_several(engine: Engine) -> None:
    """What decodes requests together is compiled when the first ones meet."""
    await asyncio.gather(said(engine, max_tokens=5), said(engine, max_tokens=5))


@pytest.fixture(autouse=True)
async def quick_and_harmless(engine: Engine) -> AsyncIterator[None]:
    expected = await said(engine, max_tokens=5)
    began = time.thread_time()
    yield
    assert time.thread_time() - began < 1
    assert await said(engine, max_tokens=5) == expected


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({}, "prompt"),
        ({"prompt": None}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": [1, "a"]}, "prompt"),
        ({"prompt": [1.5]}, "prompt"),
        ({"prompt": [-1]}, "prompt"),
        ({"prompt": [263]}, "prompt"),
        ({"prompt": [[65], [10**6]]}, "prompt"),
        ({"prompt": "x", "max_tokens": -1}, "max_tokens"),
        ({"prompt": "x", "max_tokens": "5"}, "max_tokens"),
        ({"prompt": "x", "temperature": 2.1}, "temperature"),
        ({"prompt": "x", "temperature": float("nan")}, "temperature"),
        ({"prompt": "x", "top_p": -0.1}, "top_p"),
        ({"prompt": "x", "min_p": 2}, "min_p"),
        ({"prompt": "x", "seed": 2**63}, "seed"),
        ({"prompt": "x", "repetition_penalty": 0}, "repetition_penalty"),
        ({"prompt": "x", "logit_bias": {263: 1}}, "logit_bias"),
        ({"prompt": "x", "logit_bias": {"a": 1}}, "logit_bias"),
        ({"prompt": "x", "logit_bias": {65: 101}}, "logit_bias"),
        ({"prompt": "x", "logits_processors": [3]}, "logits_processors"),
        ({"prompt": "x", "stop": ""}, "stop"),
        ({"prompt": "x", "n": 0}, "n"),
        ({"prompt": "x", "best_off": 3}, "best_off"),
        ({"prompt": "x", "messages": []}, "messages"),
    ],
    ids=str,
)
async def test_completions(
    engine: Engine, fields: dict[str, Any], param: str, stream: bool
) -> None:
    with pytest.raises(RequestError) as caught:
        await engine.completions.create(**fields, stream=stream)
    assert caught.value.param is not None and caught.value.param.startswith(param)
    assert caught.value.to_openai()["error"]["type"] == "invalid_request_error"
    assert engine.waiting == engine.answering == 0


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "user"}]}, "messages"),
        ({"messages": [{"role": "nobody", "content": "x"}]}, "messages"),
        ({"messages": [{"role": "user", "content": "x"}], "max_tokens": 0}, "max_tokens"),
        ({"messages": [{"role": "user", "content": "x"}], "logit_bias": {999: 1}}, "logit_bias"),
    ],
    ids=str,
)
async def test_chat(engine: Engine, fields: dict[str, Any], param: str) -> None:
    with pytest.raises(RequestError) as caught:
        await engine.chat.completions.create(**fields)
    assert caught.value.param is not None and caught.value.param.startswith(param)


async def test_a_template_that_refuses(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    refusing = ChatTemplate("{{ raise_exception('Not like this.') }}")
    monkeypatch.setattr(engine.loaded.dialect.prompts, "template", refusing)
    with pytest.raises(TemplateError, match="Not like this"):
        await engine.chat.completions.create(messages=[{"role": "user", "content": "x"}])


@pytest.mark.parametrize("length", [500, 501, 5000])
async def test_prompts_longer_than_the_context(engine: Engine, length: int) -> None:
    """500 positions: a prompt of 499 tokens leaves room for one more."""
    for prompt in ("x" * (length - 1), [65] * length):  # a text gets BOS
        with pytest.raises(
            ContextLengthError, match=f"holds 500 tokens, and there are {length:,} in prompt;"
        ) as caught:
            await engine.completions.create(prompt=prompt)
        assert caught.value.code == "context_length_exceeded"
    with pytest.raises(ContextLengthError, match=r"there are [\d,]+ in messages; send fewer$"):
        content = "x" * length
        await engine.chat.completions.create(messages=[{"role": "user", "content": content}])


@pytest.mark.parametrize(
    "ids", [[], "", b"ab", [-1], [263], [1.5], ["a"], [None], 7, [[1]]], ids=str
)
async def test_logits_of_what_is_no_token(engine: Engine, ids: Any) -> None:
    with pytest.raises(RequestError, match=r"from 0 to 262, .*, not ") as caught:
        await engine.logits(ids)
    assert caught.value.param == "ids"


async def test_layers_that_are_not_there(engine: Engine) -> None:
    with pytest.raises(RequestError, match=r"^layers must be .* from 0 to \d, not \[7, 99\]$"):
        await engine.inspect("x", output_attentions=True, layers=[7, 99])
    with pytest.raises(RequestError, match=r"^the layers of hooks must .*, not \[99\]$") as caught:
        await engine.inspect("x", hooks={99: print})
    assert caught.value.param == "hooks"


async def test_logits_of_more_than_the_context(engine: Engine) -> None:
    with pytest.raises(ContextLengthError, match="of 500 tokens here, and ids has 501"):
        await engine.logits([65] * 501)


@pytest.mark.parametrize(
    ("returned", "what"),
    [
        (lambda logits: None, "a NoneType"),
        (lambda logits: logits[1:], "262 values"),
        (lambda logits: logits.reshape(263, 1), r"shape \(263, 1\)"),
        (lambda logits: np.stack([logits, logits], 1), r"shape \(263, 2\)"),
        (lambda logits: logits.astype(complex), "type complex128"),
        (lambda logits: ["a"] * 263, "a list"),
        (lambda logits: dict.fromkeys(range(263), 0.0), "a dict"),
    ],
)
async def test_a_processor_that_returns_no_logits(engine: Engine, returned: Any, what: str) -> None:
    with pytest.raises(RequestError, match=f"returned .*{what}") as caught:
        await engine.completions.create(prompt="x", logits_processors=[returned])
    assert caught.value.param == "logits_processors"


@pytest.mark.parametrize(
    "returned",
    [
        lambda logits: logits.astype(np.float64),
        lambda logits: logits.tolist(),
        lambda logits: np.asfortranarray(np.stack([logits, logits]))[0],
        lambda logits: array("d", logits),
    ],
)
async def test_logits_of_any_kind_from_a_processor(engine: Engine, returned: Any) -> None:
    fields = {"prompt": "x", "max_tokens": 5, "temperature": 0, "ignore_eos": True}
    plain = await engine.completions.create(**fields)
    other = await engine.completions.create(**fields, logits_processors=[returned])
    assert other.choices[0].text == plain.choices[0].text


async def test_a_refused_request_leaves_no_pages_behind(engine: Engine) -> None:
    pages = engine.loaded.executor.cache.pages
    pages.clear()
    for _ in range(3):
        with pytest.raises(RequestError):
            await engine.completions.create(
                prompt=[65] * 100, logits_processors=[lambda logits: None]
            )
    pages.clear()
    assert pages.used == 0


@pytest.mark.parametrize("temperature", [1e-300, 1e-46, 1e-39, 1e-6])
async def test_very_cold_is_greedy(engine: Engine, temperature: float) -> None:
    fields = {"prompt": "x", "max_tokens": 8, "ignore_eos": True}
    greedy = await engine.completions.create(**fields, temperature=0)
    cold = await engine.completions.create(**fields, temperature=temperature)
    assert cold.choices[0].text == greedy.choices[0].text


@pytest.mark.usefixtures("compiled_for_several")
async def test_a_refused_request_among_others(engine: Engine) -> None:
    good, bad, other = await asyncio.gather(
        said(engine, max_tokens=5),
        engine.completions.create(prompt=[10**6]),
        said(engine, max_tokens=5),
        return_exceptions=True,
    )
    assert isinstance(bad, RequestError)
    assert good == other
