"""Answers decoded together, and tokens guessed: the same tokens as one at a time."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from engine_tools import ahead
from executor_tools import drawn, drawn_together
from made_models import SMALL, tokens_of
from model_files import Files

import webllm_py
from webllm_py import Engine
from webllm_py.gpu import Device
from webllm_py.gpu.device import Dispatch, Plan
from webllm_py.loading import decoder
from webllm_py.models.tuning import Tuning
from webllm_py.runtime.generation import speculation
from webllm_py.runtime.generation.speculation import Speculation
from webllm_py.runtime.sampling.settings import SamplingSettings

PROMPT = tokens_of(SMALL, 70)
GREEDY = SamplingSettings(temperature=0)
SAMPLED = SamplingSettings(seed=3, temperature=0.9, top_k=50, top_p=0.95)
PENALISED = replace(
    SAMPLED, repetition_penalty=1.2, frequency_penalty=0.4, logit_bias={65: 3.0, 70: 2.0}
)


@pytest.fixture(scope="module")
async def exact(files: Files, plain_device: Device) -> AsyncIterator[Engine]:
    """Everything in float32, so that no two kernels differ by more than a float32's rounding."""
    async with await webllm_py.load(
        files.huggingface(SMALL), device=plain_device, kv_dtype="f32"
    ) as engine:
        yield engine


async def from_nothing(
    engine: Engine,
    settings: Sequence[SamplingSettings],
    *,
    prompt: Sequence[int] = PROMPT,
    **options: Any,
) -> list[list[int]]:
    """Tokens of each answer, with nothing cached; options as ``drawn_together``."""
    engine.loaded.executor.cache.pages.clear()
    answers, _ = await drawn_together(engine, prompt, settings, **options)
    return answers


@pytest.mark.parametrize("length", [64, 70])
@pytest.mark.parametrize("n", [2, 3, 8])
async def test_each_as_if_alone(exact: Engine, n: int, length: int) -> None:
    """Prompts that end with a page, and within one, which each answer goes on to fill."""
    kinds = [SAMPLED, PENALISED, GREEDY, replace(PENALISED, top_k=0, top_p=1)]
    settings = [replace(kinds[i % 4], seed=i) for i in range(n)]
    prompt = PROMPT[:length]
    together = await from_nothing(exact, settings, prompt=prompt)
    alone = [(await from_nothing(exact, [one], prompt=prompt))[0] for one in settings]
    assert together == alone
    assert [len(answer) for answer in together] == [60] * n
    assert together[0] != together[1]


async def test_those_that_end_are_left_behind(
    exact: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead(monkeypatch, 1e-4)  # not all of the steps are in flight before an end is read
    settings = [replace(SAMPLED, seed=i) for i in range(5)]
    whole = await from_nothing(exact, settings)
    ends = {0: 20, 3: 20, 1: 33, 4: 1}
    parts = await from_nothing(exact, settings, ends=ends)
    assert parts[2] == whole[2]
    for index, end in ends.items():
        assert end <= len(parts[index]) < 60
        assert parts[index] == whole[index][: len(parts[index])]


@pytest.mark.parametrize("number", [0, 2])
async def test_the_next_request_goes_on_from_any_of_them(exact: Engine, number: int) -> None:
    answers = await from_nothing(exact, [replace(SAMPLED, seed=i) for i in range(3)])
    prompt = [*PROMPT, *answers[number], 5, 6]
    warm, stats = await drawn(exact, prompt, GREEDY, count=20)
    assert stats.cached_tokens == len(prompt) - 3  # the last token of an answer is not computed
    assert [warm] == await from_nothing(exact, [GREEDY], prompt=prompt, count=20)


async def test_n_answers_of_a_request(engine: Engine) -> None:
    fields = {"prompt": "Once", "max_tokens": 24, "temperature": 0.8, "seed": 5, "ignore_eos": True}
    whole = await engine.completions.create(**fields, n=9)
    assert [choice.index for choice in whole.choices] == list(range(9))
    assert whole.usage.completion_tokens == 9 * 24
    assert len({choice.text for choice in whole.choices}) == 9
    first = await engine.completions.create(**fields)
    assert first.choices[0].text == whole.choices[0].text
    texts, finishes = [""] * 9, {}
    async for piece in await engine.completions.create(**fields, n=9, stream=True):
        for choice in piece.choices:
            assert choice.index not in finishes
            texts[choice.index] += choice.text
            if choice.finish_reason:
                finishes[choice.index] = choice.finish_reason
    assert texts == [choice.text for choice in whole.choices]
    assert finishes == dict.fromkeys(range(9), "length")


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """How many tokens each step of guesses had, and how many it gave. However busy the machine is,
    its kernels are there when they are wanted, and it is not slower than single steps."""
    steps = []
    read, prepare = Speculation._next, Speculation._prepare

    async def compiled(self: Speculation) -> None:
        await prepare(self)
        if self._compiling:
            await asyncio.wait([self._compiling])

    async def counted(self: Speculation) -> tuple[int, list[int]]:
        guesses, tokens = await read(self)
        steps.append((guesses, len(tokens)))
        return guesses, tokens

    monkeypatch.setattr(Speculation, "_next", counted)
    monkeypatch.setattr(Speculation, "_prepare", compiled)
    monkeypatch.setattr(speculation, "time", SimpleNamespace(perf_counter=lambda: 0.0))
    # Where guessing begins must not depend on how many steps are in flight by then.
    ahead(monkeypatch, 1e-4)
    return steps


@pytest.mark.parametrize("settings", [GREEDY, SAMPLED, PENALISED], ids=["greedy", "seed", "all"])
async def test_guesses_change_nothing(
    exact: Engine,
    settings: SamplingSettings,
    verified: list[tuple[int, int]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Guessing at every chance, right or wrong, in a text that favours a few tokens."""
    favoured = {token: 12.0 for token in (65, 66, 67)}
    settings = replace(settings, logit_bias={**settings.logit_bias, **favoured})
    expected = await from_nothing(exact, [settings], count=90)
    assert not verified
    monkeypatch.setattr(speculation, "STREAK", 0)
    assert await from_nothing(exact, [settings], count=90, guess=True) == expected
    assert len(verified) > 5
    assert any(tokens > 1 for _, tokens in verified)


async def test_a_text_that_repeats_itself_is_guessed(
    exact: Engine, verified: list[tuple[int, int]]
) -> None:
    """A token that always wins; once that shows, most tokens come several in a step."""
    settings = replace(GREEDY, logit_bias={65: 60.0})
    assert await from_nothing(exact, [settings], count=120, guess=True) == [[65] * 120]
    assert sum(tokens for _, tokens in verified) > 60
    assert sum(tokens for _, tokens in verified) > 4 * len(verified)


async def test_the_next_answer_guesses_at_once(
    exact: Engine, verified: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what an answer before it made for that."""
    settings = [replace(GREEDY, logit_bias={65: 60.0})]
    await from_nothing(exact, settings, count=120, guess=True)
    device = exact.loaded.executor.device
    recorded, record, buffers = [], device.record, device.n_buffers

    async def noted(label: str, dispatches: Sequence[Dispatch]) -> Plan:
        recorded.append(label)
        return await record(label, dispatches)

    monkeypatch.setattr(device, "record", noted)
    count = len(verified)
    assert await from_nothing(exact, settings, count=120, guess=True) == [[65] * 120]
    assert len(verified) > count and recorded == [] and device.n_buffers == buffers


@pytest.mark.parametrize(("seed", "bias"), [(3, 8.0), (4, 8.0), (5, 9.0)])
async def test_steps_ahead_of_a_wrong_guess(
    exact: Engine,
    seed: int,
    bias: float,
    verified: list[tuple[int, int]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Several steps are in flight once guesses are right; what follows a wrong one is not lost."""
    settings = replace(SAMPLED, seed=seed, logit_bias={65: bias})
    expected = await from_nothing(exact, [settings], count=240)
    monkeypatch.setattr(speculation, "STREAK", 2)
    assert await from_nothing(exact, [settings], count=240, guess=True) == expected
    whole = [tokens > guesses for guesses, tokens in verified]
    assert any(right and not after for right, after in itertools.pairwise(whole))


async def test_a_text_that_does_not_is_not(exact: Engine, verified: list[tuple[int, int]]) -> None:
    await from_nothing(exact, [replace(SAMPLED, temperature=2.0, top_k=0)], count=120, guess=True)
    assert not verified


async def test_a_dispatch_less_a_layer_while_keys_are_few(
    files: Files, plain_device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The GEMV after attention puts the splits together until there are too many keys for it."""
    answers, saved = [], []
    for fused_keys in (0, 96):
        tuning = Tuning(attention_threads=32, fused_keys=fused_keys)
        monkeypatch.setattr(decoder, "tuning_for", lambda device, chosen=tuning: chosen)
        source = files.huggingface(SMALL)
        async with await webllm_py.load(source, device=plain_device, kv_dtype="f32") as engine:
            tokens, _ = await drawn(engine, PROMPT, GREEDY, count=60)
            answers.append(tokens)
            executor = engine.loaded.executor
            few, many = [await executor.decoder.step(1, keys) for keys in (96, 97)]
            saved.append(len(many.dispatches) - len(few.dispatches))
    assert saved == [0, executor.model.config.n_layers]
    assert answers[0] == answers[1]
