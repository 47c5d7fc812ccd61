"""Random models: the sizes of real ones, values that keep activations finite."""

from __future__ import annotations

import io
import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from webllm_py.checkpoint import open_checkpoint
from webllm_py.models import model_for
from webllm_py.models.recurrence import ShortConvConfig
from webllm_py.random_models import gguf
from webllm_py.random_models.blocks import LAYOUTS, Pool
from webllm_py.random_models.gguf import add_tensors, write_random_model
from webllm_py.random_models.recipes import FORMATS, format_of
from webllm_py.random_models.shapes import SHAPES
from webllm_py.tokenizer import from_gguf

sys.path.insert(0, str(Path(__file__).parents[1] / "gpu"))  # blocks.py: numpy's decoders
from blocks import decode

# As their model cards and safetensors headers count them.
PARAMETERS = {
    "qwen2.5-0.5b": 494_032_768,
    "qwen2.5-1.5b": 1_543_714_304,
    "qwen2.5-7b": 7_615_616_512,
    "qwen3.5-0.8b": 752_393_024,
    "lfm2-350m": 354_483_968,
    "lfm2-1.2b": 1_170_340_608,
    "qwen1.5-moe-a2.7b": 14_315_784_192,
    "qwen3-30b-a3b": 30_532_122_624,
    "olmoe-1b-7b": 6_919_161_856,
    "granite-3.1-1b-a400m": 1_334_628_352,
    "granite-3.1-3b-a800m": 3_298_793_472,
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

    add_tensors(Counter(), SHAPES[name], "q4_0")  # type: ignore[arg-type]
    assert counted == PARAMETERS[name]


# Of rows that are no whole super-blocks in "tiny", some of which are in "pocket".
STORED = {
    ("q4_k_m", "tiny"): ["Q5_0", "Q8_0"],
    ("q4_k_m", "pocket"): ["Q4_K", "Q6_K", "Q5_0", "Q8_0"],
    ("q2_k", "tiny"): ["IQ4_NL"],
    ("q2_k", "pocket"): ["Q2_K", "IQ4_NL"],
    ("q3_k", "tiny"): ["IQ4_NL"],
    ("q3_k", "pocket"): ["Q3_K", "IQ4_NL"],
    ("q4_k", "tiny"): ["Q5_0"],
    ("q4_k", "pocket"): ["Q4_K", "Q5_0"],
    ("q5_k", "tiny"): ["Q5_1"],
    ("q5_k", "pocket"): ["Q5_K", "Q5_1"],
    ("q6_k", "tiny"): ["Q8_0"],
    ("q6_k", "pocket"): ["Q6_K", "Q8_0"],
    ("iq4_xs", "tiny"): ["IQ4_NL"],
    ("iq4_xs", "pocket"): ["IQ4_XS", "IQ4_NL"],
}


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
    assert set(model.formats) == {"F32", *STORED.get((format, name), [format.upper()])}
    assert (model.config.hidden_size, model.config.n_layers) == (shape.hidden, shape.layers)
    assert (model.config.vocab_size, tokenizer.vocab_size) == (shape.vocab, shape.vocab)
    assert model.tied
    assert tokenizer.decode(tokenizer.encode("Grüße, 世界!\n")) == "Grüße, 世界!\n"
    assert not path.with_name("model.gguf.partial").exists()


@pytest.mark.parametrize(
    ("architecture", "norm", "shared"),
    [
        ("qwen2moe", None, 192),
        ("qwen3moe", "head", 0),
        ("olmoe", "whole", 0),
        ("granitemoe", None, 0),
    ],
)
async def test_a_random_mixture_is_a_model(
    architecture: str, norm: str | None, shared: int, tmp_path: Path
) -> None:
    path = tmp_path / "model.gguf"
    tiny = SHAPES["tiny-experts"]
    shape = replace(tiny, architecture=architecture, ffn=96, shared_ffn=shared)
    write_random_model(path, "a name", shape, "mxfp4")
    checkpoint = await open_checkpoint(path)
    await checkpoint.close()
    config = model_for(checkpoint).config
    assert (config.n_experts, config.n_experts_used) == (shape.experts, shape.experts_used)
    assert (config.expert_size, config.beside_size) == (shape.expert_ffn, shared)
    assert config.qk_norm == norm


async def test_random_convolutions_are_a_model(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    write_random_model(path, "a name", SHAPES["tiny-convolutions"], "q4_0")
    checkpoint = await open_checkpoint(path)
    await checkpoint.close()
    config = model_for(checkpoint).config
    assert [kind.recurrent for kind in config.layer_kinds] == [True, False, True]
    assert config.recurrence == ShortConvConfig(channels=128, kernel=3)


def values_of(data: bytes, format: str, columns: int) -> np.ndarray:
    """The numbers of blocks, as the oracle of the kernels' tests decodes them."""
    if format == "F16":
        return np.frombuffer(data, np.float16).astype(np.float64)
    return decode(format.lower(), data, columns).astype(np.float64).ravel()


@pytest.mark.parametrize("format", [*LAYOUTS, "MXFP4", "F16"])
@pytest.mark.parametrize(("columns", "gain"), [(768, 1.0), (4864, 1.0), (2048, 3.0)])
def test_values_have_the_deviation_that_keeps_activations(
    format: str, columns: int, gain: float
) -> None:
    values = values_of(b"".join(Pool(format).data(200, columns, gain)), format, columns)
    assert values.size == 200 * columns
    assert np.isfinite(values).all()
    # An exponent is all that two of them can choose, so it may be off by the square root of 2.
    tolerance = 0.5 if format in ("F16", "MXFP4") else 0.03
    assert values.std() == pytest.approx(gain / math.sqrt(columns), rel=tolerance)
    assert abs(values.mean()) < 0.15 * values.std()


def test_q4_k_m_has_more_bits_where_llama_cpp_has_them() -> None:
    """As in the published files of Llama 3.2 1B: 16 layers, one table."""
    layers = [
        i
        for i in range(16)
        if format_of("q4_k_m", f"blk.{i}.attn_v", 2048, 16, tied=True) == "Q6_K"
    ]
    assert layers == [0, 1, 4, 7, 10, 13, 14, 15]
    assert format_of("q4_k_m", "token_embd", 2048, 16, tied=True) == "Q6_K"
    assert format_of("q4_k_m", "token_embd", 2048, 16, tied=False) == "Q4_K"
    assert format_of("q4_k_m", "output", 2048, 16, tied=False) == "Q6_K"
    assert format_of("q4_k_m", "blk.0.attn_q", 2048, 16, tied=True) == "Q4_K"


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
