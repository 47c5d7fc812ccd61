"""Aborted at any moment, an engine answers the next request and holds no more than before."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from engine_tools import open_files, said
from model_files import Files
from test_survival import REQUESTS, TEXT

import webllm_py
from webllm_py import Engine, FetchOptions, WebLLMError, openai_client
from webllm_py.gpu import Device
from webllm_py.serving import Service
from webllm_py.serving.messages import Request

ABORTS = 1000
MESSAGES = [{"role": "user", "content": "Hello! " * 20}]
Work = Callable[[Engine, random.Random], Awaitable[Any]]


async def streamed(engine: Engine, draw: random.Random) -> None:
    name = draw.choice([name for name in REQUESTS if name != "the best"])
    fields = {**TEXT, **REQUESTS[name], "stream": True, "resumable": draw.random() < 0.3}
    async for _ in await engine.completions.create(**fields):
        pass


async def whole(engine: Engine, draw: random.Random) -> None:
    await engine.completions.create(**{**TEXT, **REQUESTS[draw.choice([*REQUESTS])]})


async def together(engine: Engine, draw: random.Random) -> None:
    await asyncio.gather(*(whole(engine, draw) for _ in range(draw.randrange(2, 6))))


async def prefilled(engine: Engine, draw: random.Random) -> None:
    letters = "".join(draw.choices("abcdefgh ", k=draw.randrange(100, 400)))
    await engine.completions.create(prompt=letters, max_tokens=2)


async def looked(engine: Engine, draw: random.Random) -> None:
    ids = draw.choices(range(256), k=draw.randrange(10, 200))
    await draw.choice((engine.logits, lambda ids: engine.inspect(ids, output_logits=True)))(ids)


async def steered(engine: Engine, draw: random.Random) -> None:
    async with engine.steer({0: [0.1] * engine.info["hidden_size"]}):
        await engine.logits([65] * 30)


async def kept(engine: Engine, draw: random.Random) -> None:
    await engine.completions.create(prompt="x" * draw.randrange(40, 90), max_tokens=3)
    state = await engine.save_state()
    await engine.fork()
    await engine.load_state(state)


async def served(engine: Engine, draw: random.Random) -> None:
    service = Service(engine)
    stream = b'"stream": true, ' if draw.random() < 0.5 else b""
    body = b'{"prompt": "Once", "max_tokens": 60, "ignore_eos": true, %s"seed": 3}' % stream
    reply = await service.answer(Request("POST", "/v1/completions", body, {}))
    if not isinstance(reply.body, bytes):
        try:
            async for _ in reply.body:
                pass
        finally:
            await reply.body.aclose()


async def asked_by_client(engine: Engine, draw: random.Random) -> None:
    async with openai_client(engine) as client:
        await client.chat.completions.create(
            model="x",
            messages=MESSAGES,
            max_tokens=40,  # type: ignore[arg-type]
        )


WORK: list[Work] = [
    streamed,
    streamed,
    whole,
    together,
    prefilled,
    looked,
    steered,
    kept,
    served,
]
if find_spec("openai"):  # not where a GPU is without a network
    WORK.append(asked_by_client)


async def duration(work: Awaitable[Any]) -> float:
    """The seconds that something takes."""
    start = time.perf_counter()
    await work
    return time.perf_counter() - start


async def moment(draw: random.Random, rounds: int, seconds: float) -> None:
    """Wait for some of so many rounds of the event loop, or for part of so many seconds."""
    if draw.random() < 0.5:
        for _ in range(draw.randrange(rounds)):
            await asyncio.sleep(0)
    else:
        await asyncio.sleep(draw.random() * seconds)


async def aborted(engine: Engine, work: Work, draw: random.Random, seconds: float) -> bool:
    """Begin some work that takes so many seconds and end it meanwhile: cancelled, or interrupted
    and waited for. Whether it was under way when it was cancelled."""
    task = asyncio.ensure_future(work(engine, draw))
    await moment(draw, 60, seconds)
    if draw.random() < 0.25:
        engine.interrupt()
        await asyncio.wait([task], timeout=draw.random() * seconds / 2)
    under_way = task.cancel()
    if draw.random() < 0.2:
        await asyncio.sleep(0)
        task.cancel()
    with suppress(asyncio.CancelledError, WebLLMError):
        await task
    return under_way


def files_in(folder: Path) -> list[str]:
    return [path.name for path in folder.glob("*")]


@pytest.fixture
async def own(small_model: Path, device: Device, tmp_path: Path) -> AsyncIterator[Engine]:
    fetch = FetchOptions(store=tmp_path)
    async with await webllm_py.load(small_model, device=device, fetch=fetch) as engine:
        yield engine


async def test_aborts_at_random_moments(
    own: Engine, device: Device, tmp_path: Path, long: bool
) -> None:
    """Of requests of every kind, several at once among them."""
    for fields in REQUESTS.values():  # what is made once and stays: kernels, a grammar's tables
        await own.completions.create(**{**TEXT, **fields})
    expected = await said(own)
    executor = own.loaded.executor
    buffers = device.n_buffers, own.loaded.owner.nbytes - sum(b.size for b in executor.buffers.kv)
    draw = random.Random(12)
    seconds: dict[Work, float] = {}
    number, begun, cut, start = 0, 0, 0, time.perf_counter()
    count = ABORTS if long else 12
    # Works are not always as long: some end before.
    while number < count or cut <= begun // 5:
        assert number < 5 * count, "hardly any work can be cut off"
        works = draw.choices(WORK, k=draw.choice((1, 1, 1, 2, 3)))
        for work in works:
            if work not in seconds:
                seconds[work] = await duration(work(own, draw))
        begun += len(works)
        cut += sum(
            await asyncio.gather(*(aborted(own, work, draw, seconds[work]) for work in works))
        )
        async with asyncio.timeout(300):  # those of the machine's others, too
            assert await said(own) == expected, f"after {number}: {works}"
            # A stream that was dropped ends by itself, and is not awaited.
            while own.waiting or own.answering:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        assert executor.cache.pages.running == 0
        held = own.loaded.owner.nbytes - sum(b.size for b in executor.buffers.kv)
        assert (device.n_buffers, held) == buffers, f"after {number}: {works}"
        number += 1
        if number % 50 == 0:
            passed = time.perf_counter() - start
            print(
                f"{number} rounds of aborts in {passed:.0f} s: {cut} of {begun} works were cut "
                f"off; {device.n_buffers} buffers of {device.allocated:,} bytes",
                flush=True,
            )
    assert files_in(tmp_path / "answers" / "records") == files_in(tmp_path / "locks") == []


async def load_and_unload(model: Path, device: Device) -> None:
    async with await webllm_py.load(model, device=device):
        pass


async def test_loads_aborted_at_random_moments(
    small_model: Path, files: Files, device: Device, long: bool
) -> None:
    """Nothing of them is left, and the next one is whole."""
    draw = random.Random(13)
    await load_and_unload(small_model, device)  # what is done once
    seconds = await duration(load_and_unload(small_model, device))
    number, cut, start = 0, 0, time.perf_counter()
    before = device.n_buffers, device.allocated, open_files(files.folder)
    count = ABORTS // 5 if long else 4
    # Natively a GPU's compilers cannot be interrupted: some loads end before.
    while number < count or cut <= count // 5:
        task = asyncio.ensure_future(webllm_py.load(small_model, device=device))
        await moment(draw, 200, seconds)
        cut += task.cancel()
        with suppress(asyncio.CancelledError):
            await (await task).unload()
        assert (device.n_buffers, device.allocated, open_files(files.folder)) == before, number
        number += 1
        assert number < 10 * count, "no load can be cut off"
    print(f"{cut} of {number} loads were cut off in {time.perf_counter() - start:.0f} s")
    async with await webllm_py.load(small_model, device=device) as engine:
        assert len(await said(engine)) == 40
