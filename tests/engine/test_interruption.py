"""Answers that end early, from wherever, and requests that wait: the engine goes on."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from typing import Any

import pytest
from engine_tools import PRINTABLE_ONLY, Teacher, said

from webllm_py import Engine, RequestError

LONG: dict[str, Any] = {
    "prompt": "Once",
    "max_tokens": 400,
    "temperature": 0,
    "logit_bias": PRINTABLE_ONLY,
}


@pytest.fixture(scope="module")
async def expected(engine: Engine) -> str:
    """The whole of the long answer."""
    return await said(engine, max_tokens=400)


@pytest.fixture(autouse=True)
async def usable(engine: Engine, expected: str) -> AsyncIterator[None]:
    """After every test the engine answers as before, nobody has the turn and nothing is lost."""
    executor = engine.loaded.executor
    buffers = engine.loaded.owner.device.n_buffers
    yield
    async with asyncio.timeout(30):
        assert await said(engine) == expected[:40]
        reply = await engine.completions.create(
            prompt="Once" + expected[:10], max_tokens=10, temperature=0, logit_bias=PRINTABLE_ONLY
        )
        assert reply.choices[0].text == expected[10:20]
    executor.cache.pages.clear()
    assert executor.cache.pages.used == 0, "pages that no sequence gives back"
    assert engine.loaded.owner.device.n_buffers == buffers


async def some(stream: Any, count: int = 5) -> str:
    """The first pieces of a stream."""
    text = ""
    for _ in range(count):
        text += (await anext(stream)).choices[0].text
    return text


async def rest(stream: Any) -> tuple[str, str]:
    """The other pieces' text, and the reason of the end."""
    text, reason = "", ""
    async for piece in stream:
        text += piece.choices[0].text
        reason = piece.choices[0].finish_reason or reason
    return text, reason


async def decoding(engine: Engine) -> None:
    """Wait until the answer under way has tokens, however fast the device is."""
    device = engine.loaded.owner.device
    before = device.n_submits
    async with asyncio.timeout(30):
        while device.n_submits < before + 10:  # noqa: ASYNC110 - prompt and first token take five
            await asyncio.sleep(0)


class TestInterrupt:
    async def test_a_stream(self, engine: Engine, expected: str) -> None:
        stream = await engine.completions.create(**LONG, stream=True)
        text = await some(stream)
        engine.interrupt()
        more, reason = await rest(stream)
        assert reason == "abort"
        assert expected.startswith(text + more) and len(text + more) < 400

    async def test_a_whole_answer_from_another_task(self, engine: Engine, expected: str) -> None:
        answer = asyncio.create_task(engine.completions.create(**LONG))
        await decoding(engine)
        engine.interrupt()
        reply = await answer
        assert reply.choices[0].finish_reason == "abort"
        assert expected.startswith(reply.choices[0].text)
        assert reply.usage.completion_tokens == len(reply.choices[0].text) < 400

    async def test_every_choice(self, engine: Engine) -> None:
        answer = asyncio.create_task(engine.completions.create(**LONG, n=3))
        await decoding(engine)
        engine.interrupt()
        reply = await answer
        assert [choice.finish_reason for choice in reply.choices] == ["abort"] * 3

    async def test_a_long_prompt(self, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
        """Between two chunks of it."""
        executor, chunks = engine.loaded.executor, 0
        write_rows = executor.write_rows

        def second_interrupts(*arguments: Any) -> None:
            nonlocal chunks
            chunks += 1
            if chunks == 2:
                engine.interrupt()
            write_rows(*arguments)

        executor.cache.pages.clear()
        monkeypatch.setattr(executor, "chunk", 32)  # GPUs take more at once than the context holds
        monkeypatch.setattr(executor, "write_rows", second_interrupts)
        reply = await engine.completions.create(**{**LONG, "prompt": "y" * (3 * executor.chunk)})
        assert (reply.choices[0].text, reply.choices[0].finish_reason) == ("", "abort")
        assert reply.usage.completion_tokens == 0
        assert chunks == 2

    async def test_only_the_one_under_way(self, engine: Engine, expected: str) -> None:
        first = asyncio.create_task(engine.completions.create(**LONG))
        second = asyncio.create_task(said(engine))
        await decoding(engine)
        engine.interrupt()
        assert (await first).choices[0].finish_reason == "abort"
        assert await second == expected[:40]

    async def test_before_the_answer_begins(self, engine: Engine, expected: str) -> None:
        """A stream's turn has come though nothing of it has run yet."""
        stream = await engine.completions.create(**LONG, stream=True)
        engine.interrupt()
        assert await rest(stream) == ("", "abort")
        assert await said(engine) == expected[:40]

    async def test_logits(self, engine: Engine, expected: str) -> None:
        logits = asyncio.create_task(engine.logits([65] * 400))
        await asyncio.sleep(0)
        engine.interrupt()
        with pytest.raises(RequestError, match="interrupted") as caught:
            await logits
        assert caught.value.code == "interrupted"
        assert await said(engine) == expected[:40]

    async def test_nothing(self, engine: Engine, expected: str) -> None:
        engine.interrupt()
        assert await said(engine) == expected[:40]

    async def test_by_a_logits_processor(self, engine: Engine) -> None:
        """From within the generation itself."""
        teacher = Teacher(b"abcdefgh")

        def processor(logits: Any) -> Any:
            if len(teacher.seen) == 3:
                engine.interrupt()
            return teacher(logits)

        reply = await engine.completions.create(
            prompt="x", max_tokens=8, logits_processors=[processor]
        )
        assert (reply.choices[0].text, reply.choices[0].finish_reason) == ("abcd", "abort")


class TestStreams:
    async def test_read_by_two(self, engine: Engine, expected: str) -> None:
        """Each piece goes to one of them, the end to both."""
        stream = await engine.completions.create(**{**LONG, "max_tokens": 40}, stream=True)
        async with asyncio.timeout(30):
            (one, _), (other, _) = await asyncio.gather(rest(stream), rest(stream))
        assert sorted(one + other) == sorted(expected[:40])

    async def test_closed_in_the_middle(self, engine: Engine, expected: str) -> None:
        stream = await engine.completions.create(**LONG, stream=True)
        assert expected.startswith(await some(stream))
        await stream.aclose()
        assert engine.waiting == engine.answering == 0, "closing returns when the engine is free"
        assert [piece async for piece in stream] == []
        await stream.aclose()

    async def test_closed_before_it_is_read(self, engine: Engine) -> None:
        stream = await engine.completions.create(**LONG, stream=True)
        await stream.aclose()
        assert [piece async for piece in stream] == []

    async def test_closed_while_it_waits_for_its_turn(self, engine: Engine, expected: str) -> None:
        first = asyncio.create_task(said(engine))
        await asyncio.sleep(0)
        stream = await engine.completions.create(**LONG, stream=True)
        await asyncio.sleep(0)
        await stream.aclose()
        assert await first == expected[:40]

    async def test_closed_by_another_task_than_the_reader(self, engine: Engine) -> None:
        stream = await engine.completions.create(**LONG, stream=True)
        reader = asyncio.create_task(rest(stream))
        await decoding(engine)
        await stream.aclose()
        async with asyncio.timeout(30):
            await reader

    async def test_left_by_break(self, engine: Engine) -> None:
        async with await engine.completions.create(**LONG, stream=True) as stream:
            async for _ in stream:
                break
        assert engine.waiting == engine.answering == 0

    async def test_dropped(self, engine: Engine) -> None:
        stream = await engine.completions.create(**LONG, stream=True)
        async for _ in stream:
            break
        del stream
        gc.collect()
        async with asyncio.timeout(30):
            while engine.waiting or engine.answering:  # noqa: ASYNC110
                await asyncio.sleep(0.001)

    async def test_left_but_kept(self, engine: Engine, expected: str) -> None:
        """It answers on by itself, and what it said can be read later."""
        stream = await engine.completions.create(**LONG, stream=True)
        text = await some(stream)
        assert await said(engine) == expected[:40]
        more, reason = await rest(stream)
        assert (text + more, reason) == (expected, "length")

    async def test_never_read(self, engine: Engine, expected: str) -> None:
        stream = await engine.completions.create(**{**LONG, "max_tokens": 20}, stream=True)
        assert await said(engine) == expected[:40]
        assert (await rest(stream))[0] == expected[:20]


class TestCancellation:
    async def test_at_any_moment(self, engine: Engine) -> None:
        """After so many rounds of the event loop: waiting, prefilling, decoding."""
        for rounds in [*range(12), 15, 20, 30, 50, 80]:
            answer = asyncio.create_task(engine.completions.create(**LONG))
            for _ in range(rounds):
                await asyncio.sleep(0)
            if not answer.cancel():
                break  # a busy machine gives it many turns of the GPU for one of these
            with pytest.raises(asyncio.CancelledError):
                await answer
            assert engine.waiting == engine.answering == 0
        assert rounds >= 12

    async def test_while_decoding(self, engine: Engine) -> None:
        answer = asyncio.create_task(engine.completions.create(**LONG))
        await decoding(engine)
        answer.cancel()
        with pytest.raises(asyncio.CancelledError):
            await answer
        assert engine.waiting == engine.answering == 0

    async def test_twice(self, engine: Engine) -> None:
        """Also while the first one still waits for steps in flight."""
        for rounds in (0, 1, 2, 3, 5):
            answer = asyncio.create_task(engine.completions.create(**LONG))
            await decoding(engine)
            answer.cancel()
            for _ in range(rounds):
                await asyncio.sleep(0)
            answer.cancel()
            with pytest.raises(asyncio.CancelledError):
                await answer
            assert engine.waiting == engine.answering == 0

    async def test_of_one_that_waits(self, engine: Engine, expected: str) -> None:
        first = asyncio.create_task(said(engine))
        second = asyncio.create_task(said(engine))
        third = asyncio.create_task(said(engine))
        await asyncio.sleep(0)
        second.cancel()
        assert await first == await third == expected[:40]

    async def test_of_a_stream_s_reader(self, engine: Engine, expected: str) -> None:
        """The stream itself goes on: it can be read by somebody else."""
        stream = await engine.completions.create(**LONG, stream=True)
        reader = asyncio.create_task(rest(stream))
        await decoding(engine)
        reader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reader
        more, reason = await rest(stream)
        assert expected.endswith(more) and reason == "length"

    async def test_of_logits(self, engine: Engine) -> None:
        for rounds in (0, 1, 3, 6, 10):
            task = asyncio.create_task(engine.logits([65] * 100))
            for _ in range(rounds):
                await asyncio.sleep(0)
            if not task.cancel():
                break  # a machine that paused has computed them meanwhile
            with pytest.raises(asyncio.CancelledError):
                await task
        assert rounds >= 3

    async def test_by_a_timeout(self, engine: Engine) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await engine.completions.create(**LONG)


async def test_requests_are_answered_in_the_order_of_their_arrival(engine: Engine) -> None:
    """Streamed or whole, chat or text, however long, and logits among them: nobody is passed by who
    cannot share a turn with those before."""
    finished: list[int] = []

    async def whole(number: int, length: int) -> None:
        await said(engine, max_tokens=length)
        finished.append(number)

    async def streamed(number: int, length: int) -> None:
        stream = await engine.completions.create(**{**LONG, "max_tokens": length}, stream=True)
        await rest(stream)
        finished.append(number)

    async def chat(number: int) -> None:
        await engine.chat.completions.create(
            messages=[{"role": "user", "content": "Hi"}], max_tokens=3
        )
        finished.append(number)

    async def logits(number: int) -> None:
        await engine.logits([65, 66])
        finished.append(number)

    await asyncio.gather(
        whole(0, 60),
        streamed(1, 10),
        whole(2, 2),
        chat(3),
        logits(4),
        streamed(5, 30),
        chat(6),
        whole(7, 1),
    )
    assert {*finished[:4]} == {0, 1, 2, 3}
    assert finished[4] == 4, "logits have a turn of their own"
    assert {*finished[5:]} == {5, 6, 7}


async def test_answers_do_not_mix(engine: Engine) -> None:
    """Eight at once, each as if it were alone."""
    prompts = [f"{number} things" for number in range(8)]
    alone = [await said(engine, prompt, max_tokens=15) for prompt in prompts]
    together = await asyncio.gather(*(said(engine, prompt, max_tokens=15) for prompt in prompts))
    assert together == alone
    assert len(set(alone)) > 4
