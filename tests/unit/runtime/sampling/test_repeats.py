"""Rules about what repeats, against their definitions read word for word."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import Any

import pytest

from webllm_py.runtime.sampling.repeats import DryRule, NoRepeatedNgrams, TextRules
from webllm_py.runtime.sampling.settings import Dry, SamplingSettings

TEXTS = ["a", "b", "c", "\n", "x:", "ab", "end"]


def token_bytes(token: int) -> bytes:
    return TEXTS[token].encode()


@dataclass
class Words:
    """A vocabulary of ``TEXTS``."""

    end_ids: tuple[int, ...] = ()

    def token_bytes(self, id: int) -> bytes:
        return token_bytes(id)

    def encode(self, text: str, *, parse_special: bool) -> list[int]:
        raise NotImplementedError


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_no_ngram_twice(size: int) -> None:
    """Transformers' rule: a token is banned if the n-gram that it would end is there already."""
    rng = random.Random(size)
    rule, text = NoRepeatedNgrams(size), []
    banned = 0
    for _ in range(120):
        grams = {tuple(text[i : i + size]) for i in range(len(text) - size + 1)}
        tail = tuple(text[len(text) - size + 1 :]) if size > 1 else ()
        expected = {t for t in range(len(TEXTS)) if (*tail, t) in grams}
        assert set(rule.biases()) == expected
        assert all(bias < -1e20 for bias in rule.biases().values())
        banned += len(expected)
        text.append(rng.randrange(3))
        rule.accept(text[-1])
    assert banned


def dry_by_definition(tokens: list[int], dry: Dry) -> dict[int, float]:
    """Of every earlier place, how long a run before it is the run that the text ends with."""
    window = tokens[len(tokens) - dry.last_n :] if 0 <= dry.last_n < len(tokens) else tokens
    penalties: dict[int, float] = {}
    for place in range(1, len(window)):
        length = 0
        while length < place and window[place - 1 - length] == window[-1 - length]:
            if any(b in TEXTS[window[-1 - length]] for b in dry.breakers):
                break
            length += 1
        if length >= dry.allowed_length:
            penalty = dry.multiplier * dry.base ** (length - dry.allowed_length)
            penalties[window[place]] = max(penalty, penalties.get(window[place], 0.0))
    return penalties


@pytest.mark.parametrize("seed", range(6))
def test_dry(seed: int) -> None:
    rng = random.Random(seed)
    dry = Dry(
        multiplier=0.8,
        base=rng.choice([1.0, 1.75]),
        allowed_length=rng.choice([1, 2, 4]),
        last_n=rng.choice([-1, 12, 40]),
    )
    rule, tokens, lengths = DryRule(dry, token_bytes), [], set()
    for _ in range(150):
        tokens.append(rng.choice([0, 0, 1, 1, 2, 3, 4]) if rng.random() < 0.4 else
                      tokens[-5] if len(tokens) > 4 else 0)  # fmt: skip
        rule.accept(tokens[-1])
        expected = dry_by_definition(tokens, dry)
        assert {t: -b for t, b in rule.biases().items()} == pytest.approx(expected)
        lengths |= set(expected.values())
    assert len(lengths) > 1 or dry.base == 1


@pytest.mark.parametrize("seed", range(20))
def test_dry_of_a_prompt(seed: int) -> None:
    """Of which nobody asks before its end, and of what is drawn behind it."""
    rng = random.Random(seed)
    dry = Dry(multiplier=0.8, allowed_length=1, last_n=rng.choice([-1, 12]), breakers=("\n",))
    rule, tokens = DryRule(dry, token_bytes), list[int]()
    for place in range(90):
        choices = [0, 1, 0, 1, 3] if seed % 2 else [0, 0, 0, 0, 0, 0, 0, 1, 3]
        tokens.append(rng.choice(choices))
        rule.accept(tokens[-1])
        if place > seed:
            expected = dry_by_definition(tokens, dry)
            assert {t: -b for t, b in rule.biases().items()} == pytest.approx(expected)


def test_a_long_prompt_of_one_token_takes_no_longer_than_others() -> None:
    """Following each repetition, it took its length squared: 800 million steps here."""
    rule = DryRule(Dry(multiplier=1.0), token_bytes)
    began = time.process_time()
    for _ in range(40_000):
        rule.accept(0)
    assert rule.biases()[0] < -1e29
    assert time.process_time() - began < 5


def test_a_breaker_that_several_tokens_spell() -> None:
    """ "ca" is no token: it ends a repetition where it ends."""
    free, cut = (
        DryRule(Dry(multiplier=1.0, allowed_length=1, breakers=b), token_bytes)
        for b in ((), ("ca",))
    )
    for token in (1, 2, 0, 1, 6, 1, 2, 0, 1):
        free.accept(token)
        cut.accept(token)
    assert free.biases()[6] == -(1.75**3)
    assert cut.biases()[6] == -1


def test_an_endless_repetition_has_a_finite_penalty() -> None:
    rule = DryRule(Dry(multiplier=5.0, base=1000.0), token_bytes)
    for _ in range(500):
        rule.accept(0)
    assert rule.biases() == {0: -1e30}


def test_only_what_changes_is_told() -> None:
    settings = SamplingSettings(no_repeat_ngram_size=2, logit_bias={1: 4.0, 5: 1.0})
    rules = TextRules(settings, [0, 1, 0], Words())
    first = rules.changes()
    assert set(first) == {1} and first[1] < -1e20
    assert rules.changes() == {}
    rules.accept(2)
    assert rules.changes() == {1: 4.0}


@pytest.mark.parametrize(
    ("fields", "needed"),
    [({}, False), ({"no_repeat_ngram_size": 3}, True), ({"dry": Dry(multiplier=1.0)}, True)],
)
def test_settings_say_whether_there_are_rules(fields: dict[str, Any], needed: bool) -> None:
    assert SamplingSettings(**fields).has_rules is needed
