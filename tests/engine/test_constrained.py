"""Steps under a constraint that run ahead: the text is that of steps that wait for each token."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from webllm_py import Engine
from webllm_py.grammar import automaton as grammar_automaton
from webllm_py.grammar.automaton import Automaton, Sizes
from webllm_py.runtime.generation import constrained
from webllm_py.runtime.generation.constraints import Place
from webllm_py.runtime.generation.masks import HostMasks
from webllm_py.runtime.generation.run import Run
from webllm_py.runtime.generation.stepwise import Stepwise
from webllm_py.runtime.sampling.known_states import KnownStates

LIST = {
    "type": "array",
    "minItems": 3,
    "items": {
        "type": "object",
        "properties": {
            "name": {"type": "string", "minLength": 2, "maxLength": 12},
            "kind": {"enum": ["red", "reddish", "grün", None]},
            "sizes": {"type": "array", "items": {"type": "number"}, "maxItems": 3},
        },
        "required": ["name", "kind"],
    },
}
NESTED = 'root ::= "{" pair ("," pair)* "}"\npair ::= [a-z]+ ":" (root | [0-9]{1,3})'
FORMATS: dict[str, dict[str, Any]] = {
    "schema": {"type": "json_schema", "json_schema": {"name": "list", "schema": LIST}},
    "regex": {"type": "regex", "regex": '("[a-z ]{0,60}"[0-9]{2}){4}'},
    "gbnf": {"type": "grammar", "grammar": NESTED},
    "json": {"type": "json_object"},
}
SETTINGS: dict[str, dict[str, Any]] = {
    "greedy": {"temperature": 0},
    "sampled": {"temperature": 1.3, "seed": 4},
    "cut": {"temperature": 1.3, "seed": 5, "top_p": 0.9},
    "penalised": {"temperature": 1, "seed": 6, "frequency_penalty": 1},
}


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether the steps of each read-back ended in a stall."""
    found: list[bool] = []
    next_read = Run.next_read

    async def noted(self: Run) -> Any:
        read = await next_read(self)
        found.append(self.stalled)
        return read

    monkeypatch.setattr(Run, "next_read", noted)
    return found


async def text_of(engine: Engine, **fields: Any) -> str:
    reply = await engine.completions.create(**{"prompt": "Once", "max_tokens": 60, **fields})
    return str(reply.choices[0].text)


async def answers_of(engine: Engine, **fields: Any) -> list[tuple[str, str, list[str], Any]]:
    """Texts, how they end, and tokens with what can be compared of their log-probabilities."""
    fields = {"prompt": "Once", "max_tokens": 50, "logprobs": 2, **fields}
    reply = await engine.completions.create(**fields)
    found = []
    for choice in reply.choices:
        scores = choice.logprobs
        tops = [top.values() for top in scores.top_logprobs]
        values = [[own, *top] for own, top in zip(scores.token_logprobs, tops, strict=True)]
        found.append((choice.text, choice.finish_reason, scores.tokens, np.array(values)))
    return found


def check_same(found: list[Any], expected: list[Any]) -> None:
    for one, other in zip(found, expected, strict=True):
        assert one[:3] == other[:3]
        np.testing.assert_allclose(one[3], other[3], atol=2e-2)


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("form", FORMATS)
async def test_the_text_is_that_of_single_steps(
    engine: Engine,
    form: str,
    settings: str,
    reads: list[bool],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also where nothing is known beforehand, and where all of it is."""
    fields = {"response_format": FORMATS[form], **SETTINGS[settings]}
    engine.loaded.token_masks.forget_states()
    with monkeypatch.context() as changed:
        changed.setattr(KnownStates, "explore", lambda self, state, seconds: 0.0)
        first = await text_of(engine, **fields)
    stalls = sum(reads)
    reads.clear()
    assert await text_of(engine, **fields) == first
    # All states are known, but what follows the end, and what leaves no choice.
    assert sum(reads) <= (12 if form == "schema" else 2)
    assert sum(reads) <= stalls
    monkeypatch.setattr(Stepwise, "needed", True)
    assert await text_of(engine, **fields) == first


TOGETHER: dict[str, dict[str, Any]] = {
    "log-probabilities": {"temperature": 1.3, "seed": 7},
    "several": {"temperature": 1.3, "seed": 8, "n": 3},
    "several, cut": {"temperature": 1.2, "seed": 9, "n": 3, "top_k": 30, "frequency_penalty": 1},
}


@pytest.mark.parametrize("settings", TOGETHER)
@pytest.mark.parametrize("form", ["schema", "gbnf"])
async def test_so_it_is_with_log_probabilities_and_of_several_answers(
    engine: Engine,
    form: str,
    settings: str,
    reads: list[bool],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Token by token, also those that leave no choice."""
    fields = {"response_format": FORMATS[form], **TOGETHER[settings]}
    engine.loaded.token_masks.forget_states()
    first = await answers_of(engine, **fields)
    assert sum(map(bool, first[0][2])) > 20
    reads.clear()
    check_same(await answers_of(engine, **fields), first)
    assert sum(reads) <= 2 * len(first), "only behind the end"
    assert await text_of(engine, **fields, max_tokens=50) == first[0][0]
    monkeypatch.setattr(Stepwise, "needed", True)
    check_same(await answers_of(engine, **fields), first)


async def test_where_one_of_several_stops_the_others_go_on(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever they are, within a text that leaves no choice too."""
    within, stand = set[int](), KnownStates.stand

    def noted(self: KnownStates, places: Any, least: int) -> None:
        within.update(spelled for _, spelled in places.values())
        stand(self, places, least)

    monkeypatch.setattr(KnownStates, "stand", noted)
    form = {"type": "regex", "regex": '([a-z]{1,9}, which is "one of them"; ){3}'}
    fields = {"response_format": form, "temperature": 1.3, "seed": 8, "n": 3}
    whole = await answers_of(engine, **fields)
    text = whole[1][0]
    for size in (2, 5, text.index("; ") + 3, text.index("; ") + 4):
        cut = await answers_of(engine, **fields, stop=text[size : size + 3])
        assert cut[1][0] == text[:size]
        check_same([cut[0], cut[2]], [whole[0], whole[2]])
    assert max(within) > 0


@pytest.mark.parametrize("n", [1, 2])
async def test_a_text_does_not_end_early(
    engine: Engine, n: int, reads: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """But where it cannot go on."""
    bias = {str(token): 100 for token in engine.tokenizer.end_ids}
    fields = {"temperature": 1.2, "seed": 5, "min_tokens": 18, "n": n, "logit_bias": bias}
    forms = {"regex": "[a-z ]{2,300}"}, {"regex": "[a-z]{3} [0-9]{3}"}
    texts = []
    for again in range(2):
        for form in forms:
            reads.clear()
            reply = await engine.completions.create(
                prompt="Once", response_format={"type": "regex", **form}, max_tokens=60, **fields
            )
            texts.append([choice.text for choice in reply.choices])
            assert {choice.finish_reason for choice in reply.choices} == {"stop"}
            if form is forms[0]:
                assert reply.usage.completion_tokens == 19 * n
                assert again or len(reads) < 18
            else:
                assert {len(text) for text in texts[-1]} == {7}
        monkeypatch.setattr(Stepwise, "needed", True)
    assert texts[:2] == texts[2:]


async def test_what_leaves_no_choice_is_drawn_or_computed_together(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields = {"response_format": FORMATS["schema"], "temperature": 1, "seed": 2}
    texts = []
    for longest in (1, 7):
        engine.loaded.token_masks.forget_states()
        monkeypatch.setattr(constrained, "LONGEST_ON_CPU", longest)
        texts += [await text_of(engine, **fields) for _ in range(2)]
    assert len(set(texts)) == 1
    engine.loaded.token_masks.forget_states()


async def test_what_is_near_is_known_before(engine: Engine, reads: list[bool]) -> None:
    """So the first answer under a schema hardly stalls."""
    fields = {"response_format": FORMATS["schema"], "temperature": 1.3, "seed": 3}
    engine.loaded.token_masks.forget_states()
    await text_of(engine, **fields, max_tokens=40)
    assert sum(reads) < 12, "not one a token"


async def test_there_is_room_for_little(
    engine: Engine, reads: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then all is forgotten now and then, and where a state alone is too much, the host waits for
    each token; the text stays the same, the cache right."""
    fields = {"response_format": FORMATS["json"], "temperature": 1.2, "seed": 9}
    text = await text_of(engine, **fields)
    clear, cleared = Automaton.clear, []
    one, alone = constrained.Constrained._one, []

    def noted(self: Automaton) -> None:
        cleared.append(self)
        clear(self)

    def counted(self: constrained.Constrained) -> Any:
        alone.append(self)
        return one(self)

    monkeypatch.setattr(Automaton, "clear", noted)
    monkeypatch.setattr(constrained.Constrained, "_one", counted)
    for room in (1500, 10):
        cleared.clear()
        engine.loaded.token_masks.forget_states()
        sizes = Sizes(words=Sizes().records_at + room)
        monkeypatch.setattr(grammar_automaton, "Sizes", lambda sizes=sizes: sizes)
        assert await text_of(engine, **fields) == text
        assert len(cleared) > 1, "once to begin with"
        assert alone or room > 10
    engine.loaded.token_masks.forget_states()
    warm = await text_of(engine, prompt="Once" + text, temperature=0, max_tokens=12)
    engine.loaded.executor.cache.pages.clear()
    assert await text_of(engine, prompt="Once" + text, temperature=0, max_tokens=12) == warm


async def test_an_answer_that_is_stopped_leaves_nothing_behind(engine: Engine) -> None:
    fields = {"response_format": FORMATS["json"], "temperature": 1.2, "seed": 9}
    text = await text_of(engine, **fields)
    assert await text_of(engine, **fields, stop=text[6:9]) == text[: text.index(text[6:9])]
    assert await text_of(engine, **fields) == text


async def test_why_a_token_was_refused_is_looked_at_once(
    engine: Engine, reads: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the other answer goes on: looking reads all logits."""
    looked: list[int] = []
    taken: dict[int, int] = {}
    accept = Place.accept

    async def check(self: HostMasks, run: Run, index: int) -> None:
        looked.append(index)

    def refusing(self: Place, token: int) -> bool:
        taken[id(self)] = taken.get(id(self), 0) + 1
        is_first = id(self) == next(iter(taken))
        return not (is_first and taken[id(self)] > 3) and accept(self, token)

    monkeypatch.setattr(HostMasks, "check_refused", check)
    monkeypatch.setattr(Place, "accept", refusing)
    form = {"type": "regex", "regex": "[a-z ]{40,60}"}
    fields = {"response_format": form, "temperature": 1.2, "seed": 5, "n": 2, "max_tokens": 30}
    reply = await engine.completions.create(prompt="Once", **fields)
    assert [len(choice.text) for choice in reply.choices] == [3, 30]
    assert len(reads) > 2 and len(looked) == 1
