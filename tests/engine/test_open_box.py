"""The open box: what layers leave and heads attend to, against transformers; the logit lens, hooks
and steering, against numpy and each other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engine_tools import generation_logits, said
from family_files import write_family_folder
from family_models import FAMILY_MODELS
from inspected import INSPECTED, INSPECTED_PROMPT, inspection_error
from made_families import Recorded
from made_models import SMALL, noise, tokens_of, weights_of
from model_files import Files

import webllm_py
from webllm_py import Engine, RequestError
from webllm_py.gpu import Device
from webllm_py.runtime import executor

TOLERANCE = 5e-5
TOKENS = tokens_of(SMALL, 70)
HIDDEN = SMALL.hidden


@pytest.fixture(scope="module")
async def exact(files: Files, plain_device: Device) -> AsyncIterator[Engine]:
    """The small model in float32."""
    source = files.huggingface(SMALL)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(executor, "LONG_PROMPTS", ())
        engine = await webllm_py.load(source, device=plain_device, kv_dtype="f32")
    async with engine:
        yield engine


@pytest.mark.parametrize("name", INSPECTED)
async def test_as_transformers_shows_it(
    name: str, tmp_path: Path, plain_device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor, "LONG_PROMPTS", ())
    model, recorded = FAMILY_MODELS[name], Recorded.load(name)
    folder = write_family_folder(tmp_path / name, recorded, model.weights(recorded.shapes))
    tokens = model.tokens(INSPECTED_PROMPT)
    async with await webllm_py.load(folder, device=plain_device) as engine:
        seen = await engine.inspect(tokens, output_hidden_states=True, output_attentions=True)
    errors = [
        inspection_error(name, what, getattr(seen, what))
        for what in ("hidden_states", "attentions")
    ]
    print(name, errors)
    assert max(errors) < TOLERANCE
    assert seen.logits is None and seen.tokens == tokens


async def test_only_what_was_asked_for(exact: Engine) -> None:
    whole = await exact.inspect(TOKENS, output_attentions=True, output_logits=True)
    assert np.array_equal(whole.logits, await exact.logits(TOKENS))
    assert whole.hidden_states is None and whole.layers == [0, 1]
    one = await exact.inspect(TOKENS, output_attentions=True, layers=[1])
    assert one.layers == [1] and np.array_equal(one.attentions, whole.attentions[1:])
    assert np.allclose(whole.attentions.sum(-1), 1, atol=1e-5)
    assert not np.triu(whole.attentions, 1).any()


async def test_logit_lens(exact: Engine) -> None:
    """The final norm and the output layer, of what layers leave."""
    seen = await exact.inspect(TOKENS, output_hidden_states=True)
    weights = weights_of(SMALL)
    rows = seen.hidden_states[:2].astype(np.float64)
    normed = rows / np.sqrt((rows**2).mean(-1, keepdims=True) + 1e-5) * weights["model.norm.weight"]
    table = weights["model.embed_tokens.weight"].astype(np.float64)
    lens = await exact.logit_lens(TOKENS)
    assert lens.shape == (3, len(TOKENS), SMALL.vocab)
    np.testing.assert_allclose(lens[:2], normed @ table.T, rtol=0, atol=TOLERANCE)
    assert np.array_equal(lens[2], await exact.logits(TOKENS))
    # The last state is normed already, as transformers has it.
    np.testing.assert_allclose(lens[2], seen.hidden_states[2] @ table.T, atol=TOLERANCE)
    some = await exact.logit_lens(TOKENS, positions=[3, 40, 69], layers=[0, 2])
    assert np.array_equal(some, lens[[0, 2]][:, [3, 40, 69]])


async def test_hooks(exact: Engine) -> None:
    """They see every row once, and what they return goes on."""
    plain = await exact.inspect(TOKENS, output_hidden_states=True, output_logits=True)
    vector = noise("vector", HIDDEN)
    seen: list[tuple[int, range, np.ndarray]] = []

    def look(layer: int, positions: range, hidden: np.ndarray) -> None:
        seen.append((layer, positions, hidden.copy()))

    def add(layer: int, positions: range, hidden: np.ndarray) -> Any:
        return (hidden + vector).tolist()

    def add_in_place(layer: int, positions: range, hidden: np.ndarray) -> None:
        hidden += vector

    looked = await exact.inspect(TOKENS, output_logits=True, hooks={0: look, 1: look})
    assert np.array_equal(looked.logits, plain.logits)
    first = np.concatenate([rows for layer, _, rows in seen if layer == 0])
    assert np.array_equal(first, plain.hidden_states[1])
    assert [i for layer, part, _ in seen if layer == 1 for i in part] == [*range(len(TOKENS))]
    changed = [
        await exact.inspect(TOKENS, output_hidden_states=True, output_logits=True, hooks={0: hook})
        for hook in (add, add_in_place)
    ]
    async with exact.steer({0: vector}):
        changed.append(await exact.inspect(TOKENS, output_hidden_states=True, output_logits=True))
    for one in changed:
        expected = plain.hidden_states[1] + vector
        np.testing.assert_allclose(one.hidden_states[1], expected, atol=1e-6)
        np.testing.assert_allclose(one.logits, changed[0].logits, atol=TOLERANCE)
    assert np.abs(changed[0].logits - plain.logits).max() > 0.1


async def test_steering(exact: Engine) -> None:
    """Prefill and decode steps add the vectors as the inspecting pass does, and no longer than
    asked."""
    executor = exact.loaded.executor
    vectors = {0: noise("first", HIDDEN), 1: 2 * noise("second", HIDDEN)}
    plain, text = await exact.logits(TOKENS), await said(exact)
    async with exact.steer({1: np.zeros(HIDDEN)}):
        assert await said(exact) == text
        assert "steer" in {kernel.name for kernel in executor.plans.kernels}
    async with exact.steer({0: vectors[0]}), exact.steer({1: list(vectors[1])}):
        both = await exact.logits(TOKENS)
        seen = await generation_logits(exact, TOKENS, 40)
        np.testing.assert_allclose(seen, both[39:], atol=TOLERANCE)
        assert await said(exact) != text
    assert np.abs(both - plain).max() > 0.1
    async with exact.steer(vectors):
        np.testing.assert_allclose(await exact.logits(TOKENS), both, atol=1e-6)
    reply = await exact.completions.create(prompt=TOKENS, max_tokens=1)
    assert reply.usage.prompt_tokens_details.cached_tokens == 0
    assert await said(exact) == text and np.array_equal(await exact.logits(TOKENS), plain)
    assert not executor.buffers.steering
    assert "steer" not in {kernel.name for kernel in executor.plans.kernels}


async def test_a_request_that_is_steered(exact: Engine) -> None:
    """As ``steer`` does it, for this one alone, also of those that come together."""
    vectors = {0: noise("first", HIDDEN), 1: 2 * noise("second", HIDDEN)}
    text = await said(exact)
    async with exact.steer(vectors):
        steered = await said(exact)
    in_json = {str(layer): vector.tolist() for layer, vector in vectors.items()}
    assert steered != text
    assert await asyncio.gather(
        said(exact), said(exact, steering=in_json), said(exact), said(exact, steering={})
    ) == [text, steered, text, text]
    async with exact.steer({0: vectors[0]}):
        assert await said(exact, steering={1: vectors[1]}) == steered
    assert await said(exact) == text and not exact.loaded.executor.buffers.steering


@pytest.mark.parametrize(
    ("steering", "param"),
    [
        ({2: [0.0] * HIDDEN}, "steering"),
        ({"a": [0.0] * HIDDEN}, "steering"),
        ([1], "steering"),
        ({0: [0.0]}, "steering[0]"),
        ({0: "a"}, "steering[0]"),
        ({0: [float("nan")] * HIDDEN}, "steering[0]"),
    ],
)
async def test_wrong_steering(exact: Engine, steering: Any, param: str) -> None:
    with pytest.raises(RequestError) as caught:
        await said(exact, steering=steering)
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("call", "param"),
    [
        (lambda e: e.inspect([1], output_attentions=True, layers=[2]), "layers"),
        (lambda e: e.inspect([1], hooks={"0": print}), "hooks"),
        (lambda e: e.inspect([1], hooks={0: lambda *_: [1.0]}), "hooks"),
        (lambda e: e.inspect([1], hooks={0: lambda *_: "rows"}), "hooks"),
        (lambda e: e.inspect([1], hooks={0: "rows"}), "hooks"),
        (lambda e: e.inspect([]), "ids"),
        (lambda e: e.logit_lens([1, 2], positions=[-1]), "positions"),
        (lambda e: e.logit_lens([1, 2], layers=[4]), "layers"),
        (lambda e: e.steer({2: [0.0] * HIDDEN}).__aenter__(), "vectors"),
        (lambda e: e.steer({0: [0.0]}).__aenter__(), "vectors"),
        (lambda e: e.steer({0: "a"}).__aenter__(), "vectors"),
        (lambda e: e.steer({0: [float("nan")] * HIDDEN}).__aenter__(), "vectors"),
    ],
)
async def test_refused_by_name(exact: Engine, call: Any, param: str) -> None:
    with pytest.raises(RequestError) as caught:
        await call(exact)
    assert caught.value.param == param
    assert not exact.loaded.executor.buffers.steering


async def test_more_than_can_be_returned(exact: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webllm_py.engine.inspected.MOST_BYTES", 4 * 3 * 2 * HIDDEN)
    await exact.inspect([1, 2], output_hidden_states=True)
    with pytest.raises(RequestError, match="MiB"):
        await exact.inspect([1, 2, 3], output_hidden_states=True)


async def test_nothing_is_left(engine: Engine, nothing_left: None) -> None:
    await engine.inspect("Once upon", output_attentions=True, output_hidden_states=True)
    await engine.logit_lens("Once upon")
    async with engine.steer({0: [1.0] * HIDDEN}):
        await said(engine, max_tokens=2)
    with pytest.raises(ZeroDivisionError):
        await engine.inspect("Once upon", hooks={0: lambda *_: 1 / 0})
    with pytest.raises(ZeroDivisionError):
        async with engine.steer({0: [1.0] * HIDDEN}):
            raise ZeroDivisionError


async def test_interrupted(engine: Engine, nothing_left: None) -> None:
    """Between some rows and the next."""

    def interrupt(layer: int, positions: range, hidden: np.ndarray) -> None:
        seen.append(positions.start)
        engine.interrupt()

    seen: list[int] = []
    with pytest.raises(RequestError) as caught:
        await engine.inspect(TOKENS, hooks={1: interrupt})
    assert caught.value.code == "interrupted" and seen == [0]
