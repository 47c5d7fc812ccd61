"""Answers that are cut off with their process, and finished by another one."""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from engine_tools import PRINTABLE_ONLY, ahead
from test_survival import REQUESTS, SOME, TEXT, told

import webllm_py
from webllm_py import Engine, FetchOptions, RequestError, StateError
from webllm_py.engine import keeping as keeping_module
from webllm_py.gpu import Device
from webllm_py.runtime.generation.run import Run

KINDS = {name: fields for name, fields in REQUESTS.items() if name != "the best"}
MESSAGES = [{"role": "user", "content": "Tell me a story"}]
SAY = {"max_tokens": 80, "logit_bias": PRINTABLE_ONLY, "ignore_eos": True}
# The child of ``test_a_process_that_is_killed``; tells the parent when each answer is kept.
CHILD = """
import asyncio, json, sys
import webllm_py
from webllm_py.engine import keeping

async def main(path, store, requests):
    keeping.SECONDS = 0.05
    fetch = webllm_py.FetchOptions(store=store)
    engine = await webllm_py.load(path, tune=False, fetch=fetch)

    async def give(fields):
        async for piece in await engine.completions.create(**fields, stream=True):
            print(fields["resumable"], len(piece.choices[0].text), flush=True)
            await asyncio.sleep(0.02)

    await asyncio.gather(*map(give, requests))

asyncio.run(main(sys.argv[1], sys.argv[2], json.loads(sys.argv[3])))
"""


@pytest.fixture(scope="module", autouse=True)
def often() -> Iterator[None]:
    """Answers of a second are kept as often as long ones, and none ends before it is kept."""
    next_read = Run.next_read

    async def slowly(self: Run) -> Any:
        await asyncio.sleep(0.004)
        return await next_read(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keeping_module, "SECONDS", 0.01)
        ahead(patch, 1e-4)
        patch.setattr(Run, "next_read", slowly)
        yield


class Place:
    """Where one engine keeps its answers, and where another one looks for them."""

    def __init__(self, folder: Path):
        self.given, self.found = folder / "given", folder / "found"

    def crash(self) -> None:
        """What would be left if the first engine's process ended now."""
        shutil.copytree(self.given / "answers", self.found / "answers", dirs_exist_ok=True)

    @property
    def records(self) -> list[str]:
        """Of all answers that are under way."""
        return [path.name for path in (self.given / "answers").glob("records/*")]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
async def giving(small_model: Path, device: Device, place: Place) -> AsyncIterator[Engine]:
    fetch = FetchOptions(store=place.given)
    async with await webllm_py.load(small_model, device=device, fetch=fetch) as engine:
        yield engine


@pytest.fixture
async def finishing(small_model: Path, device: Device, place: Place) -> AsyncIterator[Engine]:
    fetch = FetchOptions(store=place.found)
    async with await webllm_py.load(small_model, device=device, fetch=fetch) as engine:
        yield engine


async def cut_off(place: Place, stream: Any, pieces: int) -> list[Any]:
    """The first pieces of a stream that comes to its end, but elsewhere is cut off behind them."""
    seen = []
    async for piece in stream:
        seen.append(piece)
        if len(seen) == pieces:
            while not any(name.startswith(("0", "1")) for name in place.records):  # noqa: ASYNC110
                await asyncio.sleep(0.005)
            place.crash()
    return seen


def text_of(pieces: list[Any]) -> str:
    return "".join(piece.choices[0].text for piece in pieces)


async def test_every_kind_of_answer(
    giving: Engine, finishing: Engine, place: Place, long: bool
) -> None:
    """The text that the unbroken answer has, of which some was said before."""
    draw, kinds = random.Random(4), KINDS if long else {name: KINDS[name] for name in SOME}
    for name, fields in kinds.items():
        kept = {**TEXT, **fields, "stream": True, "resumable": name}
        stream = await giving.completions.create(**kept)
        await cut_off(place, stream, draw.randrange(2, 6))
        assert place.records == [], "what came to its end is not kept"
    assert {answer.name for answer in await finishing.unfinished()} == {*kinds}
    assert not [answer for answer in await finishing.unfinished() if not answer.tokens]
    for name, fields in kinds.items():
        stream = await finishing.resume(name)
        expected = await told(giving, **fields)
        assert stream is not None
        assert await told_by(stream) == expected, name
    assert await finishing.unfinished() == []


async def told_by(stream: Any) -> Any:
    """As ``told``, of a stream that is there."""

    class Once:
        async def create(self, **fields: Any) -> Any:
            return stream

    class Engines:
        completions = Once()

    return await told(Engines())  # type: ignore[arg-type]


async def test_without_a_seed_or_a_name(giving: Engine, finishing: Engine, place: Place) -> None:
    """It goes on as it would have, under its own id, and as a chat that begins anew."""
    stream = await giving.chat.completions.create(
        messages=MESSAGES, stream=True, resumable=True, **SAY
    )
    seen = await cut_off(place, stream, 6)
    said = "".join(chunk.choices[0].delta.content or "" for chunk in seen)
    (answer,) = await finishing.unfinished()
    assert answer.name == seen[0].id and answer.model == giving.name
    assert answer.text and answer.text.startswith(said[:1])
    again = await finishing.resume()
    assert again is not None
    chunks = [chunk async for chunk in again]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == said
    assert len(said) == 80
    assert {chunk.id for chunk in chunks} == {answer.name}
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].choices[0].finish_reason == "length"
    assert await finishing.resume() is None


async def test_cut_off_twice(giving: Engine, finishing: Engine, place: Place) -> None:
    fields = {**TEXT, "seed": 4, "resumable": "twice"}
    expected = await giving.completions.create(**fields)
    await cut_off(place, await giving.completions.create(**fields, stream=True), 3)
    stream = await finishing.resume("twice")
    assert stream is not None
    await anext(stream)
    await asyncio.sleep(0.03)
    with pytest.raises(StateError, match="is giving it"):
        await finishing.resume("twice")
    place.given, place.found = place.found, place.found.with_name("third")
    place.crash()
    await stream.aclose()
    assert await finishing.unfinished() == [], "who ends an answer does not want the rest"
    place.found.rename(place.given / "answers.3")
    shutil.copytree(
        place.given / "answers.3" / "answers", place.given / "answers", dirs_exist_ok=True
    )
    stream = await finishing.resume("twice")
    assert stream is not None
    assert text_of([piece async for piece in stream]) == expected.choices[0].text


async def test_what_was_half_written(giving: Engine, finishing: Engine, place: Place) -> None:
    """A record that is cut short counts as not written; the text is the same."""
    fields = {**TEXT, "seed": 4, "resumable": "half"}
    expected = await giving.completions.create(**fields)
    await cut_off(place, await giving.completions.create(**fields, stream=True), 3)
    tails = [*place.found.glob("answers/records/[01]*")]
    assert tails
    for tail in tails:
        tail.write_text(tail.read_text()[:-9])
    stream = await finishing.resume("half")
    assert stream is not None
    assert text_of([piece async for piece in stream]) == expected.choices[0].text


async def test_another_model(giving: Engine, place: Place, tmp_path: Path, device: Device) -> None:
    """Its answers are told of, and left alone."""
    await cut_off(
        place, await giving.completions.create(**TEXT, stream=True, resumable="theirs"), 2
    )
    async with await webllm_py.load(
        None, device=device, tune=False, fetch=FetchOptions(store=place.found)
    ) as other:
        assert [answer.name for answer in await other.unfinished()] == ["theirs"]
        assert await other.resume() is None
        with pytest.raises(StateError, match="was begun by small"):
            await other.resume("theirs")
        with pytest.raises(StateError, match="no answer 'nobody'"):
            await other.resume("nobody")
        await other.forget("theirs")
        await other.forget("nobody")
        assert await other.unfinished() == []


async def test_requests_that_cannot_be_kept(giving: Engine) -> None:
    for fields in (
        {"resumable": 3},
        {"resumable": ""},
        {"resumable": "x" * 101},
        {"resumable": True, "logits_processors": [lambda logits: logits]},
        {"resumable": True, "best_of": 2},
    ):
        with pytest.raises(RequestError) as error:
            await giving.completions.create(**TEXT, **fields)
        assert error.value.param == "resumable"


async def test_two_of_one_name(giving: Engine) -> None:
    first = await giving.completions.create(**TEXT, stream=True, resumable="one")
    await anext(first)
    with pytest.raises(RequestError, match="is under way"):
        await giving.completions.create(**TEXT, resumable="one")
    await first.aclose()
    assert (await giving.completions.create(**TEXT, resumable="one")).choices[0].text


async def test_cancelled_twice(giving: Engine, place: Place) -> None:
    """The second time in the middle of forgetting it: nothing of it stays, and its name is free."""
    for turns in range(12):
        asked = asyncio.ensure_future(giving.completions.create(**TEXT, resumable="twice"))
        while not place.records:  # noqa: ASYNC110
            await asyncio.sleep(0.002)
        asked.cancel()
        for _ in range(turns):
            await asyncio.sleep(0)
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        assert place.records == [], turns
    assert (await giving.completions.create(**TEXT, resumable="twice")).choices[0].text


async def test_a_store_that_cannot_be_written(
    giving: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer comes, and is not kept."""

    async def full(*_: object) -> None:
        raise webllm_py.StorageFullError("no room", needed=1, free=0)

    monkeypatch.setattr("webllm_py.fetch.backends.folder_backend.FolderBackend.write_record", full)
    reply = await giving.completions.create(**TEXT, resumable=True)
    assert reply.usage.completion_tokens == 90


async def test_a_process_that_is_killed(small_model: Path, finishing: Engine, place: Place) -> None:
    """Three answers at once, one of them greedy and one under a grammar."""
    kinds = ("greedy", "penalties", "a grammar")
    requests = {
        name: {**TEXT, **KINDS[name], "max_tokens": 200, "resumable": name} for name in kinds
    }
    plain = json.dumps(
        [
            {**fields, "logit_bias": {str(k): v for k, v in fields["logit_bias"].items()}}
            for fields in requests.values()
        ]
    )
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        CHILD,
        str(small_model),
        str(place.found),
        plain,
        stdout=asyncio.subprocess.PIPE,
    )
    assert child.stdout
    seen: set[str] = set()
    records = place.found / "answers" / "records"
    while len(seen) < 2 or len({path.name[1:] for path in records.glob("[01]*")}) < 2:
        line = await child.stdout.readline()
        assert line, "the child ended"
        seen.add(line.split()[0].decode())
    child.kill()
    await child.wait()
    found = await finishing.unfinished()
    assert len(found) >= 2
    for answer in found:
        fields = {**requests[answer.name]}
        del fields["resumable"]
        stream = await finishing.resume(answer.name)
        assert stream is not None
        expected = await finishing.completions.create(**fields)
        assert text_of([piece async for piece in stream]) == expected.choices[0].text
