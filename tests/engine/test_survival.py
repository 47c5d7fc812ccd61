"""A device that is lost in the middle of anything: what was asked for comes all the same."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engine_tools import PRINTABLE_ONLY, said
from made_adapters import ADAPTERS, RecordedAdapter
from made_embedders import EMBEDDERS, write_embedder_gguf

import webllm_py
from webllm_py import DeviceLostError, Engine, RequestError, WebLLMError
from webllm_py.gpu import open_device
from webllm_py.gpu.native import NativeDevice
from webllm_py.loading import shared_device
from webllm_py.runtime import executor

LOSSES = 100
SCHEMA = {
    "type": "array",
    "items": {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
    "minItems": 2,
    "maxItems": 3,
}
TEXT: dict[str, Any] = {"prompt": "Once upon", "max_tokens": 90, "ignore_eos": True}
TEXT["logit_bias"] = PRINTABLE_ONLY
REQUESTS: dict[str, dict[str, Any]] = {
    "greedy": {"temperature": 0},
    "a long prompt": {"temperature": 0, "prompt": "It was a dark and stormy night. " * 9},
    "what repeats, guessed": {"temperature": 0, "logit_bias": {65: 100}},
    "seeded": {"seed": 5},
    "penalties": {
        "seed": 6,
        "temperature": 0.8,
        "top_p": 0.9,
        "repetition_penalty": 1.3,
        "frequency_penalty": 0.5,
        "presence_penalty": -0.3,
    },
    "rules about repeats": {
        "seed": 7,
        "no_repeat_ngram_size": 3,
        "dry_multiplier": 0.8,
        "min_tokens": 70,
    },
    "mirostat": {"seed": 8, "mirostat": 2},
    "log-probabilities": {"seed": 9, "logprobs": 2},
    "several": {"seed": 10, "n": 3},
    "the best": {"seed": 11, "n": 1, "best_of": 3, "stream": False},
    "several prompts": {"seed": 12, "prompt": ["Once", "Twice"], "echo": True},
    "a grammar": {
        "seed": 13,
        "ignore_eos": False,
        "response_format": {"type": "json_schema", "json_schema": {"schema": SCHEMA}},
    },
    "several under a grammar": {
        "seed": 14,
        "n": 2,
        "logprobs": 2,
        "min_tokens": 20,
        "ignore_eos": False,
        "response_format": {"type": "regex", "regex": '([a-z]{1,9} is "what was said"; )*'},
    },
}


# Without --long: each loss takes as long as a load.
SOME = (
    "what repeats, guessed",
    "penalties",
    "mirostat",
    "log-probabilities",
    "several",
    "a grammar",
)


@dataclass
class Saboteur:
    """Destroys the device that an engine runs on, at one of its submits."""

    at: int | None = None
    submits: int = 0
    losses: int = 0

    @contextmanager
    def counting(self, at: int | None = None) -> Iterator[None]:
        """``at``: the submit that the device does not survive, the first being 0."""
        self.submits, self.at = 0, at
        yield
        self.at = None


@pytest.fixture(scope="module")
def saboteur() -> Iterator[Saboteur]:
    found, submit = Saboteur(), NativeDevice._submit

    def submitted(self: NativeDevice, encoder: Any) -> None:
        if found.submits == found.at:
            self._device.destroy()
            found.losses += 1
        found.submits += 1
        submit(self, encoder)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(NativeDevice, "_submit", submitted)
        patch.setattr(executor, "LONG_PROMPTS", ())  # each loss loads again
        patch.setattr(shared_device, "open_device", partial(open_device, f16=False))
        yield found


@pytest.fixture(scope="module")
async def own(small_model: Path, saboteur: Saboteur) -> AsyncIterator[Engine]:
    """An engine with a device of its own, in float32: so an answer is the same alone and beside
    others, on every GPU."""
    async with await webllm_py.load(small_model, tune=False, kv_dtype="f32") as engine:
        yield engine


async def told(engine: Engine, **fields: Any) -> dict[int, tuple[str, str, Any]]:
    """Of each choice its text, end and log-probabilities, from a stream if that is asked for."""
    answer = await engine.completions.create(**{**TEXT, "stream": True, **fields})
    pieces = [piece async for piece in answer] if hasattr(answer, "__anext__") else [answer]
    texts: dict[int, str] = {}
    ends: dict[int, str] = {}
    scores: dict[int, Any] = {}
    for piece in pieces:
        for choice in piece.choices:
            texts[choice.index] = texts.get(choice.index, "") + choice.text
            ends[choice.index] = choice.finish_reason or ends.get(choice.index, "")
            if choice.logprobs:
                found = scores.setdefault(choice.index, [])
                found += zip(choice.logprobs.tokens, choice.logprobs.text_offset, strict=True)
    return {index: (text, ends[index], scores.get(index)) for index, text in texts.items()}


def forget(engine: Engine) -> None:
    """The prefix cache, so that the same work is done again."""
    engine.loaded.executor.cache.pages.clear()


async def equal_after_losses(
    engine: Engine, saboteur: Saboteur, work: Callable[[], Awaitable[Any]], draw: random.Random
) -> None:
    """What the same work gives with the device lost at one of its submits."""
    forget(engine)
    with saboteur.counting():
        expected = await work()
    last = saboteur.submits
    forget(engine)
    losses = saboteur.losses
    at = draw.randrange(last)
    with saboteur.counting(at):
        assert await work() == expected
    # How many submits it takes depends on the time too.
    assert saboteur.losses == losses + (saboteur.submits > at)
    assert engine.loaded.executor.cache.pages.running == 0


@pytest.mark.parametrize("name", REQUESTS)
async def test_an_answer_goes_on(own: Engine, saboteur: Saboteur, name: str, long: bool) -> None:
    if not long and name not in SOME:
        pytest.skip("with --long")
    draw = random.Random(name)
    for _ in range(5 if long else 1):
        await equal_after_losses(own, saboteur, lambda: told(own, **REQUESTS[name]), draw)


async def test_without_a_seed_what_was_said_stands(own: Engine, saboteur: Saboteur) -> None:
    stream = await own.completions.create(**TEXT, stream=True, n=2)
    texts = {0: "", 1: ""}
    async for piece in stream:
        for choice in piece.choices:
            texts[choice.index] += choice.text
        if saboteur.at is None and len(texts[1]) > 20:
            saboteur.at = saboteur.submits
    saboteur.at = None
    assert [len(text) for text in texts.values()] == [90, 90]
    assert texts[0] != texts[1]


async def test_a_stop_string_that_is_half_said(own: Engine, saboteur: Saboteur, long: bool) -> None:
    """It is held back over the loss, and found behind it."""
    whole, *_ = (await told(own, temperature=0))[0]
    stop = whole[40:52]
    expected = (whole[: whole.index(stop)], "stop", None)
    for at in (30, 60, 75) if long else (60,):
        forget(own)
        with saboteur.counting(at):
            assert (await told(own, temperature=0, stop=[stop], prompt_lookup=False))[0] == expected


async def test_a_chat_with_a_call(own: Engine, saboteur: Saboteur) -> None:
    tool = {"type": "function", "function": {"name": "look", "parameters": SCHEMA["items"]}}

    async def called() -> Any:
        reply = await own.chat.completions.create(
            messages=[{"role": "user", "content": "Look!"}],
            tools=[tool],
            tool_choice="required",
            max_tokens=60,
            seed=3,
        )
        calls = reply.choices[0].message.tool_calls
        return [(call.function.name, call.function.arguments) for call in calls or ()]

    await equal_after_losses(own, saboteur, called, random.Random(3))


async def test_answers_that_are_decoded_together(
    own: Engine, saboteur: Saboteur, long: bool
) -> None:
    """One load for all of them, and each gets what it would have got."""

    async def together() -> Any:
        requests = [{"prompt": f"{k} things", "seed": k, "max_tokens": 40 + k} for k in range(5)]
        return await asyncio.gather(*(told(own, **fields) for fields in requests))

    draw = random.Random(1)
    for _ in range(10 if long else 1):
        await equal_after_losses(own, saboteur, together, draw)


async def test_looks_inside(own: Engine, saboteur: Saboteur, long: bool) -> None:
    ids = [*range(40, 110)]

    async def seen() -> bytes:
        logits = await own.logits(ids)
        states = (await own.inspect(ids, output_hidden_states=True)).hidden_states
        lens = await own.logit_lens(ids, positions=[5])
        return b"".join(np.asarray(array).tobytes() for array in (logits, states, lens))

    draw = random.Random(2)
    for _ in range(10 if long else 1):
        await equal_after_losses(own, saboteur, seen, draw)


async def test_hooks_are_not_called_twice(own: Engine, saboteur: Saboteur) -> None:
    with saboteur.counting(0), pytest.raises(DeviceLostError):
        await own.inspect([65] * 40, output_logits=True, hooks={0: lambda *_: None})
    assert (await own.logits([65] * 40)).shape[0] == 40


async def test_steering_lasts(own: Engine, saboteur: Saboteur) -> None:
    plain = await said(own)
    size = own.info["hidden_size"]
    async with own.steer({0: [0.5 * (-1) ** i for i in range(size)]}):
        steered = await said(own)
        forget(own)
        with saboteur.counting(10):
            assert await said(own) == steered != plain
    assert await said(own) == plain


async def test_an_adapter_is_there_again(own: Engine, saboteur: Saboteur, tmp_path: Path) -> None:
    plain = await said(own)
    folder = RecordedAdapter.load("small-plain").folder(tmp_path / "a", ADAPTERS["small-plain"])
    await own.load_adapter(folder, name="a")
    adapted = await said(own, adapters={"a": 1.0})
    forget(own)
    with saboteur.counting(10):
        assert await said(own, adapters={"a": 1.0}) == adapted != plain
    await own.unload_adapter("a")
    assert await said(own) == plain


async def test_an_embedder(tmp_path: Path, saboteur: Saboteur) -> None:
    path = write_embedder_gguf(tmp_path / "embedder.gguf", EMBEDDERS["bert-3x32"])
    async with await webllm_py.load(path) as engine:
        expected = await engine.embeddings.create(input=["ab", "cd ef"])
        losses = saboteur.losses
        with saboteur.counting(0):
            found = await engine.embeddings.create(input=["ab", "cd ef"])
        assert saboteur.losses == losses + 1
        assert [e.embedding for e in found.data] == [e.embedding for e in expected.data]


async def test_a_device_that_is_lost_again_and_again(
    own: Engine, saboteur: Saboteur, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That brings a request no further is its error; then the engine goes on."""
    expected = await said(own)
    submit, broken = NativeDevice._submit, True

    def submitted(self: NativeDevice, encoder: Any) -> None:
        if broken:
            self._device.destroy()
        submit(self, encoder)

    monkeypatch.setattr(NativeDevice, "_submit", submitted)
    with pytest.raises(DeviceLostError):
        await said(own)
    broken = False
    await own.recover()
    assert await said(own) == expected


async def test_unloading_during_the_pause(small_model: Path, long: bool) -> None:
    for rounds in (0, 1, 3, 10, 40) if long else (3,):
        engine = await webllm_py.load(small_model, tune=False)
        stream = await engine.completions.create(**TEXT, stream=True)
        await anext(stream)
        engine.loaded.owner.device.close()
        for _ in range(rounds):
            await asyncio.sleep(0)
        await engine.unload()
        try:
            pieces = [piece async for piece in stream]
        except WebLLMError:
            continue
        assert pieces[-1].choices[0].finish_reason == "abort"


async def test_cancelling_during_the_pause(own: Engine, long: bool) -> None:
    """Whoever waits with it goes on."""
    expected = await said(own)
    for rounds in (1, 5, 20) if long else (5,):
        first = asyncio.ensure_future(said(own, max_tokens=300, ignore_eos=True))
        second = asyncio.ensure_future(said(own))
        while own.answering < 2:  # noqa: ASYNC110 - it does not tell
            await asyncio.sleep(0.001)
        own.loaded.owner.device._device.destroy()  # type: ignore[attr-defined]
        for _ in range(rounds):
            await asyncio.sleep(0.01)
        first.cancel()
        assert await second == expected


async def test_lost_at_random_points(own: Engine, saboteur: Saboteur, long: bool) -> None:
    """Also of loads, and of what is done with several requests at once: completed or named."""
    count = LOSSES if long else 1
    draw = random.Random(20)
    names = [name for name in REQUESTS if name != "the best"]
    expected: dict[str, Any] = {}
    completed, start = 0, time.perf_counter()
    for number in range(1, count + 1):
        chosen = draw.sample(names, 3)
        for name in {*chosen} - {*expected}:
            expected[name] = await told(own, **REQUESTS[name])
        with saboteur.counting(draw.randrange(250)):
            found = await asyncio.gather(
                *(told(own, **REQUESTS[name]) for name in chosen), return_exceptions=True
            )
        for name, answer in zip(chosen, found, strict=True):
            if isinstance(answer, BaseException):
                assert isinstance(answer, (DeviceLostError, RequestError)), repr(answer)
            else:
                assert answer == expected[name], name
                completed += 1
        if number % 10 == 0:
            print(
                f"{number} times lost in {time.perf_counter() - start:.0f} s, {saboteur.losses} "
                f"devices: {completed} of {3 * number} answers are whole",
                flush=True,
            )
    assert completed == 3 * count
