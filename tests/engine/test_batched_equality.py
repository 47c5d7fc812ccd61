"""However the work is cut up, the same comes out of it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import numpy as np
import pytest
from engine_tools import ahead, generation_logits
from executor_tools import drawn, load_with_chunk, prefilled, read_logits, stepped
from made_models import SMALL, tokens_of, weights_of
from model_files import Files
from reference import forward

from webllm_py import Engine
from webllm_py.gpu import Device
from webllm_py.runtime.generation.prefill import prefill
from webllm_py.runtime.sampling.settings import SamplingSettings

TOKENS = tokens_of(SMALL)
# Sums of the same products in another order.
SAME = 5e-5


@pytest.fixture(scope="module")
def wanted() -> np.ndarray:
    """numpy's logits after every token."""
    return forward(SMALL.config, weights_of(SMALL), TOKENS)


@pytest.fixture(scope="module")
async def exact(files: Files, plain_device: Device) -> AsyncIterator[Engine]:
    """Everything in float32, chunks of 64 rows."""
    with pytest.MonkeyPatch.context() as patch:
        engine = await load_with_chunk(files, plain_device, 64, patch, kv_dtype="f32")
    async with engine:
        yield engine


async def test_token_by_token_as_in_tiles(exact: Engine, wanted: np.ndarray) -> None:
    """Matrix-vector products and split attention, against matrix products and tiled attention."""
    steps = await stepped(exact.loaded.executor, TOKENS)
    tiles = await exact.logits(TOKENS)
    assert np.abs(steps - tiles).max() < SAME
    assert np.abs(steps - wanted).max() < SAME


@pytest.mark.parametrize("length", [1, 2, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 150])
async def test_prefill_of_every_length(exact: Engine, wanted: np.ndarray, length: int) -> None:
    """Around the ends of tiles, pages and chunks, the last row is that of the whole text."""
    found = await prefilled(exact.loaded.executor, TOKENS[:length])
    assert np.abs(found - wanted[length - 1]).max() < SAME


async def test_one_chunk_as_several(
    files: Files,
    plain_device: Device,
    exact: Engine,
    wanted: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with await load_with_chunk(
        files, plain_device, 256, monkeypatch, kv_dtype="f32"
    ) as whole:
        assert whole.loaded.executor.chunk == 256
        in_one = await prefilled(whole.loaded.executor, TOKENS)
    in_three = await prefilled(exact.loaded.executor, TOKENS)
    assert np.abs(in_one - in_three).max() < SAME
    assert np.abs(in_one - wanted[-1]).max() < SAME


SETTINGS = {
    "greedy": SamplingSettings(temperature=0),
    "seeded": SamplingSettings(seed=11),
    "everything": SamplingSettings(
        temperature=0.9,
        top_k=40,
        top_p=0.9,
        min_p=0.01,
        seed=-(2**63),
        repetition_penalty=1.2,
        frequency_penalty=0.3,
        presence_penalty=0.2,
        logit_bias={65: 2.0},
    ),
}


@pytest.mark.parametrize("name", SETTINGS)
async def test_steps_in_flight_draw_what_waited_steps_draw(
    engine: Engine, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """60 tokens across two ends of pages, one waited for at a time and up to 64 ahead."""
    # As if the GPU were fast enough for 64 steps in flight, and most of them in one read-back.
    ahead(monkeypatch, 1e3)
    executor = engine.loaded.executor
    prompt = TOKENS[:20]
    executor.cache.pages.clear()
    waited, _ = await drawn(engine, prompt, SETTINGS[name], most_ahead=1)
    executor.cache.pages.clear()
    reads: list[int] = []
    replay_and_read = executor.device.replay_and_read

    def count_reads(plan: object, times: int, buffer: object, offset: int, size: int) -> object:
        reads.append(size // 4)
        return replay_and_read(plan, times, buffer, offset, size)

    monkeypatch.setattr(executor.device, "replay_and_read", count_reads)
    several, _ = await drawn(engine, prompt, SETTINGS[name], most_ahead=64)
    assert several == waited
    assert len(several) == 60 and len(set(several)) > 5
    assert sum(reads) == 60 and max(reads) >= 8, "the steps were not read in batches"


async def test_a_seed_decides(engine: Engine) -> None:
    prompt = TOKENS[:20]
    first, _ = await drawn(engine, prompt, SamplingSettings(seed=1))
    again, _ = await drawn(engine, prompt, SamplingSettings(seed=1))
    other, _ = await drawn(engine, prompt, SamplingSettings(seed=2))
    unseeded = [await drawn(engine, prompt, SamplingSettings()) for _ in range(2)]
    assert first == again != other
    assert unseeded[0][0] != unseeded[1][0]


class TestPrefixCache:
    """A prompt that begins like an earlier one, in float32 so that differences would show."""

    @pytest.fixture(autouse=True)
    def forget(self, exact: Engine) -> None:
        exact.loaded.executor.cache.pages.clear()

    @pytest.mark.parametrize(
        ("shared", "cached"),
        [
            (20, 20),  # within the first page
            (64, 64),  # exactly two pages
            (71, 71),  # into the third page
            (120, 119),  # all of the second prompt: its last token gives the logits
        ],
    )
    async def test_goes_on_as_from_nothing(self, exact: Engine, shared: int, cached: int) -> None:
        """The earlier request goes on from where they part."""
        settings = SamplingSettings(seed=5)
        other = [(token + 1) % 256 for token in TOKENS[shared:120]]
        second = [*TOKENS[:shared], *other]
        cold, stats = await drawn(exact, second, settings, count=20)
        assert stats.cached_tokens == 0
        exact.loaded.executor.cache.pages.clear()
        await drawn(exact, TOKENS[:shared], settings, count=2)
        warm, stats = await drawn(exact, second, settings, count=20)
        assert (stats.cached_tokens, stats.prompt_tokens) == (cached, 120)
        assert warm == cold

    async def test_logits_behind_a_cached_prefix(self, exact: Engine, wanted: np.ndarray) -> None:
        await drawn(exact, TOKENS[:90], SETTINGS["greedy"], count=1)
        executor = exact.loaded.executor
        sequence = executor.cache.begin(TOKENS[:100])
        assert len(sequence.tokens) == 90
        async for _ in prefill(executor, sequence, TOKENS[90:100]):
            pass
        executor.go_on(sequence)
        executor.device.replay(await executor.decoder.plan("head"))
        assert np.abs(await read_logits(executor) - wanted[99]).max() < SAME
        executor.cache.pages.finish(sequence)

    async def test_a_prefix_that_several_share(self, exact: Engine) -> None:
        """A short common beginning and long different ends: none disturbs another."""
        settings = SamplingSettings(seed=3)
        system = TOKENS[:40]
        prompts = [
            [*system, *((token * 7 + i) % 256 for token in TOKENS[40:110])] for i in range(3)
        ]
        cold = []
        for prompt in prompts:
            exact.loaded.executor.cache.pages.clear()
            cold.append((await drawn(exact, prompt, settings, count=10))[0])
        exact.loaded.executor.cache.pages.clear()
        cached = []
        for _ in range(2):
            for prompt, alone in zip(prompts, cold, strict=True):
                tokens, stats = await drawn(exact, prompt, settings, count=10)
                assert tokens == alone
                cached.append(stats.cached_tokens)
        assert cached == [0, 32, 32, 109, 109, 109]

    async def test_an_answer_is_part_of_the_next_prompt(self, exact: Engine) -> None:
        """A conversation goes on: prompt and answer are in the cache, but for its last token."""
        settings = SamplingSettings(temperature=0)
        answer, _ = await drawn(exact, TOKENS[:50], settings, count=30)
        _, stats = await drawn(exact, [*TOKENS[:50], *answer, 65, 66], settings, count=1)
        assert stats.cached_tokens == 79

    async def test_old_conversations_make_room(self, exact: Engine) -> None:
        """More distinct prompts than the context has pages, each as if it were alone."""
        settings = SamplingSettings(seed=9)
        cold, _ = await drawn(exact, TOKENS[:100], settings, count=10)
        for i in range(8):
            await drawn(exact, [(token * 3 + i) % 256 for token in TOKENS[:130]], settings, count=1)
        executor = exact.loaded.executor
        pages = executor.cache.pages
        assert pages.used <= pages.capacity == executor.layout.max_pages == 16
        again, stats = await drawn(exact, TOKENS[:100], settings, count=10)
        assert stats.cached_tokens == 0
        assert again == cold


async def test_a_context_is_filled_to_its_last_position(exact: Engine) -> None:
    """The last token has a position too, the 500th, in the middle of a page."""
    text = tokens_of(SMALL, 500)
    wanted = forward(SMALL.config, weights_of(SMALL), text)
    seen = await generation_logits(exact, text, 470)
    assert np.abs(seen[:30] - wanted[469:499]).max() < SAME
    for prompt in (470, 470, 499):
        reply = await exact.completions.create(
            prompt=text[:prompt], max_tokens=1000, temperature=0, ignore_eos=True
        )
        assert reply.usage.completion_tokens == 500 - prompt
        assert reply.choices[0].finish_reason == "length"
    assert np.abs((await exact.logits(text))[-2:] - wanted[-2:]).max() < SAME
