"""The GEMM of subgroup matrices against numpy, on adapters that have none.

Only some browsers offer them, and none on a CPU. Here each thread does what a subgroup would: the
kernel's text is its own but for the types and functions of the language's experiment. On a GPU that
has them, loading compares the kernel with the plain one (runtime/tuning/gemm_trial.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pytest
from formats import laid_out
from runners import DeviceRunner

from webllm_py.gpu import kernels
from webllm_py.gpu.kernels import compose, kernel

TM = 64
# format, rows of x, rows of the weight, columns, TN
CASES = [
    ("q8_0", 70, 5, 32, 64),
    ("q4_0", 3, 130, 96, 128),
]

# A lane has 8 elements of each sum; what it multiplies stays where it is.
IMITATED = """
struct Left { at: u32 }
struct Right { at: u32 }
struct Sums { v: array<f32, 8> }

var<private> lane: u32;

fn load_left(at: u32) -> Left {
  return Left(at);
}

fn load_right(at: u32) -> Right {
  return Right(at);
}

fn multiplied(left: Left, right: Right, before: Sums) -> Sums {
  var sums = before;
  for (var i = 0u; i < 8u; i++) {
    let element = lane * 8u + i;
    for (var k = 0u; k < 16u; k++) {
      sums.v[i] += f32(x_tile[left.at + element / 16u * X_STRIDE + k])
                 * f32(w_tile[right.at + k * W_STRIDE + element % 16u]);
    }
  }
  return sums;
}

fn store_sums(at: u32, cell: Sums) {
  var v = cell.v;
  for (var i = 0u; i < 8u; i++) {
    sums[at + lane * 8u + i] = v[i];
  }
}
"""


def imitated(text: str) -> str:
    """The kernel without subgroup matrices."""
    text = text.replace("enable chromium_experimental_subgroup_matrix;", "")
    text = re.sub(r"//.*\ndiagnostic.*;\n", "", text)
    text, aliases = re.subn(r"alias \w+ = subgroup_matrix_\w+<.*>;\n", "", text)
    text, loads = re.subn(
        r"subgroupMatrixLoad<(\w+)>\(&[xw]_tile, (.*), false, [XW]_STRIDE\)",
        lambda found: f"load_{found[1].lower()}({found[2]})",
        text,
    )
    text, stores = re.subn(
        r"subgroupMatrixStore\(&sums, at, cell, false, SIDE\)", "store_sums(at, cell)", text
    )
    assert (aliases, loads, stores) == (3, 6, 1)
    text = text.replace("subgroupMatrixMultiplyAccumulate", "multiplied")
    before, entry, after = text.partition("@compute")
    after = after.replace(") {\n", ") {\n  lane = thread % 32u;\n", 1)
    return before + IMITATED + entry + after


@pytest.fixture
def imitation(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    read_source = kernels.read_source

    def read(name: str) -> str:
        text = read_source(name)
        return imitated(text) if name == "gemm_matrices" else text

    monkeypatch.setattr(kernels, "read_source", read)
    compose.cache_clear()
    yield
    compose.cache_clear()


@pytest.mark.usefixtures("imitation")
@pytest.mark.parametrize(("fmt", "m", "n", "k", "tn"), CASES)
async def test_gemm_stores_with_bias(
    native_runners: dict[str, DeviceRunner],
    fmt: str,
    m: int,
    n: int,
    k: int,
    tn: int,
    rng: np.random.Generator,
) -> None:
    """Products of what float16 makes of both, summed in float32; what is beyond it is its
    largest."""
    if "f16" not in native_runners:
        pytest.skip("this adapter has no float16")
    weight, arrays = laid_out(fmt, rng.standard_normal((n, k), np.float32))
    rows = -(-m // TM) * TM
    x = np.zeros((rows, k), np.float32)
    x[:m] = rng.standard_normal((m, k))
    x[0, 0] = 1e6
    bias = rng.standard_normal(n).astype(np.float32)
    made = kernel(
        "gemm_matrices",
        snippets={
            "quant": f"quant/{fmt}",
            "epilogue": "epilogue/store",
            "finish": "linear/finish",
        },
        UNITS=k // 8,
        N=n,
        SLICE=n,
        BIAS=True,
        Y_STRIDE=n,
        TN=tn,
        THREADS=tn,
    )
    out = await native_runners["f16"].run(
        made,
        {
            "x": x,
            "vectors": np.concatenate([bias, np.zeros(-n % 4, np.float32)]),
            "y": np.zeros((rows, n), np.float32),
            **arrays,
        },
        (-(-n // tn), rows // TM),
    )
    seen = np.clip(x, -65504, 65504).astype(np.float16).astype(np.float64)
    expected = seen @ weight.astype(np.float16).astype(np.float64).T + bias
    np.testing.assert_allclose(out["y"], expected, rtol=1e-5, atol=k * 4e-7)
