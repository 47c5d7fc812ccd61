"""States of layers without attention: what goes on from a cached one is what is computed from
nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from engine_tools import Teacher
from executor_tools import drawn, drawn_together
from family_files import write_family_folder
from family_gguf import write_family_gguf
from family_models import FAMILY_MODELS
from made_families import FamilyModel, Recorded

import webllm_py
from webllm_py import CorruptCheckpointError, Engine, RequestError
from webllm_py.checkpoint import open_checkpoint
from webllm_py.gpu import Device
from webllm_py.loading import decoder
from webllm_py.models import model_for
from webllm_py.runtime import executor
from webllm_py.runtime.kv import hybrid
from webllm_py.runtime.kv.hybrid import HybridCache
from webllm_py.runtime.memory import plan_memory
from webllm_py.runtime.sampling.settings import SamplingSettings

QWEN = FAMILY_MODELS["qwen3.5"]
MODELS = (QWEN, FAMILY_MODELS["lfm2"])
BOOKKEEPING = (
    "test_steps_past_a_stop_are_not_gone_on_from",
    "test_grammars_and_rules",
    "test_marks_make_room",
)
TOKENS = QWEN.tokens(0)
CHUNK = 32
TOLERANCE = 5e-5
GREEDY, SAMPLED = SamplingSettings(temperature=0), SamplingSettings(seed=3)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """``model``: delta nets; and short convolutions, where it is more than bookkeeping."""
    if "model" in metafunc.fixturenames:
        models = MODELS[:1] if metafunc.function.__name__ in BOOKKEEPING else MODELS
        metafunc.parametrize("model", models, ids=lambda model: model.name, scope="module")


@pytest.fixture(scope="module")
def folder(model: FamilyModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    recorded = Recorded.load(model.name)
    weights = model.weights(recorded.shapes)
    return write_family_folder(tmp_path_factory.mktemp("hybrid") / "model", recorded, weights)


@pytest.fixture(scope="module")
async def engine(folder: Path, plain_device: Device) -> AsyncIterator[Engine]:
    """All of float32, short chunks, and room for few snapshots."""
    tuning_for = decoder.tuning_for
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoder, "tuning_for", lambda d: replace(tuning_for(d), chunk=CHUNK))
        patch.setattr(executor, "LONG_PROMPTS", ())
        patch.setattr(hybrid, "MOST_SNAPSHOTS", 8)
        loaded = await webllm_py.load(folder, device=plain_device, kv_dtype="f32")
    async with loaded:
        yield loaded


@pytest.fixture
def own(engine: Engine) -> Engine:
    """The engine with an empty cache."""
    engine.loaded.executor.cache.pages.clear()
    return engine


async def taught(engine: Engine, tokens: Sequence[int], prompt: int) -> tuple[np.ndarray, int]:
    """Logits behind the positions from ``prompt - 1`` on, and how many tokens were cached."""
    teacher = Teacher([*tokens[prompt:], 0])
    reply = await engine.completions.create(
        prompt=list(tokens[:prompt]),
        max_tokens=len(tokens) - prompt + 1,
        temperature=0,
        ignore_eos=True,
        logits_processors=[teacher],
    )
    return np.array(teacher.seen), reply.usage.prompt_tokens_details.cached_tokens


def other(tokens: Sequence[int], n: int) -> list[int]:
    """The first ``n`` tokens, then some that differ."""
    return [*tokens[:n], *((token + 1) % 250 for token in tokens[n:])]


async def test_prefixes_go_on_from_marks(own: Engine) -> None:
    """At the end of a chunk, near the end of a prompt, and from nothing where there is no mark."""
    await drawn(own, TOKENS[:110], SAMPLED, count=20)
    cases = [(TOKENS, 96), (TOKENS[:97], 64), (other(TOKENS, 70), 64), (other(TOKENS, 31), 0)]
    for tokens, cached in cases:
        exact = await own.logits(tokens)
        seen, reused = await taught(own, tokens, len(tokens) - 6)
        assert reused == cached
        assert np.abs(seen - exact[len(tokens) - 7 :]).max() < TOLERANCE


async def test_steps_past_a_stop_are_not_gone_on_from(own: Engine) -> None:
    """They have changed the state of a conversation that goes on from the tokens before."""
    answer, _ = await drawn(own, TOKENS[:75], SAMPLED, count=40, ends={0: 9})
    follow = [*TOKENS[:75], *answer[:9], *TOKENS[80:120]]
    warm, stats = await drawn(own, follow, SAMPLED, count=30)
    assert stats.cached_tokens == 64
    own.loaded.executor.cache.pages.clear()
    assert (await drawn(own, follow, SAMPLED, count=30))[0] == warm


async def test_answers_decoded_together(own: Engine) -> None:
    """Each has a state, whichever ends first."""
    settings = [replace(SAMPLED, seed=seed) for seed in range(3)]
    alone = [(await drawn(own, TOKENS[:50], one, count=25))[0] for one in settings]
    together, _ = await drawn_together(own, TOKENS[:50], settings, count=25, ends={1: 4})
    assert [answer[: len(alone[i])] for i, answer in enumerate(together) if i != 1] == [
        alone[0],
        alone[2],
    ]
    assert alone[1][:4] == together[1][:4]


async def test_requests_decoded_together(own: Engine) -> None:
    async def text(prompt: list[int], seed: int) -> str:
        reply = await own.completions.create(
            prompt=prompt, max_tokens=24, seed=seed, ignore_eos=True
        )
        found: str = reply.choices[0].text
        return found

    prompts = [TOKENS[:70], other(TOKENS, 40)[:90], TOKENS[:9], TOKENS[3:80]]
    alone = []
    for i, prompt in enumerate(prompts):
        own.loaded.executor.cache.pages.clear()
        alone.append(await text(prompt, i))
    own.loaded.executor.cache.pages.clear()
    assert await asyncio.gather(*(text(p, i) for i, p in enumerate(prompts))) == alone
    assert not own.loaded.executor.cache.pages.running


async def test_grammars_and_rules(own: Engine) -> None:
    """Text that is certain goes through the model at once; under rules answers are made one by
    one, under a grammar together, wherever one of them ends."""
    asked = {
        "prompt": TOKENS[:50],
        "max_tokens": 20,
        "seed": 4,
        "n": 2,
        "response_format": {"type": "regex", "regex": "(a certain text|b+) [0-9]{3}"},
    }
    warm = await own.completions.create(**asked)
    own.loaded.executor.cache.pages.clear()
    cold = await own.completions.create(**asked)
    assert [c.text for c in warm.choices] == [c.text for c in cold.choices]
    assert len({c.text for c in warm.choices}) == 2
    asked |= {"seed": 5, "response_format": {"type": "regex", "regex": "[a-m]{1,12}[n-z]"}}
    both = [c.text for c in (await own.completions.create(**asked)).choices]
    alone = [
        (await own.completions.create(**{**asked, "n": 1, "seed": seed})).choices[0].text
        for seed in (5, 6)
    ]
    assert both == alone and len({*map(len, both)}) == 2
    rules = {"prompt": TOKENS[:50], "max_tokens": 20, "seed": 4, "no_repeat_ngram_size": 2}
    both = await own.completions.create(**rules, n=2)
    assert both.choices[0].text == (await own.completions.create(**rules)).choices[0].text


async def test_forked_rewound_and_saved(
    own: Engine, folder: Path, plain_device: Device, tmp_path: Path
) -> None:
    settings = SamplingSettings(seed=8)
    answer, _ = await drawn(own, TOKENS[:75], settings, count=12)
    text = [*TOKENS[:75], *answer[:11]]  # the last one was not computed
    expected = await drawn(own, [*text, 65, 66], settings, count=20)
    own.loaded.executor.cache.pages.clear()
    await drawn(own, TOKENS[:75], settings, count=12)
    assert await own.fork() == len(text)
    assert await own.rewind(6) == text[:-6]
    state = await own.save_state(tmp_path / "state")
    for _ in range(2):
        found, stats = await drawn(own, [*text, 65, 66], settings, count=20)
        assert found == expected[0] and stats.cached_tokens >= 64
    async with await webllm_py.load(folder, device=plain_device, kv_dtype="f32") as engine:
        loaded = engine.loaded
        plan = plan_memory(loaded.executor.model, loaded.owner.device, kv_format="f32")
        assert plan.loaded == pytest.approx(engine.info["gpu_memory"], rel=0.01)
        assert plan.later == loaded.executor.cache.later_bytes > 0
        assert await engine.load_state(state) == len(text) - 6
        found, stats = await drawn(engine, [*text, 65, 66], settings, count=20)
        assert found == expected[0] and stats.cached_tokens == len(text) - 6
        assert await engine.save_state() != state


async def test_marks_make_room(own: Engine) -> None:
    """For others, oldest first; none for good."""
    cache = own.loaded.executor.cache
    assert isinstance(cache, HybridCache)
    most = max(cache.states.capacity, cache.most_snapshots + 1)
    for i in range(6):
        await drawn(own, [i, *TOKENS[:100]], GREEDY, count=2)
    assert cache.states.capacity <= most < 6 * 3
    assert (await taught(own, [5, *TOKENS[:60]], 50))[1] == 32
    cache.pages.clear()
    assert cache.states.taken == 0


async def test_layers_that_draft(tmp_path: Path) -> None:
    """llama.cpp counts them with the others; they are not run."""
    recorded = Recorded.load(QWEN.name)
    path = tmp_path / "model.gguf"
    write_family_gguf(path, QWEN, recorded, QWEN.weights(recorded.shapes))
    checkpoint = await open_checkpoint(path)
    await checkpoint.close()
    drafts = {"qwen35.block_count": 9, "qwen35.nextn_predict_layers": 1}
    anything = checkpoint.tensors["output_norm.weight"]
    model = model_for(
        replace(
            checkpoint,
            metadata={**checkpoint.metadata, **drafts},
            tensors={**checkpoint.tensors, "blk.8.nextn.enorm.weight": anything},
        )
    )
    assert model.config.n_layers == 8 and len(model.config.layer_kinds) == 8
    with pytest.raises(CorruptCheckpointError, match="9 of its 9 layers draft"):
        drafts["qwen35.nextn_predict_layers"] = 9
        model_for(replace(checkpoint, metadata={**checkpoint.metadata, **drafts}))


async def test_inspected(model: FamilyModel, own: Engine) -> None:
    """Layers with states have hidden rows, and no attention."""
    exact = await own.logits(TOKENS[:70])
    found = await own.inspect(TOKENS[:70], output_logits=True, output_attentions=True)
    assert found.layers == ([3, 7] if model is QWEN else [2, 4])
    assert found.attentions.shape[0] == 2
    np.testing.assert_allclose(found.logits, exact, rtol=0, atol=TOLERANCE)
    kind = "delta net" if model is QWEN else "short convolution"
    with pytest.raises(RequestError, match=f"layer 1 is a gated {kind}: it has a state"):
        await own.inspect(TOKENS[:9], output_attentions=True, layers=[1])
