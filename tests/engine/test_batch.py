"""Requests that come at different times are decoded together, each as if it were alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from engine_tools import ahead
from made_models import SMALL, tokens_of
from model_files import Files

import webllm_py
from webllm_py import Engine
from webllm_py.gpu import Device
from webllm_py.runtime.decoder import Decoder
from webllm_py.runtime.generation.constrained import states_of
from webllm_py.runtime.generation.generate import GenerationStats, generate
from webllm_py.runtime.generation.shared_steps import SharedSteps
from webllm_py.runtime.sampling.settings import SamplingSettings

GREEDY = SamplingSettings(temperature=0)
SAMPLED = SamplingSettings(seed=3, temperature=0.9, top_k=50, top_p=0.95)
PENALISED = replace(
    SAMPLED, repetition_penalty=1.2, frequency_penalty=0.4, logit_bias={65: 3.0, 70: 2.0}
)
KINDS = [SAMPLED, PENALISED, GREEDY, replace(PENALISED, top_k=0, top_p=1)]


@pytest.fixture(autouse=True)
def few_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that begins alone has hardly begun when the next request comes."""
    ahead(monkeypatch, 1e-4)


@pytest.fixture(scope="module")
async def exact(files: Files, plain_device: Device) -> AsyncIterator[Engine]:
    """Everything in float32, so that no two kernels differ by more than a float32's rounding."""
    async with await webllm_py.load(
        files.huggingface(SMALL), device=plain_device, kv_dtype="f32"
    ) as engine:
        masks = engine.loaded.token_masks
        automaton = masks.automaton(lambda forced: ())
        await states_of(engine.loaded.executor, automaton)  # whose tables are made once
        masks.forget_states()
        yield engine


@pytest.fixture(autouse=True)
async def nothing_stays(exact: Engine) -> AsyncIterator[None]:
    device, pages = exact.loaded.owner.device, exact.loaded.executor.cache.pages
    buffers = device.n_buffers
    pages.clear()
    yield
    pages.clear()
    exact.loaded.executor.decoder.forget_verifier()  # which is kept for the next answer
    assert pages.used == 0
    assert device.n_buffers == buffers
    assert not exact.loaded.executor.batch.busy


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many answers each decode step had, but for the fused steps of an only one."""
    found = []
    step = Decoder.step

    async def noted(self: Decoder, rows: int, keys: int) -> Any:
        found.append(rows)
        return await step(self, rows, keys)

    monkeypatch.setattr(Decoder, "step", noted)
    return found


def prompt(number: int) -> list[int]:
    """Other lengths, within a page and over several; the fourth of three chunks."""
    return tokens_of(SMALL, 150)[number : number + (5, 40, 70, 140)[number % 4]]


async def answer(engine: Engine, number: int, count: int, delay: int = 0) -> list[int]:
    for _ in range(delay):
        await asyncio.sleep(0)
    pieces = generate(
        engine.loaded.executor,
        prompt(number),
        [replace(KINDS[number % 4], seed=number)],
        max_tokens=count,
        stats=[GenerationStats()],
        shared=True,
    )
    return [token async for _, tokens in pieces for token in tokens]


def count_of(number: int) -> int:
    """Tokens of an answer."""
    return 12 + 5 * number


@pytest.fixture(scope="module")
async def alone(exact: Engine) -> list[list[int]]:
    """What each of ten answers is, one after the other and with nothing cached."""
    found = []
    for number in range(10):
        exact.loaded.executor.cache.pages.clear()
        found.append(await answer(exact, number, count=count_of(number)))
    return found


@pytest.mark.parametrize("delay", [0, 25])
async def test_each_as_if_alone(
    exact: Engine, alone: list[list[int]], rows: list[int], delay: int
) -> None:
    exact.loaded.executor.cache.pages.clear()
    together = await asyncio.gather(
        *(answer(exact, n, count=count_of(n), delay=n * delay) for n in range(10))
    )
    assert together == alone
    assert max(rows) == 8 if delay == 0 else max(rows) > 2


@pytest.mark.parametrize("turns", [0, 30])
async def test_several_answers_of_one_among_others(
    exact: Engine, rows: list[int], monkeypatch: pytest.MonkeyPatch, turns: int
) -> None:
    """Also where the device is long in telling whether it had the memory for them, as browsers'
    are: who comes meanwhile does not begin alone as well."""
    kind = type(exact.loaded.owner.device)
    check = kind.check

    async def slow_check(self: Device) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)
        await check(self)

    monkeypatch.setattr(kind, "check", slow_check)
    fields: dict[str, Any] = {"prompt": "Once", "max_tokens": 30, "seed": 5, "ignore_eos": True}
    others = {**fields, "prompt": "Then", "n": 3}

    async def texts(given: dict[str, Any]) -> list[str]:
        reply = await exact.completions.create(**given)
        return [choice.text for choice in reply.choices]

    alone = [await texts(fields), await texts(others)]
    for order in ([fields, others], [others, fields]):
        both = await asyncio.gather(*map(texts, order))
        assert (both if order[0] is fields else both[::-1]) == alone
    assert 4 in rows


async def test_a_seed_gives_the_same_tokens_whatever_is_cached_and_whoever_comes(
    exact: Engine, rows: list[int]
) -> None:
    """Alone and from nothing; behind a prompt that is cached, whole or in part; among others; as a
    stream; and each as often as it is asked."""
    text = "Once upon a time there was a token that nobody had drawn before. " * 2
    fields: dict[str, Any] = {"prompt": text, "max_tokens": 12, "seed": -5, "temperature": 1.3}
    pages = exact.loaded.executor.cache.pages

    async def drawn(**changed: Any) -> str:
        reply = await exact.completions.create(**{**fields, **changed})
        if not changed.get("stream"):
            return str(reply.choices[0].text)
        return "".join([piece.choices[0].text async for piece in reply])

    expected = await drawn()
    assert await drawn() == expected and await drawn(stream=True) == expected
    assert await drawn(seed=6) != expected
    pages.clear()
    await drawn(prompt=text[:70] + "Another story begins here, and is no longer.")
    assert await drawn() == expected
    pages.clear()
    others = [drawn(prompt=text[number:], seed=number) for number in (3, 100)]
    first, again, *_ = await asyncio.gather(drawn(), drawn(stream=True), *others)
    assert first == again == expected
    assert max(rows) == 4


async def test_who_leaves_and_who_is_interrupted(exact: Engine) -> None:
    fields: dict[str, Any] = {"temperature": 0, "ignore_eos": True, "max_tokens": 120}

    def asked(prompt: str) -> Any:
        return exact.completions.create(prompt=prompt, stream=True, **fields)

    expected = (await exact.completions.create(prompt="c", **fields)).choices[0].text
    streams = [await asked(prompt) for prompt in "abcd"]
    pieces = [[(await anext(stream)).choices[0].text] for stream in streams]
    await streams[1].aclose()
    exact.interrupt()  # the first of them
    *_, last = [piece async for piece in streams[0]]
    assert last.choices[0].finish_reason == "abort"
    rest = "".join([piece.choices[0].text async for piece in streams[2]])
    assert pieces[2][0] + rest == expected
    await streams[3].aclose()
    assert exact.waiting == 0


@pytest.mark.parametrize(
    "fields",
    [
        {"logits_processors": [lambda logits: logits]},
        {"response_format": {"type": "regex", "regex": "[a-z]{5}"}},
        {"logprobs": 2},
        {"min_tokens": 2},
        {"no_repeat_ngram_size": 2},
    ],
    ids=lambda fields: next(iter(fields)),
)
async def test_one_that_cannot_share_waits_and_is_not_passed(
    exact: Engine, fields: dict[str, Any]
) -> None:
    """In the order in which they came, however many others could go on."""
    ends: list[str] = []

    async def ask(name: str, **given: Any) -> None:
        await exact.completions.create(prompt=name, temperature=0, **given)
        ends.append(name)

    await asyncio.gather(
        ask("long", max_tokens=60, ignore_eos=True),
        ask("short", max_tokens=5),
        ask("alone", max_tokens=5, **fields),
        ask("last", max_tokens=1),
    )
    assert ends == ["short", "long", "alone", "last"]


async def test_the_cache_grows_under_several(exact: Engine, alone: list[list[int]]) -> None:
    """Buffers are replaced while others decode; what they know is carried over."""
    async with await webllm_py.load(
        exact._options.source, device=exact.loaded.owner.device, kv_dtype="f32"
    ) as fresh:
        before = fresh.loaded.executor.cache.pages.capacity
        together = await asyncio.gather(*(answer(fresh, n, count_of(n)) for n in range(10)))
        assert fresh.loaded.executor.cache.pages.capacity > before
    assert together == alone


async def test_no_memory_for_several(
    exact: Engine, alone: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are answered one after the other then."""
    device = exact.loaded.owner.device
    check = device.check

    async def fails_for_decoders() -> None:
        await check()
        if any("drawn tokens" in label for label in made):
            made.clear()
            raise webllm_py.GPUOutOfMemoryError("no memory")

    made: list[str] = []
    create = device.create_buffer

    def noted(label: str, *arguments: Any, **options: Any) -> Any:
        made.append(label)
        return create(label, *arguments, **options)

    monkeypatch.setattr(device, "create_buffer", noted)
    monkeypatch.setattr(device, "check", fails_for_decoders)
    together = await asyncio.gather(*(answer(exact, n, count_of(n)) for n in range(3)))
    assert together == alone[:3]


async def test_one_that_gets_no_memory_fails_alone(
    exact: Engine, alone: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The third, in the middle of its answer; and the fourth, while its prompt is computed."""
    reserve = exact.loaded.executor.cache.reserve

    async def fails(sequence: Any, length: int, slot: int = 0) -> None:
        prompt_and_more = [*prompt(2)[:40]] == sequence.tokens[:40] and length > 75
        if prompt_and_more or (
            len(sequence.tokens) > 60 and sequence.tokens[:60] == prompt(3)[:60]
        ):
            raise webllm_py.GPUOutOfMemoryError("no memory")
        await reserve(sequence, length, slot)

    monkeypatch.setattr(exact.loaded.executor.cache, "reserve", fails)
    found = await asyncio.gather(
        *(answer(exact, n, count_of(n)) for n in range(6)), return_exceptions=True
    )
    assert [type(found[n]) for n in (2, 3)] == [webllm_py.GPUOutOfMemoryError] * 2
    assert [found[n] for n in (0, 1, 4, 5)] == [alone[n] for n in (0, 1, 4, 5)]


async def test_what_ends_the_steps_ends_all(
    exact: Engine, alone: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the engine answers the next ones."""

    async def fails(*arguments: Any) -> None:
        raise webllm_py.DeviceError("no more steps")

    with monkeypatch.context() as patched:
        patched.setattr(SharedSteps, "take", fails)
        found = await asyncio.gather(
            *(answer(exact, n, count_of(n)) for n in range(10)), return_exceptions=True
        )
    assert [type(error) for error in found] == [webllm_py.DeviceError] * 10
    both = await asyncio.gather(*(answer(exact, n, count_of(n)) for n in range(2)))
    assert both == alone[:2]


async def test_unloading_ends_all(files: Files, plain_device: Device) -> None:
    engine = await webllm_py.load(files.huggingface(SMALL), device=plain_device)
    fields: dict[str, Any] = {"prompt": "x", "ignore_eos": True, "max_tokens": 400}
    asked = [asyncio.create_task(engine.completions.create(**fields)) for _ in range(10)]
    while not engine.loaded.executor.batch._parts:  # noqa: ASYNC110
        await asyncio.sleep(0)
    async with asyncio.timeout(60):
        await engine.unload()
        replies = await asyncio.gather(*asked, return_exceptions=True)
    reasons = [reply.choices[0].finish_reason for reply in replies[:8]]
    assert set(reasons) <= {"abort", "length"} and reasons.count("abort") >= 6
    assert all(isinstance(reply, webllm_py.EngineClosedError) for reply in replies[8:])
