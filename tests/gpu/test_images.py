"""Images: resized to the bit as Pillow does it, cut into patches, their rows moved and averaged."""

from __future__ import annotations

import numpy as np
import pytest
from runners import Runner, of_native

from webllm_py.gpu.kernels import kernel
from webllm_py.images.resampling import resize_weights


def cubic(x: np.ndarray) -> np.ndarray:
    x = np.abs(x)
    near, far = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x < 1, near, np.where(x < 2, far, 0))


# By Pillow's numbers: half the width, and the shape.
FILTERS = {
    1: (3, lambda x: np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0)),
    2: (1, lambda x: np.maximum(0, 1 - np.abs(x))),
    3: (2, cubic),
}


def resized(image: np.ndarray, size: int, number: int) -> np.ndarray:
    """(pixels, others, 3) to (size, others, 3): every weight of every pixel, in 22 bits."""
    reach, shape = FILTERS[number]
    scale = len(image) / size
    wide = max(scale, 1)
    centres = (np.arange(size)[:, None] + 0.5) * scale
    at = np.arange(len(image))[None]
    first = np.maximum(np.trunc(centres - reach * wide + 0.5), 0)
    end = np.trunc(centres + reach * wide + 0.5)
    weights = np.where((at >= first) & (at < end), shape((at + 0.5 - centres) / wide), 0)
    weights /= weights.sum(1, keepdims=True)
    whole = np.trunc(weights * 2**22 + np.copysign(0.5, weights)).astype(np.int64)
    sums = np.tensordot(whole, image.astype(np.int64), 1)
    return np.clip((sums + 2**21) >> 22, 0, 255).astype(np.uint8)


def packed(image: np.ndarray) -> np.ndarray:
    """(height, width, 3) as words."""
    alpha = np.full((*image.shape[:2], 1), 255, np.uint8)
    return np.concatenate([image, alpha], 2).view(np.uint32)[..., 0]


SIZES = [(70, 31), (31, 70), (1, 90)]


@pytest.mark.parametrize("vertical", [False, True])
@pytest.mark.parametrize("number", FILTERS)
@pytest.mark.parametrize(("size", "after"), of_native(SIZES, [(70, 31)]))
async def test_resample(
    runner: Runner, number: int, size: int, after: int, vertical: bool, rng: np.random.Generator
) -> None:
    """A part of an axis; what is before it and behind it does not count."""
    before = vertical * 5
    image = rng.choice([0, 0, 255, 90, 255], (before + size + 3, 6, 3)).astype(np.uint8)
    expected = packed(resized(image[before : before + size], after, number))
    image = packed(image)
    if not vertical:
        image, expected = image.T, expected.T
    words, entries = resize_weights(size, after, number, before)
    height, width = expected.shape
    header = np.array([image.shape[1], width, height, words], np.int32)
    out = await runner.run(
        kernel("resample", VERTICAL=vertical),
        {
            "source": np.ascontiguousarray(image),
            "weights": np.concatenate([header, np.array(entries, np.int32)]),
            "y": np.zeros_like(expected, order="C"),
        },
        (-(-width // 64), height),
    )
    np.testing.assert_array_equal(out["y"], expected)


@pytest.mark.parametrize(("left", "top"), [(0, 0), (9, 4), (-3, -7)])
async def test_patches(runner: Runner, left: int, top: int, rng: np.random.Generator) -> None:
    patch, grid, mean, deviation = 5, 3, (0.48, 0.45, 0.4), (0.27, 0.26, 0.28)
    image = rng.integers(0, 256, (19, 21, 3), np.uint8)
    whole = np.full((60, 60, 3), 255, np.uint8)
    whole[20:39, 20:41] = image
    tile = whole[20 + top :, 20 + left :][: patch * grid, : patch * grid]
    normal = (tile / 255 - mean) / deviation
    cut = normal.reshape(grid, patch, grid, patch, 3).transpose(0, 2, 4, 1, 3)
    expected = np.full((12, 96), 9, np.float32)
    expected[1:10, :75] = cut.reshape(9, 75)
    expected[1:10, 75:] = 0
    named = {"MEAN": mean, "DEVIATION": deviation}
    colours = {
        f"{n}_{c}": v for n, values in named.items() for c, v in zip("RGB", values, strict=True)
    }
    out = await runner.run(
        kernel("patches", PATCH=patch, GRID=grid, UNITS=12, ROW0=1, **colours),
        {
            "pixels": packed(image),
            "tile": np.array([21, 19, left, top, patch * grid, patch * grid], np.int32),
            "y": np.full_like(expected, 9),
        },
        (2, grid * grid),
    )
    np.testing.assert_allclose(out["y"], expected, rtol=1e-5, atol=1e-5)


def interpolated(image: np.ndarray, size: int) -> np.ndarray:
    """(pixels, others, 3) to (size, others, 3) by four neighbours (Keys' cubic, a = -0.75)."""
    place = (np.arange(size) + 0.5) * len(image) / size - 0.5
    first = np.floor(place).astype(int)
    made = np.zeros((size, *image.shape[1:]))
    for step in range(-1, 3):
        x = np.abs(place - first - step)
        near, far = 1.25 * x**3 - 2.25 * x**2 + 1, -0.75 * (x**3 - 5 * x**2 + 8 * x - 4)
        row = np.clip(first + step, 0, len(image) - 1)
        made += np.where(x < 1, near, far)[:, None, None] * image[row]
    return made


async def test_shrunk_patches(runner: Runner, rng: np.random.Generator) -> None:
    patch, grid = 4, 4
    image = rng.integers(0, 256, (30, 33, 3), np.uint8)
    canvas = np.full((48, 33, 3), 255, np.uint8)
    canvas[9:39] = image
    seen = interpolated(interpolated(canvas, 16).swapaxes(0, 1), 16).swapaxes(0, 1)
    expected = (seen / 255).reshape(grid, patch, grid, patch, 3).transpose(0, 2, 4, 1, 3)
    named = {"MEAN": (0, 0, 0), "DEVIATION": (1, 1, 1)}
    colours = {f"{n}_{c}": v for n, vs in named.items() for c, v in zip("RGB", vs, strict=True)}
    out = await runner.run(
        kernel("patches", PATCH=patch, GRID=grid, UNITS=8, ROW0=0, CUBIC=True, **colours),
        {
            "pixels": packed(image),
            "tile": np.array([33, 30, 0, -9, 33, 48], np.int32),
            "y": np.zeros((16, 64), np.float32),
        },
        (1, grid * grid),
    )
    np.testing.assert_allclose(out["y"][:, :48], expected.reshape(16, 48), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("pieces", "columns"), of_native([(1, 12), (4, 20), (9, 132)], [(4, 20)]))
async def test_move_rows(
    runner: Runner, pieces: int, columns: int, rng: np.random.Generator
) -> None:
    x = rng.standard_normal((11, columns + 4)).astype(np.float32)
    more = rng.standard_normal((11, columns)).astype(np.float32)
    y = np.zeros((7, pieces * columns + 8), np.float32)
    places = rng.permutation(7)[:5]
    taken = rng.integers(0, 22, (5, pieces))
    expected = y.copy()
    both = np.concatenate([x[:, :columns], more])
    expected[places, : pieces * columns] = both[taken].reshape(5, -1)
    entries = np.column_stack([np.where(taken < 11, taken, taken - 11 + 50), places])
    out = await runner.run(
        kernel(
            "move_rows",
            PIECES=pieces,
            COLUMNS=columns,
            X_STRIDE=columns + 4,
            Y_STRIDE=pieces * columns + 8,
            MORE_AT=50,
            MORE_STRIDE=columns,
        ),
        {
            "x": x,
            "more": more,
            "map": np.concatenate([[5, 0, 0, 0], entries.ravel(), [3, 3]]).astype(np.uint32),
            "y": y,
        },
        (-(-pieces * columns // 256), 7),
    )
    np.testing.assert_array_equal(out["y"], expected)


@pytest.mark.parametrize(("pieces", "columns"), of_native([(1, 12), (9, 132)], [(9, 132)]))
async def test_average_rows(
    runner: Runner, pieces: int, columns: int, rng: np.random.Generator
) -> None:
    x = rng.standard_normal((11, columns + 4)).astype(np.float32)
    y = np.zeros((7, columns + 8), np.float32)
    places = rng.permutation(7)[:5]
    taken = rng.integers(0, 11, (5, pieces))
    expected = y.copy()
    expected[places, :columns] = x[taken, :columns].mean(1)
    entries = np.column_stack([taken, places])
    strides = {"X_STRIDE": columns + 4, "Y_STRIDE": columns + 8}
    out = await runner.run(
        kernel("average_rows", PIECES=pieces, COLUMNS=columns, **strides),
        {
            "x": x,
            "map": np.concatenate([[5, 0, 0, 0], entries.ravel(), [3, 3]]).astype(np.uint32),
            "y": y,
        },
        (-(-columns // 256), 7),
    )
    np.testing.assert_allclose(out["y"], expected, rtol=0, atol=1e-6)
