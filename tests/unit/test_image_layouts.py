"""Sizes, tiles and prompts of images, of shapes that nobody would send too."""

from __future__ import annotations

import numpy as np
import pytest

from webllm_py.errors import CorruptCheckpointError, ImageError, UnsupportedModelError
from webllm_py.images.gemma3 import Gemma3Processor, gemma3_processor
from webllm_py.images.layout import Layout
from webllm_py.images.phi3_v import Phi3VProcessor, phi3_v_processor
from webllm_py.images.resampling import resize_weights
from webllm_py.images.smolvlm import SmolVLMProcessor, smolvlm_processor
from webllm_py.images.source import load_images

SHAPES = [(1, 1), (1, 9000), (9000, 1), (3, 2), (640, 480), (4096, 4097)]
SMOLVLM = SmolVLMProcessor(longest=2048, tile=512, rows=64)
PHI3_V = Phi3VProcessor(tile=336, side=12, tiles=16)
GEMMA3 = Gemma3Processor(tile=896, rows=256)


def sizes_of(layout: Layout, width: int, height: int) -> list[tuple[int, int]]:
    """Of the image, and of those that are made of it."""
    sizes = [(width, height)]
    for resize in layout.resizes:
        assert resize.source < len(sizes)
        sizes.append((resize.width, resize.height))
    assert all(min(size) > 0 for size in sizes)
    return sizes


@pytest.mark.parametrize("detail", ["auto", "low", "high"])
@pytest.mark.parametrize(("width", "height"), SHAPES)
def test_smolvlm(width: int, height: int, detail: str) -> None:
    layout = SMOLVLM.layout(width, height, detail)
    sizes = sizes_of(layout, width, height)
    for tile in layout.tiles:
        right, bottom = sizes[tile.image]
        assert tile.left + 512 <= right and tile.top + 512 <= bottom
    assert layout.rows == 64 * len(layout.tiles) <= 64 * 17
    assert len(layout.tiles) == 1 or detail != "low"


@pytest.mark.parametrize("detail", ["auto", "low", "high"])
@pytest.mark.parametrize(("width", "height"), SHAPES)
def test_phi3_v(width: int, height: int, detail: str) -> None:
    layout = PHI3_V.layout(width, height, detail)
    sizes_of(layout, width, height)
    *tiles, whole = layout.tiles
    columns = layout.columns
    rows = len(tiles) // columns
    assert (whole.width, whole.height) == (336 * columns, 336 * rows)
    assert len(tiles) == rows * columns <= (1 if detail == "low" else 16)
    # As the model's own processor counts them.
    assert layout.rows == (rows * columns + 1) * 144 + 1 + (rows + 1) * 12


@pytest.mark.parametrize("detail", ["auto", "low", "high"])
@pytest.mark.parametrize(("width", "height"), [*SHAPES, (1000, 256), (255, 9000), (600, 500)])
def test_gemma3(width: int, height: int, detail: str) -> None:
    layout = GEMMA3.layout(width, height, detail)
    assert {(each.width, each.height) for each in layout.resizes} == {(896, 896)}
    whole, *crops = [each.box for each in layout.resizes if each.box]
    assert whole == (0, 0, width, height)
    assert len(layout.tiles) == len(layout.resizes) == layout.rows // 256
    if not crops:
        assert layout.prompt == ("\n\n<start_of_image>", 256, "<end_of_image>\n\n")
        long, short = max(width, height), min(width, height)
        assert detail != "high" or short < 256 or long / short < 1.2
        return
    assert detail == "high" and 2 <= len(crops) <= 4
    assert sum(across * down for _, _, across, down in crops) == width * height
    for left, top, across, down in crops:
        assert 0 < across <= width - left and 0 < down <= height - top


def test_weights_of_a_pixel_add_up() -> None:
    for number in (1, 2, 3):
        for size, resized in ((7, 50), (50, 7), (1, 3), (3, 1)):
            words, entries = resize_weights(size, resized, number)
            assert len(entries) == words * resized
            for start in range(0, len(entries), words):
                first, count, *weights = entries[start : start + words]
                assert first >= 0 and first + count <= size
                assert abs(sum(weights) - (1 << 22)) <= count and not any(weights[count:])


@pytest.mark.parametrize(
    ("config", "error", "words"),
    [
        ({"max_image_size": {"longest_edge": 384}}, CorruptCheckpointError, "tiles of 384"),
        ({"size": {"height": 5}}, CorruptCheckpointError, "size ="),
        ({"resample": 0}, UnsupportedModelError, "filter 0"),
        ({"do_rescale": False}, UnsupportedModelError, "do_rescale"),
    ],
)
def test_what_a_preprocessor_may_not_say(config: dict, error: type, words: str) -> None:
    known = {"size": {"longest_edge": 2048}, "max_image_size": {"longest_edge": 512}}
    with pytest.raises(error, match=words):
        smolvlm_processor({**known, **config}, 512, 64)
    with pytest.raises(CorruptCheckpointError, match="num_crops = 0"):
        phi3_v_processor({"num_crops": 0}, 336, 12)
    with pytest.raises(CorruptCheckpointError, match="pan_and_scan_max_num_crops = 1"):
        gemma3_processor({"pan_and_scan_max_num_crops": 1}, 896, 256)
    with pytest.raises(UnsupportedModelError, match="do_resize = False"):
        gemma3_processor({"do_resize": False}, 896, 256)
    made = gemma3_processor({"do_pan_and_scan": True, "size": {"height": 8, "width": 8}}, 8, 4)
    assert len(made.layout(600, 300, "auto").tiles) == 3


@pytest.mark.parametrize("shape", [(0, 5, 3), (5, 0, 3), (1, 1 << 17, 3), (1 << 17, 1, 3)])
async def test_images_of_shapes_that_cannot_be_read(shape: tuple[int, int, int]) -> None:
    """Without a pixel, or so long that the weights of its pixels would take minutes."""
    part = {"type": "image", "image": np.zeros(shape, np.uint8)}
    with pytest.raises(ImageError, match="sides of 1 to 65,536") as error:
        await load_images([("messages[0].content[0]", part)])
    assert error.value.param == "messages[0].content[0]"
