"""Settings about what is in the text so far, or how long it is, in whole answers."""

from __future__ import annotations

from typing import Any

import pytest
from engine_tools import EOS, PRINTABLE_ONLY, said

from webllm_py import Engine


async def test_no_ngram_comes_twice(engine: Engine) -> None:
    free = await said(engine, prompt="ababab", max_tokens=60, logit_bias={97: 9, 98: 9, 99: 8.5})
    assert len({free[i : i + 2] for i in range(59)}) < 20
    for size in (1, 2, 3):
        text = "ababab" + await said(
            engine, prompt="ababab", max_tokens=60, no_repeat_ngram_size=size
        )
        grams = [text[i : i + size] for i in range(len(text) - size + 1)]
        new = grams[6 - size + 1 :]
        assert len(set(new)) == len(new) and not set(new) & set(grams[: 6 - size + 1])


async def test_dry_ends_a_repetition(engine: Engine) -> None:
    """A token that always wins, until it has repeated itself too often."""
    fields: dict[str, Any] = {"max_tokens": 40, "logit_bias": {**PRINTABLE_ONLY, 65: 30.0}}
    assert await said(engine, **fields) == "A" * 40
    text = await said(engine, dry_multiplier=2.0, dry_allowed_length=4, **fields)
    longest = max(map(len, "".join(c if c == "A" else " " for c in text).split()))
    # 2 * 1.75 ** 5 is more than the bias can be ahead by: eight repeat the seven before them.
    assert 5 <= longest <= 11
    assert await said(engine, dry_multiplier=2.0, dry_sequence_breakers=["A"], **fields) == "A" * 40


@pytest.mark.parametrize("fields", [{}, {"no_repeat_ngram_size": 30}, {"n": 2}])
async def test_no_end_before_min_tokens(engine: Engine, fields: dict[str, Any]) -> None:
    """An end token that always wins, as soon as it may be drawn."""
    for least in (0, 1, 7, 20):
        reply = await engine.completions.create(
            prompt="Once",
            max_tokens=30,
            min_tokens=least,
            logit_bias={**PRINTABLE_ONLY, EOS: 100},
            **fields,
        )
        for choice in reply.choices:
            assert (len(choice.text), choice.finish_reason) == (least, "stop")


async def test_no_stop_string_before_min_tokens(engine: Engine) -> None:
    text = await said(engine, max_tokens=40)
    stop = next(c for c in text[:20] if c in text[20:])
    place = text.find(stop, 20)
    assert await said(engine, max_tokens=40, stop=stop, min_tokens=20) == text[:place]
    assert await said(engine, max_tokens=40, stop=stop) == text[: text.find(stop)]


async def test_min_tokens_of_a_grammar(engine: Engine) -> None:
    """The text may end at once, and must at last."""
    for least, length in ((0, 0), (3, 3), (9, 6)):
        reply = await engine.completions.create(
            prompt="Once",
            max_tokens=30,
            min_tokens=least,
            response_format={"type": "regex", "regex": "[ab]{0,6}"},
            logit_bias={EOS: 100},
        )
        assert len(reply.choices[0].text) == length


@pytest.mark.parametrize(
    "fields",
    [
        {"typical_p": 0.4},
        {"xtc_probability": 1.0, "xtc_threshold": 0.01},
        {"mirostat": 2, "mirostat_tau": 1.0},
        {"mirostat": 1, "mirostat_tau": 4.0},
    ],
)
async def test_cuts_of_several_answers_and_of_guesses(
    engine: Engine, fields: dict[str, Any]
) -> None:
    """Each of them draws what it would alone; guessing or not is the same."""
    common = {"prompt": "Once", "max_tokens": 24, "seed": 11, "logit_bias": PRINTABLE_ONLY}
    plain = await engine.completions.create(**common)
    three = await engine.completions.create(**common, n=3, **fields)
    one = await engine.completions.create(**common, prompt_lookup=False, **fields)
    texts = [choice.text for choice in three.choices]
    assert texts[0] == one.choices[0].text != plain.choices[0].text
    assert len(set(texts)) == 3


@pytest.mark.parametrize(
    "fields",
    [
        {"no_repeat_ngram_size": 2},
        {"response_format": {"type": "regex", "regex": "([a-m]{3,9}[n-z]){1,4}"}},
        {"response_format": {"type": "regex", "regex": "[ab]{0,30}c"}, "logprobs": 2},
    ],
    ids=["rule", "grammar", "logprobs"],
)
async def test_several_answers_with_python_in_between(
    engine: Engine, fields: dict[str, Any]
) -> None:
    """Decoded together, each is what it would be alone, wherever the others end."""
    device = engine.loaded.owner.device
    common = {"prompt": "Once", "max_tokens": 40, "temperature": 1.3, **fields}
    before = device.n_submits
    four = await engine.completions.create(**common, seed=3, n=4)
    together = device.n_submits - before
    assert (
        len({len(choice.text) for choice in four.choices}) > 1 or "no_repeat_ngram_size" in fields
    )
    before = device.n_submits
    for number, choice in enumerate(four.choices):
        alone = (await engine.completions.create(**common, seed=3 + number)).choices[0]
        assert (alone.text, alone.finish_reason) == (choice.text, choice.finish_reason)
        if choice.logprobs:
            assert choice.logprobs.tokens == alone.logprobs.tokens == list(choice.text)
    runs_ahead = "response_format" in fields
    assert runs_ahead or together < 0.7 * (device.n_submits - before)
