"""``webllm_py.sync``: the same answers without await, from a script's point of view."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engine_tools import PRINTABLE_ONLY

import webllm_py
from webllm_py import sync

FIELDS: dict[str, Any] = {
    "prompt": "Once",
    "temperature": 0,
    "max_tokens": 12,
    "logit_bias": PRINTABLE_ONLY,
}
LONG = {**FIELDS, "max_tokens": 480}


@pytest.fixture(scope="module")
def engine(small_model: Path) -> Iterator[sync.Engine]:
    with sync.load(small_model, tune=False) as engine:
        yield engine


def test_answers(engine: sync.Engine) -> None:
    text = engine.completions.create(**FIELDS).choices[0].text
    assert len(text) == 12
    pieces = engine.completions.create(stream=True, **FIELDS)
    assert "".join(piece.choices[0].text for piece in pieces) == text
    assert next(pieces, None) is None
    fields = {name: value for name, value in FIELDS.items() if name != "prompt"}
    fields["messages"] = [{"role": "user", "content": "Hello!"}]
    whole = engine.chat.completions.create(**fields).choices[0].message.content
    chunks = engine.chat.completions.create(stream=True, **fields)
    assert "".join(c.choices[0].delta.content or "" for c in chunks) == whole


def test_logits_and_properties(engine: sync.Engine) -> None:
    ids = engine.tokenizer.encode("Once upon")
    logits = engine.logits(ids)
    assert logits.shape == (len(ids), engine.info["vocab_size"])
    assert np.array_equal(engine.logits("Once upon"), logits)
    assert engine.name == engine.info["name"] == "small"


def test_the_open_box(engine: sync.Engine, tmp_path: Path) -> None:
    text = engine.completions.create(**FIELDS).choices[0].text
    state = engine.save_state(tmp_path / "state")
    length = engine.fork()
    assert length == engine.load_state(state) == engine.load_state(tmp_path / "state")
    assert len(engine.rewind(3)) == length - 3
    seen = engine.inspect("Once", output_logits=True, output_hidden_states=True)
    assert np.array_equal(engine.logit_lens("Once")[-1], seen.logits)
    with engine.steer({0: 3 * seen.hidden_states[0, 0]}):
        assert engine.completions.create(**FIELDS).choices[0].text != text
    assert engine.completions.create(**FIELDS).choices[0].text == text


def test_errors_are_the_same(engine: sync.Engine) -> None:
    with pytest.raises(webllm_py.RequestError) as caught:
        engine.completions.create(prompt="x", n=0)
    assert caught.value.param == "n"
    with pytest.raises(webllm_py.RequestError, match="not trained to embed"):
        engine.embeddings.create(input="x")
    threads = threading.active_count()
    with pytest.raises(webllm_py.SourceError):
        sync.load("nowhere.gguf")
    assert threading.active_count() == threads


@pytest.mark.parametrize("how", ["close", "with", "drop"])
def test_a_stream_ends_early(engine: sync.Engine, how: str) -> None:
    long_text = engine.completions.create(**LONG).choices[0].text
    engine._engine.loaded.executor.cache.pages.clear()
    stream = engine.completions.create(stream=True, **LONG)
    next(stream)
    if how == "close":
        stream.close()
    elif how == "with":
        with stream:
            next(stream)
    else:
        del stream
        gc.collect()
    until = time.monotonic() + 60
    while engine._engine.answering and time.monotonic() < until:
        time.sleep(0.01)
    # What was computed of it is in the cache.
    reply = engine.completions.create(prompt="Once" + long_text[:-5], max_tokens=1)
    assert reply.usage.prompt_tokens_details.cached_tokens < 300


def test_interrupt_from_another_thread(engine: sync.Engine) -> None:
    stream = engine.completions.create(stream=True, **LONG)
    next(stream)
    thread = threading.Thread(target=engine.interrupt)
    thread.start()
    *_, last = stream
    thread.join()
    assert last.choices[0].finish_reason == "abort"


def test_ctrl_c_ends_what_was_waited_for(
    engine: sync.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    future = type("Future", (), {"cancelled": False})

    def interrupted(work: Any, loop: Any) -> Any:
        work.close()
        return future()

    def result(self: Any) -> None:
        raise KeyboardInterrupt

    def cancel(self: Any) -> None:
        future.cancelled = True

    future.result, future.cancel = result, cancel
    with monkeypatch.context() as patched:
        patched.setattr(asyncio, "run_coroutine_threadsafe", interrupted)
        with pytest.raises(KeyboardInterrupt):
            engine.completions.create(**FIELDS)
    assert future.cancelled


async def test_inside_a_running_loop(engine: sync.Engine) -> None:
    """As in a notebook, whose cells run on one."""
    assert len(engine.completions.create(**FIELDS).choices[0].text) == 12


def test_unloading(small_model: Path) -> None:
    threads = threading.active_count()
    engine = sync.load(small_model, tune=False)
    stream = engine.completions.create(stream=True, **LONG)
    next(stream)

    def read() -> None:
        with suppress(webllm_py.EngineClosedError):
            for _ in stream:
                pass

    waiting = threading.Thread(target=read, daemon=True)
    waiting.start()
    engine.unload()
    engine.unload()
    waiting.join(10)
    assert not waiting.is_alive()
    with pytest.raises(webllm_py.EngineClosedError):
        engine.completions.create(**FIELDS)
    assert threading.active_count() == threads
