"""Random models: the sizes of real ones, values that keep activations finite."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from webllm_py.checkpoint import open_checkpoint
from webllm_py.models import model_for
from webllm_py.random_models import gguf
from webllm_py.random_models.gguf import Pool, add_tensors, write_random_model
from webllm_py.random_models.shapes import FORMATS, SHAPES
from webllm_py.tokenizer import from_gguf

# As their model cards and safetensors headers count them.
PARAMETERS = {
    "qwen2.5-0.5b": 494_032_768,
    "qwen2.5-1.5b": 1_543_714_304,
    "qwen2.5-7b": 7_615_616_512,
    "llama-3.2-1b": 1_235_814_400,
    "llama-3.2-3b": 3_212_749_824,
    "llama-3.1-8b": 8_030_261_248,
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_shape_has_the_parameters_of_its_model(name: str) -> None:
    counted = 0

    class Counter:
        def add_tensor(self, name: str, shape: tuple[int, ...], format: str, data: Any) -> None:
            nonlocal counted
            counted += math.prod(shape)

    add_tensors(Counter(), SHAPES[name], "Q4_0")  # type: ignore[arg-type]
    assert counted == PARAMETERS[name]


@pytest.mark.parametrize("name", ["tiny", "pocket"])
@pytest.mark.parametrize("format", FORMATS)
async def test_a_random_model_is_a_model(name: str, format: str, tmp_path: Path) -> None:
    path = tmp_path / "new" / "model.gguf"
    write_random_model(path, "a name", SHAPES[name], format)
    checkpoint = await open_checkpoint(path)
    model = model_for(checkpoint)
    tokenizer = from_gguf(checkpoint.metadata)
    await checkpoint.close()
    shape = SHAPES[name]
    assert checkpoint.name == "a name"
    assert next(iter(model.formats)) == format.upper()
    assert (model.config.hidden_size, model.config.n_layers) == (shape.hidden, shape.layers)
    assert (model.config.vocab_size, tokenizer.vocab_size) == (shape.vocab, shape.vocab)
    assert model.tied
    assert tokenizer.decode(tokenizer.encode("Grüße, 世界!\n")) == "Grüße, 世界!\n"
    assert not path.with_name("model.gguf.partial").exists()


def values_of(data: bytes, format: str) -> np.ndarray:
    """The numbers of blocks, by the GGUF specification."""
    if format == "F16":
        return np.frombuffer(data, np.float16).astype(np.float64)
    size = {"Q4_0": 18, "Q4_1": 20, "Q8_0": 34}[format]
    blocks = np.frombuffer(data, np.uint8).reshape(-1, size)
    scale = blocks[:, :2].copy().view(np.float16).astype(np.float64)
    if format == "Q8_0":
        return (scale * blocks[:, 2:].view(np.int8)).ravel()
    quants = blocks[:, 2 if format == "Q4_0" else 4 :]
    levels = np.concatenate([quants & 15, quants >> 4], axis=1).astype(np.float64)
    if format == "Q4_0":
        return (scale * (levels - 8)).ravel()
    least = blocks[:, 2:4].copy().view(np.float16).astype(np.float64)
    return (scale * levels + least).ravel()


@pytest.mark.parametrize("format", [name.upper() for name in FORMATS])
@pytest.mark.parametrize(("columns", "gain"), [(896, 1.0), (4864, 1.0), (2048, 3.0)])
def test_values_have_the_deviation_that_keeps_activations(
    format: str, columns: int, gain: float
) -> None:
    values = values_of(b"".join(Pool(format).data(100, columns, gain)), format)
    assert values.size == 100 * columns
    assert np.isfinite(values).all()
    # An exponent is all that F16 can choose, so it may be off by the square root of 2.
    tolerance = 0.5 if format == "F16" else 0.02
    assert values.std() == pytest.approx(gain / math.sqrt(columns), rel=tolerance)
    assert abs(values.mean()) < 0.15 * values.std()


def test_rows_and_tensors_differ() -> None:
    pool = Pool("Q4_0")
    first, second = (b"".join(pool.data(4000, 896, 1.0)) for _ in range(2))
    assert first != second
    rows = np.frombuffer(first, np.uint8).reshape(4000, -1)
    assert len(np.unique(rows, axis=0)) == 4000


def test_the_size_of_a_tensor_is_exact() -> None:
    # More than the pool holds: its end and its beginning are joined.
    data = b"".join(Pool("Q8_0").data(3000, 1024, 1.0))
    assert len(data) == 3000 * 1024 // 32 * 34


def test_a_file_that_cannot_be_written_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: object, file: io.BufferedWriter) -> int:
        file.write(b"GGUF")
        raise OSError("No space left on device")

    monkeypatch.setattr(gguf.GGUFWriter, "write", full)
    with pytest.raises(OSError, match="No space"):
        write_random_model(tmp_path / "model.gguf", "x", SHAPES["tiny"], "q4_0")
    assert list(tmp_path.iterdir()) == []
