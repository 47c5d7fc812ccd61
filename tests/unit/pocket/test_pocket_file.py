"""The pocket model's file as it ships."""

from __future__ import annotations

from pathlib import Path

import pytest

from demo.pocket.metadata import Config, metadata
from webllm_py.checkpoint import Checkpoint, open_checkpoint

FILE = Path(__file__).parents[3] / "demo" / "pocket" / "pocket.gguf"
LIMIT = 5_500_000


@pytest.fixture
async def checkpoint() -> Checkpoint:
    if not FILE.is_file():
        pytest.skip(f"the pocket model has not been trained yet: {FILE} is missing")
    opened = await open_checkpoint(str(FILE))
    await opened.close()
    return opened


async def test_it_is_small_enough_to_ship(checkpoint: Checkpoint) -> None:
    assert FILE.stat().st_size <= LIMIT


async def test_its_keys_are_those_of_the_sources(checkpoint: Checkpoint) -> None:
    for key, value, _ in metadata(Config()):
        found = checkpoint.metadata[key]
        assert found == (pytest.approx(value) if isinstance(value, float) else value), key


async def test_matrices_are_q8_0_and_norms_f32(checkpoint: Checkpoint) -> None:
    config = Config()
    assert len(checkpoint.tensors) == 2 + 9 * config.layers
    assert checkpoint.tensors["token_embd.weight"].shape == (config.vocab, config.dim)
    for tensor in checkpoint.tensors.values():
        assert tensor.format.name == ("Q8_0" if len(tensor.shape) == 2 else "F32")
