"""Answers under schemas that were given before take little of the host: beside any text, on a GPU
that is simulated, with every token checked against its mask."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from simulated_gpu import Simulation

SHARE = 0.7


@pytest.fixture(scope="module")
def simulation() -> Iterator[Simulation]:
    with Simulation() as made:
        made.rate("free1")  # compiles, imports
        yield made


@pytest.mark.parametrize("name", ["list1", "object2"])
def test_an_answer_that_was_given_before(simulation: Simulation, name: str) -> None:
    for _ in range(2):
        simulation.rate(name)
    again = [simulation.rate(name) for _ in range(3)]
    ends = name == "object2"
    assert simulation.device.counts["stalls"] <= ends, "only behind the end"
    assert max(again) > SHARE * simulation.rate("free1")


@pytest.mark.parametrize(
    "name", ["list1/logprobs", "list1/min_tokens", "list1+list2+list3", "object1+object3/logprobs"]
)
def test_several_answers_and_what_is_asked_of_each_token(simulation: Simulation, name: str) -> None:
    """They wait for no token, either."""
    simulation.rate(name)
    again = [simulation.rate(name) for _ in range(2)]
    ends = name.startswith("object")
    assert simulation.device.counts["stalls"] <= ends
    texts = name.count("+") + 1
    assert max(again) > SHARE * texts * simulation.rate("free1")


@pytest.mark.parametrize(("first", "new"), [("plain1", "plain2"), ("object1", "object4")])
def test_first_answers_and_new_texts_hardly_wait(
    simulation: Simulation, first: str, new: str
) -> None:
    """The host tells of what is near before a text comes there."""
    simulation.rate(first)
    assert simulation.device.counts["stalls"] < 10
    simulation.rate(new)
    assert simulation.device.counts["stalls"] < 5
    assert simulation.device.counts["reads"] < 48
