"""The two oracles agree: numpy's forward pass gives transformers' logits, from the same weights."""

from __future__ import annotations

import pytest
from expected import Expected
from made_models import FORMATS, MIXED, Q4_K_M, SPECS, Spec, checksum, tokens_of, weights_of
from reference import forward, stored_as


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_made_models(spec: Spec) -> None:
    expected, more = Expected.load(spec.name)
    weights = weights_of(spec)
    assert checksum(weights) == more["checksum"], "these are not the fixture's weights"
    assert expected.error(forward(spec.config, weights, tokens_of(spec))) < 5e-5


@pytest.mark.parametrize("fmt", ["f32", "f16", "bf16", "q4_0", "q4_1", "q8_0"])
def test_stored_weights(fmt: str) -> None:
    expected, more = Expected.load(f"formats-{fmt}")
    weights = stored_as(fmt, weights_of(FORMATS))
    assert checksum(weights) == more["checksum"], "these are not the fixture's weights"
    tokens = tokens_of(FORMATS, len(expected.values))
    assert expected.error(forward(FORMATS.config, weights, tokens)) < 5e-5


def test_formats_mixed() -> None:
    expected, more = Expected.load("formats-q4_k_m")
    weights = stored_as("q4_k", weights_of(MIXED), apart=Q4_K_M)
    assert checksum(weights) == more["checksum"], "these are not the fixture's weights"
    tokens = tokens_of(MIXED, len(expected.values))
    assert expected.error(forward(MIXED.config, weights, tokens)) < 5e-5
