"""LoRA adapters beside a model's weights, against PEFT over transformers in float32."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engine_tools import PRINTABLE_ONLY, Teacher, said
from expected import Expected
from made_adapters import ADAPTERS, MIX, TOKENS, TOLERANCE, RecordedAdapter
from made_models import SMALL
from model_files import Files

import webllm_py
from webllm_py import Engine, StateError
from webllm_py.gpu import Device
from webllm_py.loading import decoder
from webllm_py.models.tuning import Tuning

pytestmark = pytest.mark.usefixtures("no_long_prompts")


async def test_each_and_both(adapted: Engine, files: Files, plain_device: Device) -> None:
    """Ragged ranks and scales, swapped between calls; without any the model is what it was."""
    for name in (*MIX, *MIX):
        expected = RecordedAdapter.load(name).expected
        tokens = ADAPTERS[name].tokens()
        assert expected.error(await adapted.logits(tokens, adapters=[name])) < TOLERANCE
    mixed, _ = Expected.load("lora-mixed")
    assert mixed.error(await adapted.logits(TOKENS, adapters=MIX)) < TOLERANCE
    plain = await adapted.logits(TOKENS)
    nothing = await adapted.logits(TOKENS, adapters=dict.fromkeys(MIX, 0.0))
    async with await webllm_py.load(
        files.gguf(SMALL), device=plain_device, kv_dtype="f32", tune=False
    ) as engine:
        assert (await engine.logits(TOKENS) == plain).all() and (plain == nothing).all()


async def test_what_is_inspected_has_them_too(adapted: Engine) -> None:
    """Also what an answer brings of the model at work."""
    mixed, _ = Expected.load("lora-mixed")
    seen = await adapted.inspect(TOKENS, output_logits=True, adapters=MIX)
    assert mixed.error(seen.logits) < TOLERANCE
    lens = await adapted.logit_lens(TOKENS, layers=[SMALL.layers], adapters=MIX)
    assert mixed.error(lens[0]) < TOLERANCE
    asked = {"prompt": TOKENS[:9], "max_tokens": 3, "return_hidden_states": True}
    (choice,) = (await adapted.completions.create(**asked, adapters=MIX)).choices
    seen = await adapted.inspect(choice.token_ids, output_hidden_states=True, adapters=MIX)
    plain = await adapted.inspect(choice.token_ids, output_hidden_states=True)
    assert (choice.hidden_states == seen.hidden_states).all()
    assert not np.allclose(seen.hidden_states, plain.hidden_states, atol=1e-3)


@pytest.mark.parametrize("chunk", [128, 32])
async def test_generation(
    adapted: Engine, adapters: dict[str, Path], files: Files, plain_device: Device, chunk: int
) -> None:
    """Logits as generation sees them: the prompt in chunks or a few rows, then token by token."""
    expected = RecordedAdapter.load("small-patterns").expected
    for prompt in (chunk // 4, 5):
        teacher = Teacher([*TOKENS[prompt:], 0])
        await adapted.completions.create(
            prompt=TOKENS[:prompt],
            max_tokens=len(TOKENS) - prompt + 1,
            temperature=0,
            ignore_eos=True,
            logits_processors=[teacher],
            adapters=["small-patterns"],
        )
        assert expected.error(np.array(teacher.seen), first=prompt - 1) < TOLERANCE


REQUESTS: tuple[dict[str, Any], ...] = (
    {"adapters": ["small-plain"]},
    {},
    {"model": "small-patterns"},
    {"adapters": MIX},
    {"lora": [{"id": 1, "scale": 0.25}]},
)


async def test_different_ones_in_one_batch(adapted: Engine) -> None:
    """Requests that are decoded together get what each gets alone, which differs."""
    alone = [await said(adapted, "One", n=1, **request) for request in REQUESTS]
    assert len(set(alone)) == len(alone)
    for _ in range(2):
        # What a slot had before is nothing to who comes next.
        await said(adapted, "One", n=3, max_tokens=2, adapters=["small-patterns"])
        together = await asyncio.gather(*[said(adapted, "One", **one) for one in REQUESTS])
        assert together == alone


async def test_several_answers_and_guesses(adapted: Engine) -> None:
    fields = {"adapters": ["small-plain"], "max_tokens": 60}
    once = await said(adapted, "Again and again", prompt_lookup=False, **fields)
    assert await said(adapted, "Again and again", **fields) == once
    reply = await adapted.completions.create(
        prompt="Again and again",
        temperature=0,
        n=3,
        logit_bias=PRINTABLE_ONLY,
        **fields,
    )
    assert [choice.text for choice in reply.choices] == [once] * 3


async def test_what_python_has_a_say_in(adapted: Engine) -> None:
    """A grammar that allows everything changes nothing; log-probabilities are the adapter's."""
    fields: dict[str, Any] = {"adapters": ["small-plain"], "max_tokens": 20}
    free = await said(adapted, "One", **fields)
    assert await said(adapted, "One", grammar="root ::= [ -~]*", **fields) == free
    fields |= {"temperature": 0, "max_tokens": 1, "ignore_eos": True}
    reply = await adapted.completions.create(prompt=TOKENS[:9], echo=True, logprobs=0, **fields)
    found = reply.choices[0].logprobs.token_logprobs
    logits = np.array(await adapted.logits(TOKENS[:9], adapters=["small-plain"]), np.float64)
    scores = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    expected = [scores[i, token] for i, token in enumerate(TOKENS[1:9])] + [scores[-1].max()]
    np.testing.assert_allclose(found[1:], expected, atol=1e-4)


async def test_prefixes_are_of_the_same_adapters(adapted: Engine) -> None:
    """What is cached with one is nobody's prefix with another, at another scale, or without."""
    prompt = TOKENS[:40]

    async def cached(**fields: Any) -> int:
        reply = await adapted.completions.create(prompt=prompt, max_tokens=3, **fields)
        return int(reply.usage.prompt_tokens_details.cached_tokens)

    adapted.loaded.executor.cache.pages.clear()
    requests = [*REQUESTS, {"adapters": {"small-plain": 0.5}}]
    assert [await cached(**request) for request in requests] == [0] * len(requests)
    assert all([await cached(**request) for request in requests])
    assert await cached(model="small-plain") and await cached(adapters={"small-plain": 0})


async def test_states_remember_their_adapters(
    adapted: Engine, adapters: dict[str, Path], files: Files, plain_device: Device
) -> None:
    said_first = await said(adapted, "A state", adapters=MIX)
    state = await adapted.save_state()
    async with await webllm_py.load(
        files.gguf(SMALL), device=plain_device, kv_dtype="f32", tune=False
    ) as engine:
        with pytest.raises(StateError, match="adapters that this engine has not loaded"):
            await engine.load_state(state)
        for name in reversed(MIX):
            await engine.load_adapter(adapters[name], name=name)
        await engine.load_state(state)
        reply = await engine.completions.create(prompt="A state" + said_first, adapters=MIX)
        assert reply.usage.prompt_tokens_details.cached_tokens > 30
        reply = await engine.completions.create(prompt="A state" + said_first)
        assert reply.usage.prompt_tokens_details.cached_tokens == 0


async def test_fewer_dispatches_of_a_step(
    files: Files, plain_device: Device, adapters: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a GPU, first halves are made by what comes before, where splits of attention are put
    together or not: with adapters a dispatch more than without, behind the table of tokens."""
    tuning = Tuning(attention_threads=32, fused_keys=96)
    monkeypatch.setattr(decoder, "tuning_for", lambda device: tuning)
    answers, added = [], []
    async with await webllm_py.load(
        files.gguf(SMALL), device=plain_device, kv_dtype="f32", tune=False
    ) as engine:
        for folder in adapters.values():
            await engine.load_adapter(folder)
        executor = engine.loaded.executor
        for fused, ahead_bytes in ((True, 1 << 30), (True, 0), (False, 0), (False, 1 << 30)):
            executor.fused_keys = 96 if fused else 0
            await executor.retune(replace(tuning, ahead_bytes=ahead_bytes))
            answers.append(
                [
                    await said(engine, max_tokens=40, prompt_lookup=False, adapters=wanted)
                    for wanted in (*([name] for name in MIX), MIX, {name: -0.5 for name in MIX})
                ]
            )
            counts = [len(executor.forward(1, adapted=one, fused=fused)) for one in (False, True)]
            added.append(counts[1] - counts[0])
    assert added == [1, 5 * SMALL.layers + 1, 4 * SMALL.layers + 1, 1]  # one for the logits
    assert answers[1] == answers[2] == answers[3] == answers[0]
    assert len(set(answers[0])) == 4


@pytest.mark.parametrize("dtype", ["F16", "BF16"])
async def test_dtypes(adapted: Engine, tmp_path: Path, dtype: str) -> None:
    """Stored in 16 bits, each number differs by its rounding alone."""
    recorded, adapter = RecordedAdapter.load("small-plain"), ADAPTERS["small-plain"]
    await adapted.load_adapter(recorded.folder(tmp_path / dtype, adapter, dtype))
    try:
        error = recorded.expected.error(await adapted.logits(TOKENS, adapters=[dtype]))
        assert 1e-5 < error < (2e-2 if dtype == "F16" else 0.2)
    finally:
        await adapted.unload_adapter(dtype)
